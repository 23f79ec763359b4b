import { formatId, REASONS } from '@sealpost/core';
import type { Delivery } from '@sealpost/store';
import type { OutboxEntry } from './parse-entry.ts';

/** An entry of the outbox as its receivers get it. */
export type OperationalEvent = {
  /** Its own id: the same from whichever process publishes it, however often. */
  id: string;
  type: OutboxEntry['t'];
  /** JSON. It holds ids, times and names of states: nothing that a producer sent, and no secret. */
  payload: Record<string, string | number | null>;
};

/**
 * @param app the app's name
 * @param dead the delivery that a `delivery.dead` is about, while its record lives
 */
export function describeEntry(
  shard: number,
  entry: OutboxEntry,
  app: string,
  dead: Delivery | undefined,
): OperationalEvent {
  return {
    id: `op-${shard}-${entry.i}-${entry.at.toString(36)}`,
    type: entry.t,
    payload: {
      app_id: app,
      endpoint_id: entry.e === 0 ? null : formatId('ep', shard, entry.e),
      ...details(shard, entry, dead),
    },
  };
}

function details(shard: number, entry: OutboxEntry, dead: Delivery | undefined): OperationalEvent['payload'] {
  const at = rfc3339(entry.at);
  switch (entry.t) {
    case 'lane.closed':
      return { failing_since: rfc3339(entry.since), closed_at: at };
    case 'lane.opened':
      return { closed_since: rfc3339(entry.since), opened_at: at, by: entry.by };
    case 'endpoint.recovered':
      return { failing_since: rfc3339(entry.since), recovered_at: at };
    case 'endpoint.disabled':
      return { reason: entry.r, disabled_at: at };
    case 'deliveries.expired':
      return { count: entry.count, expired_at: at };
    case 'delivery.dead':
      return {
        delivery_id: formatId('dlv', shard, entry.d),
        event_id: dead?.eventId ?? null,
        event_type: dead?.event.t ?? null,
        // A worker that is newer than this process may know more reasons.
        reason: REASONS[entry.r] ?? null,
        attempt_count: entry.n,
        died_at: at,
      };
  }
}

const OWN_ID = /^op-\d+-\d+-[0-9a-z]+$/;

/** Whether a dead delivery was one of an operational event itself. */
export function carriedOperationalEvent(dead: Delivery | undefined): boolean {
  return dead !== undefined && OWN_ID.test(dead.eventId);
}

function rfc3339(ms: number): string {
  return new Date(ms).toISOString();
}
