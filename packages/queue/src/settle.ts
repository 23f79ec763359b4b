import { type DeliveryStatus, type Reason, reasonNumber, STATUSES } from '@sealpost/core';
import type { Retention } from './accept.ts';
import { type Outcome, outcome } from './claim.ts';
import type { ScriptReply } from './scripts.ts';
import type { Shard } from './shard.ts';
import { MOST_ADMITTED, readTurn, type Turn } from './turn.ts';

/** A retry must have moved this long after it is due, or the reconciler looks for its job. */
const DUE_WITHIN_MS = 30_000;

/**
 * What an attempt says of its receiver: `failure`: it cannot be reached or does not work (timeout, network, 5xx);
 * `overload`: it has too much (429); `answer`: it works, but does not take this.
 */
export type ReceiverSign = 'success' | 'failure' | 'overload' | 'answer';

export type Settlement = {
  number: number;
  generation: number;
  /** 1 for the first; attempts go on counting over generations. */
  attempt: number;
  status: Extract<DeliveryStatus, 'delivered' | 'retrying' | 'dead' | 'skipped' | 'cancelled'>;
  reason: Reason;
  statusCode: number;
  /** ms until the next attempt, when retrying. */
  delayMs: number;
  /** The attempt for the record (attempt-record.ts); absent where there was none, and nothing is to be told of it. */
  attemptRecord?: string | undefined;
  correlationId?: string | undefined;
  retention: Retention;
  /** Absent when nothing was posted. */
  receiver?:
    | {
        sign: ReceiverSign;
        durationMs: number;
        /** It asks not to be sent anything for so long, ms. */
        holdMs: number;
      }
    | undefined;
  /** An endpoint that has only failed for so long, ms, is to be disabled. */
  disableAfterMs: number;
  /** 0 to 1. */
  random: number;
};

export type Settled = Outcome &
  Turn & {
    /** This call changed the delivery, or did when it was sent before, and its answer was lost. */
    changed: boolean;
    /** It was a probe of a closed lane, and waits in it again. */
    waits: boolean;
    /** The endpoint has failed for so long that it is to be disabled. */
    disable: boolean;
  };

/** SETTLE (lua/settle.lua). Answers what BullMQ shall be told, which is another's outcome when this one came late. */
export async function settle(shard: Shard, settlement: Settlement): Promise<Settled> {
  const { receiver } = settlement;
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
    DUE_WITHIN_MS,
    receiver?.sign ?? '',
    Math.round(receiver?.durationMs ?? 0),
    Math.round(receiver?.holdMs ?? 0),
    settlement.disableAfterMs,
    settlement.random,
    MOST_ADMITTED,
  ])) as ScriptReply[];
  return {
    ...outcome(reply),
    changed: reply[5] === 1,
    waits: reply[6] === 1,
    disable: reply[7] === 1,
    ...readTurn(shard, reply.slice(8)),
  };
}
