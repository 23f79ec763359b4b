import { type DeliveryStatus, type Reason, reasonName, STATUSES } from '@sealpost/core';
import type { Retention } from './accept.ts';
import { type DeliveryRecord, decodeDelivery } from './delivery-record.ts';
import { type ScriptReply, text } from './scripts.ts';
import type { Shard } from './shard.ts';
import { readTurn, type Turn } from './turn.ts';

/** What BullMQ shall be told of a delivery. */
export type Outcome = {
  status: DeliveryStatus;
  reason: Reason;
  /** ms until the next attempt; 0 unless retrying. */
  delayMs: number;
  /** Attempts settled so far. */
  attempts: number;
  /** HTTP status of the last attempt; 0: none. */
  statusCode: number;
};

export type ClaimResult =
  | ({
      result: 'run';
      delivery: DeliveryRecord;
      /** The event's record as the seal covers it, and its parts; undefined when they are gone. */
      eventRecord: Buffer | undefined;
      sequence: number | undefined;
      body: Buffer | undefined;
      /** undefined: the app is gone. */
      configVersion: number | undefined;
      /** What the lane's successful attempts take, ms; 0: not known. */
      averageMs: number;
    } & Turn)
  | ({ result: 'settled' } & Outcome)
  /** To be asked again after so many ms: another worker's attempt is under way, or a retry has to wait. */
  | ({ result: 'busy'; ms: number } & Turn)
  /** It waits in its lane. */
  | ({ result: 'held' } & Turn)
  /** It has ended. */
  | ({ result: 'skipped'; reason: Reason } & Turn)
  | { result: 'gone' };

/**
 * CLAIM (lua/claim.lua).
 * @param counted BullMQ's `attemptsMade` of the job
 * @param clock what time it is to this worker, ms epoch
 */
export async function claim(
  shard: Shard,
  number: number,
  generation: number,
  counted: number,
  retention: Retention,
  clock: number,
): Promise<ClaimResult> {
  const reply = (await shard.run('claim', [
    number,
    generation,
    counted,
    retention.recordsMs,
    retention.bodiesMs,
    clock,
  ])) as ScriptReply[];
  const result = text(reply[0]);
  if (result === 'settled') return { result, ...outcome(reply.slice(1)) };
  if (result === 'busy') return { result, ms: Number(text(reply[1])), ...readTurn(shard, reply.slice(2)) };
  if (result === 'held') return { result, ...readTurn(shard, reply.slice(1)) };
  if (result === 'skipped') {
    return { result, reason: reasonName(Number(text(reply[1]))), ...readTurn(shard, reply.slice(2)) };
  }
  const delivery = result === 'run' ? decodeDelivery(reply[1] as Buffer) : undefined;
  if (!delivery) return { result: 'gone' };
  const sequence = text(reply[3]);
  const version = reply[5] ?? null;
  return {
    result: 'run',
    delivery,
    eventRecord: (reply[2] as Buffer | null) ?? undefined,
    sequence: sequence === '' ? undefined : Number(sequence),
    body: (reply[4] as Buffer | null) ?? undefined,
    configVersion: version === null ? undefined : Number(text(version)),
    averageMs: Number(text(reply[6])),
    ...readTurn(shard, reply.slice(7)),
  };
}

/**
 * Gives back the token that an attempt has taken at an endpoint's rate limit, before it is made: its delivery keeps its
 * place, and takes another when it is claimed again. Otherwise each claim would count as an attempt whose worker died.
 */
export async function giveBackToken(
  shard: Shard,
  endpoint: number,
  number: number,
  attempt: number,
): Promise<void> {
  await shard.client.zrem(shard.key(`tok:${endpoint}`), `${number}:${attempt}`);
}

/** {status, reason, ms until due, attempts, HTTP status}, as CLAIM and SETTLE give it. */
export function outcome(reply: ScriptReply[]): Outcome {
  return {
    status: STATUSES[Number(text(reply[0]))]!,
    reason: reasonName(Number(text(reply[1]))),
    delayMs: Number(text(reply[2])),
    attempts: Number(text(reply[3])),
    statusCode: Number(text(reply[4])),
  };
}
