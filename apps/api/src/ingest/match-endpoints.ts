import type { EventInput, Reason } from '@sealpost/core';
import type { AppConfig } from '@sealpost/store';

/** Where an event goes: a registered endpoint, or the event's own `webhook_url` (number 0, no id). */
export type Target = {
  endpoint: number;
  endpointId: string | null;
  /** Why nothing is sent there; the delivery is recorded all the same. */
  skip: Reason | undefined;
};

const WEBHOOK_URL: Target = { endpoint: 0, endpointId: null, skip: undefined };

/** All subscribed endpoints, and the `webhook_url` last. */
export function matchEndpoints(config: AppConfig, event: EventInput): Target[] {
  const targets = config.match(event.type, event.environment).map(
    (endpoint): Target => ({
      endpoint: endpoint.number,
      endpointId: endpoint.id,
      skip: endpoint.enabled ? undefined : 'endpoint_disabled',
    }),
  );
  if (event.webhook_url !== undefined) targets.push(WEBHOOK_URL);
  return targets;
}
