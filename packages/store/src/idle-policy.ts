import type { AppRecord, EndpointRecord } from './config-records.ts';
import type { ConfigChange } from './configs.ts';
import { effectiveWireProfile } from './effective-settings.ts';

/** Which endpoints are disabled for want of deliveries, and when: decided here, done in idle-endpoints.ts. */

/** An endpoint is idle after this long without a delivery, ms. */
export const IDLE_MS = 30 * 86_400_000;

/** What is known of an endpoint; times in ms epoch. */
export type IdleFacts = {
  now: number;
  /** When it was made, and last changed. */
  endpoint: Pick<EndpointRecord, 'createdAt' | 'updatedAt'>;
  /** The newest delivery whose record is still kept. */
  newest: number | undefined;
  /** How many of its deliveries have not ended. */
  open: number;
  /** What the last look wrote down. Undefined: nobody has looked yet, or not for too long. */
  seen: number | undefined;
};

/**
 * Whether an endpoint is idle, and what to write down: up to when it is known not to have been. What an earlier time
 * may have had is not known any more at the first look, so the time counts from that. Failure policy: whatever is not
 * known, as after a loss of data, makes it later.
 */
export function judgeIdle({ now, endpoint, newest, open, seen }: IdleFacts): { idle: boolean; seen: number } {
  const busy = open > 0 ? now : (newest ?? 0);
  const last = Math.max(seen ?? now, busy);
  return { idle: now - Math.max(last, endpoint.createdAt, endpoint.updatedAt) >= IDLE_MS, seen: last };
}

/** Whether it gets disabled when it is idle. One that is paused, or disabled, gets no deliveries anyhow. */
export function isWatched(app: AppRecord, endpoint: EndpointRecord): boolean {
  if (!endpoint.enabled || endpoint.paused) return false;
  return app.disableIdle ?? effectiveWireProfile(app, endpoint).disableIdle ?? false;
}

/** Whether there are, since this change, endpoints to watch. Where there were some before, that is known already. */
export function beginsToWatch(
  config: { record: AppRecord; endpoints: ReadonlyMap<string, EndpointRecord> },
  { record, endpoints = {} }: ConfigChange,
): boolean {
  const app = record ?? config.record;
  for (const endpoint of Object.values(endpoints)) if (endpoint && isWatched(app, endpoint)) return true;
  if (!record) return false;
  for (const endpoint of config.endpoints.values()) {
    if (endpoints[endpoint.id] === undefined && isWatched(app, endpoint)) return true;
  }
  return false;
}
