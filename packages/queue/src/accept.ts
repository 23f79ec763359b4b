import { type DeliveryRecord, encodeDelivery } from './delivery-record.ts';
import { type ScriptReply, text } from './scripts.ts';
import type { Shard } from './shard.ts';

/** How long what has ended is kept, ms. */
export type Retention = { recordsMs: number; bodiesMs: number };

export type Acceptance = {
  /** Owner number of the app, and the version of its config with which the endpoints were matched. */
  app: number;
  configVersion: number;
  /** Number of the event, and of its first delivery. */
  number: number;
  record: string;
  body: string;
  ownId?: string | undefined;
  correlationId?: string | undefined;
  /** The last sequence of the correlation in a shard that the app has left: where it is not known here yet, it goes on. */
  counted?: number | undefined;
  /** Channel that hears of each delivery's first attempt. */
  waitChannel?: string | undefined;
  deliveries: DeliveryRecord[];
  retention: Retention;
};

export type AcceptResult =
  /** Somebody changed the app's config: match again. Nothing was stored. */
  | { result: 'stale' }
  /** A number is somebody else's: Redis forgot that it was given out. Take others. Nothing was stored. */
  | { result: 'taken' }
  /** The own id is known; this is its event's number. Nothing was stored. */
  | { result: 'duplicate'; number: number }
  /** `admitted`: for each delivery, whether it needs a job now; the others wait in their lanes, or are skipped. */
  | { result: 'accepted'; sequence: number; admitted: boolean[] };

/** ACCEPT (lua/accept.lua). */
export async function accept(shard: Shard, event: Acceptance): Promise<AcceptResult> {
  const reply = (await shard.run('accept', [
    event.app,
    event.configVersion,
    event.number,
    event.record,
    event.body,
    event.ownId ?? '',
    event.correlationId ?? '',
    event.waitChannel ?? '',
    event.retention.recordsMs,
    event.retention.bodiesMs,
    event.counted ?? 0,
    ...event.deliveries.map(encodeDelivery),
  ])) as ScriptReply[];
  const result = text(reply[0]);
  if (result === 'duplicate') return { result, number: Number(text(reply[1])) };
  if (result === 'stale' || result === 'taken') return { result };
  const admitted = Array.from(text(reply[2]), (flag) => flag === '1');
  return { result: 'accepted', sequence: Number(text(reply[1])), admitted };
}
