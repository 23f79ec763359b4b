import { type DeliveryStatus, type Reason, reasonNumber, STATUSES } from '@sealpost/core';
import { ADMITTED_WITHIN_MS, type Retention } from './accept.ts';
import { type Outcome, outcome } from './claim.ts';
import type { ScriptReply } from './scripts.ts';
import type { Shard } from './shard.ts';

export type Settlement = {
  number: number;
  generation: number;
  /** 1 for the first; attempts go on counting over generations. */
  attempt: number;
  status: Extract<DeliveryStatus, 'delivered' | 'retrying' | 'dead' | 'cancelled'>;
  reason: Reason;
  statusCode: number;
  /** ms until the next attempt, when retrying. */
  delayMs: number;
  /** The attempt for the record (attempt-record.ts); absent when nothing was posted. */
  attemptRecord?: string | undefined;
  correlationId?: string | undefined;
  retention: Retention;
};

/** SETTLE (lua/settle.lua). Answers what BullMQ shall be told, which is another's outcome when this one came late. */
export async function settle(shard: Shard, settlement: Settlement): Promise<Outcome & { changed: boolean }> {
  const reply = (await shard.run('settle', [
    settlement.number,
    settlement.generation,
    settlement.attempt,
    STATUSES.indexOf(settlement.status),
    reasonNumber(settlement.reason),
    settlement.statusCode,
    Math.round(settlement.delayMs),
    settlement.attemptRecord ?? '',
    settlement.correlationId ?? '',
    settlement.retention.recordsMs,
    settlement.retention.bodiesMs,
    ADMITTED_WITHIN_MS,
  ])) as ScriptReply[];
  return { ...outcome(reply), changed: reply[5] === 1 };
}
