import { type DeliveryStatus, type Reason, reasonNumber, STATUSES } from '@sealpost/core';
import type { Retention } from './accept.ts';
import { type Outcome, outcome } from './claim.ts';
import type { ScriptArgument, ScriptReply } from './scripts.ts';
import type { Shard } from './shard.ts';
import { readTurn, type Turn } from './turn.ts';

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
  const reply = (await shard.run('settle', settleArguments(settlement))) as ScriptReply[];
  return {
    ...outcome(reply),
    changed: reply[5] === 1,
    waits: reply[6] === 1,
    disable: reply[7] === 1,
    ...readTurn(shard, reply.slice(8)),
  };
}

/** Each argument costs Redis about as much as a field of a record, so a plain success has few. */
function settleArguments(settlement: Settlement): ScriptArgument[] {
  const { receiver, correlationId } = settlement;
  const args: ScriptArgument[] = [
    settlement.number,
    settlement.generation,
    settlement.attempt,
    STATUSES.indexOf(settlement.status),
    reasonNumber(settlement.reason),
    settlement.statusCode,
    settlement.attemptRecord ?? '',
    receiver?.sign ?? '',
    Math.round(receiver?.durationMs ?? 0),
    settlement.retention.recordsMs,
    settlement.retention.bodiesMs,
  ];
  const isPlain = settlement.status === 'delivered' && receiver?.sign === 'success' && receiver.holdMs <= 0;
  if (isPlain && correlationId === undefined) return args;
  args.push(
    correlationId ?? '',
    Math.round(settlement.delayMs),
    Math.round(receiver?.holdMs ?? 0),
    settlement.disableAfterMs,
    settlement.random,
  );
  return args;
}
