import { type DeliveryStatus, formatId, jobId, type Reason, reasonNumber, STATUSES } from '@sealpost/core';
import type { Retention } from './accept.ts';
import { enqueue, removeJobs } from './jobs.ts';
import { type ScriptReply, text } from './scripts.ts';
import type { Shard } from './shard.ts';
import { readTickets } from './turn.ts';

/** Only a claim is watched for longer than this, ms (lua/lane.lua's ADMITTED_WITHIN, RECONCILE's pause, and a little more). */
const ADMITTED_WITHIN_MS = 31_000;

export type RetryResult = {
  result: 'retry' | 'open' | 'running' | 'expired' | 'exhausted' | 'deleted' | 'missing';
};

/**
 * RETRY (lua/retry.lua) and its job, unless it waits in its lane. Should the process die before the job is added, the reconciler adds it.
 * @param app owner number of the app that the delivery must belong to
 */
export async function retryDelivery(shard: Shard, number: number, app: number): Promise<RetryResult> {
  const reply = (await shard.run('retry', [number, app])) as ScriptReply[];
  const result = text(reply[0]) as RetryResult['result'];
  if (result !== 'retry') return { result };
  const stale = jobId(formatId('dlv', shard.number, number), Number(text(reply[1])));
  const admitted = readTickets(shard, reply.slice(2));
  await Promise.all([enqueue(shard.queue, admitted), removeJobs(shard.queue, [stale])]);
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
    ADMITTED_WITHIN_MS,
  ])) as ScriptReply[];
  const result = text(reply[0]);
  if (result === 'ended') return { result, status: STATUSES[Number(text(reply[1]))]! };
  if (result === 'cancelled') {
    await removeJobs(shard.queue, [jobId(formatId('dlv', shard.number, number), Number(text(reply[1])))]);
  }
  return { result: result as 'cancelled' | 'missing' };
}
