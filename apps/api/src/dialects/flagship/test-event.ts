import type { EventInput } from '@sealpost/core';
import type { EndpointRecord } from '@sealpost/store';

/** What there is to say where a real event names where it comes from. */
const TEST = 'test';

/**
 * What a test sends: every member of goflagship's envelope, so that a receiver that reads them all as documented works
 * with it too. Nothing was changed by a test, and so it says.
 */
export function testEvent({ id, environments }: EndpointRecord): { input: EventInput; payload: string } {
  const state = { key: id, enabled: true, rollout: 100, config: {} };
  const payload = {
    resource: { type: 'webhook', key: id },
    data: { before: state, after: state, changes: {} },
    metadata: { apiKeyId: TEST, ipAddress: '0.0.0.0', requestId: TEST },
  };
  return {
    input: { type: 'webhook.test', payload, environment: environments[0] ?? TEST },
    payload: JSON.stringify(payload),
  };
}
