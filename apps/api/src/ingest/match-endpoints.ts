import {
  type EventInput,
  formatQuietSpec,
  type QuietHours,
  type QuietPeriod,
  quietPeriod,
  type Reason,
} from '@sealpost/core';
import { type AppConfig, type EndpointRecord, effectiveQuietHours } from '@sealpost/store';
import { LRUCache } from 'lru-cache';
import type { Passes } from './filter-events.ts';

/** Where an event goes: a registered endpoint, or the event's own `webhook_url` (number 0, no id). */
export type Target = {
  endpoint: number;
  endpointId: string | null;
  /** Why nothing is sent there; the delivery is recorded all the same. */
  skip: Reason | undefined;
  /** Its filter is for the worker to decide. */
  undecided?: true;
};

const WEBHOOK_URL: Target = { endpoint: 0, endpointId: null, skip: undefined };

/** All subscribed endpoints whose filter does not say no, and the `webhook_url` last. @param now ms epoch */
export function matchEndpoints(
  config: AppConfig,
  event: EventInput,
  passes: Passes,
  now: number = Date.now(),
): Target[] {
  const isQuiet = quietLookup(event, now);
  const targets: Target[] = [];
  for (const endpoint of config.match(event.type, event.environment)) {
    const wanted = passes(endpoint);
    if (wanted === false) continue;
    const { number, id } = endpoint;
    const target: Target = { endpoint: number, endpointId: id, skip: skipReason(config, endpoint, isQuiet) };
    targets.push(wanted ? target : { ...target, undecided: true });
  }
  if (event.webhook_url !== undefined) targets.push(WEBHOOK_URL);
  return targets;
}

function skipReason(
  { record: app }: AppConfig,
  endpoint: EndpointRecord,
  isQuiet: (quiet: QuietHours) => boolean,
): Reason | undefined {
  if (!endpoint.enabled) return 'endpoint_disabled';
  const quiet = effectiveQuietHours(app, endpoint);
  return quiet?.during === 'skip' && isQuiet(quiet) ? 'quiet_hours' : undefined;
}

/** What is to go out later is skipped if it is quiet then, whether or not it is now. */
function quietLookup({ deliver_at: deliverAt }: EventInput, now: number): (quiet: QuietHours) => boolean {
  const at = Math.max(now, deliverAt ?? 0);
  if (at === now) return (quiet) => periodNow(quiet, now).from <= now;
  const periods = new Map<string, QuietPeriod>();
  return (quiet) => {
    const spec = formatQuietSpec(quiet);
    const period = periods.get(spec) ?? periodAt(quiet, at);
    periods.set(spec, period);
    return period.from <= at;
  };
}

/** As many as an app may well have endpoints: with fewer, each publish to so many different ones would miss them all. */
const KNOWN_PERIODS = 10_000;

/** The period that was looked up last, by the text of the quiet hours: until it has passed, that costs a comparison. */
const periods = new LRUCache<string, QuietPeriod & { since: number }>({ max: KNOWN_PERIODS });

function periodNow(quiet: QuietHours, now: number): QuietPeriod {
  const spec = formatQuietSpec(quiet);
  const known = periods.get(spec);
  if (known && known.since <= now && now < known.until) return known;
  const period = { ...periodAt(quiet, now), since: now };
  periods.set(spec, period);
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
