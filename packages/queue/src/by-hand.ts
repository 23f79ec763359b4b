import { type DeliveryStatus, formatId, jobId, type Reason, reasonNumber, STATUSES } from '@sealpost/core';
import { ADMITTED_WITHIN_MS, type Retention } from './accept.ts';
import { type EventRecord, eventId, parseEventRecord } from './event-record.ts';
import { type Admitted, enqueue, removeJobs } from './jobs.ts';
import { type ScriptReply, text } from './scripts.ts';
import type { Shard } from './shard.ts';

export type RetryResult = {
  result: 'retry' | 'open' | 'running' | 'expired' | 'exhausted' | 'deleted' | 'missing';
};

/**
 * RETRY (lua/retry.lua) and its job. Should the process die before the job is added, the reconciler adds it.
 * @param app owner number of the app that the delivery must belong to
 */
export async function retryDelivery(shard: Shard, number: number, app: number): Promise<RetryResult> {
  const reply = (await shard.run('retry', [number, app, ADMITTED_WITHIN_MS])) as ScriptReply[];
  const result = text(reply[0]) as RetryResult['result'];
  if (result !== 'retry') return { result };
  const delivery = admitted(shard, number, reply.slice(1, 5));
  const stale = jobId(formatId('dlv', shard.number, number), Number(text(reply[5])));
  await Promise.all([enqueue(shard.queue, [delivery]), removeJobs(shard.queue, [stale])]);
  return { result };
}

export type CancelResult =
  | { result: 'cancelled' | 'missing' }
  /** It had ended before, so. */
  | { result: 'ended'; status: DeliveryStatus };

/** CANCEL (lua/cancel.lua). Its job, if there is one, is removed, or ends by itself when its time comes. */
export async function cancelDelivery(
  shard: Shard,
  number: number,
  app: number,
  reason: Reason,
  retention: Retention,
): Promise<CancelResult> {
  const reply = (await shard.run('cancel', [
    number,
    app,
    reasonNumber(reason),
    retention.recordsMs,
    retention.bodiesMs,
    ADMITTED_WITHIN_MS + 1000,
  ])) as ScriptReply[];
  const result = text(reply[0]);
  if (result === 'ended') return { result, status: STATUSES[Number(text(reply[1]))]! };
  if (result === 'cancelled') {
    await removeJobs(shard.queue, [jobId(formatId('dlv', shard.number, number), Number(text(reply[1])))]);
  }
  return { result: result as 'cancelled' | 'missing' };
}

/** From {generation, event number, event record, endpoint number}, as RETRY and RECONCILE give it. */
export function admitted(shard: Shard, number: number, reply: ScriptReply[]): Admitted {
  const event: Partial<EventRecord> = parseEventRecord(text(reply[2])) ?? {};
  const endpoint = Number(text(reply[3]));
  return {
    shard: shard.number,
    number,
    generation: Number(text(reply[0])),
    app: event.a ?? '',
    eventType: event.t ?? 'unknown',
    eventId: eventId(shard.number, Number(text(reply[1])), event),
    endpoint: endpoint > 0 ? formatId('ep', shard.number, endpoint) : null,
  };
}
