import { type EventInput, type QuietHours, type QuietPeriod, quietPeriod, type Reason } from '@sealpost/core';
import { type AppConfig, type EndpointRecord, effectiveQuietHours } from '@sealpost/store';

/** Where an event goes: a registered endpoint, or the event's own `webhook_url` (number 0, no id). */
export type Target = {
  endpoint: number;
  endpointId: string | null;
  /** Why nothing is sent there; the delivery is recorded all the same. */
  skip: Reason | undefined;
};

const WEBHOOK_URL: Target = { endpoint: 0, endpointId: null, skip: undefined };

/** All subscribed endpoints, and the `webhook_url` last. @param now ms epoch */
export function matchEndpoints(config: AppConfig, event: EventInput, now: number = Date.now()): Target[] {
  const targets = config.match(event.type, event.environment).map(
    (endpoint): Target => ({
      endpoint: endpoint.number,
      endpointId: endpoint.id,
      skip: skipReason(config, endpoint, event, now),
    }),
  );
  if (event.webhook_url !== undefined) targets.push(WEBHOOK_URL);
  return targets;
}

function skipReason(
  { record: app }: AppConfig,
  endpoint: EndpointRecord,
  { deliver_at: deliverAt }: EventInput,
  now: number,
): Reason | undefined {
  if (!endpoint.enabled) return 'endpoint_disabled';
  const quiet = effectiveQuietHours(app, endpoint);
  if (quiet?.during !== 'skip') return undefined;
  // What is to go out later is skipped if it is quiet then, whether or not it is now.
  const at = Math.max(now, deliverAt ?? 0);
  const { from } = at > now ? periodAt(quiet, at) : periodNow(quiet, now);
  return from <= at ? 'quiet_hours' : undefined;
}

/** The period of each setting that was looked up last: until it has passed, publishing costs a comparison. */
const periods = new WeakMap<QuietHours, QuietPeriod & { since: number }>();

function periodNow(quiet: QuietHours, now: number): QuietPeriod {
  const known = periods.get(quiet);
  if (known && known.since <= now && now < known.until) return known;
  const period = { ...periodAt(quiet, now), since: now };
  periods.set(quiet, period);
  return period;
}

function periodAt(quiet: QuietHours, ms: number): QuietPeriod {
  try {
    return quietPeriod(quiet, ms);
  } catch (error) {
    // A process that knows newer time zones took this one. Failure policy: publishing goes on, as if it were not quiet.
    if (error instanceof RangeError) return { from: Infinity, until: Infinity };
    throw error;
  }
}
