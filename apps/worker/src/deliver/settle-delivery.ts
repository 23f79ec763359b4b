import {
  type AttemptOutcome,
  classifyOutcome,
  nextDelaySeconds,
  type Reason,
  type RetryPolicy,
  type SentHeaders,
} from '@sealpost/core';
import {
  type EventRecord,
  encodeAttempt,
  isUnavailable,
  type Retention,
  type Settled,
  type Settlement,
  type Shard,
  settle,
} from '@sealpost/queue';
import type { DisableReason } from './disable-endpoint.ts';
import { readReceiver } from './read-receiver.ts';

/** Between tries to settle while Redis takes no writes, ms. */
const AGAIN_MS = 500;

/** The delivery whose attempt is settled. */
export type Attempted = {
  number: number;
  generation: number;
  attempt: number;
  event: EventRecord | undefined;
};

/** What every settlement needs of the process's settings, and a random number (0 to 1). */
export type SettleOptions = { retention: Retention; disableAfterMs: number; random: () => number };

/** What a finished attempt means for its delivery. `retriesLeft`: before this failure is counted. */
export function settlementOf(
  attempted: Attempted,
  outcome: AttemptOutcome,
  retry: RetryPolicy,
  retriesLeft: number,
  sent: SentHeaders,
  { retention, disableAfterMs, random }: SettleOptions,
  firstSpanId?: string | undefined,
): { settlement: Settlement; disableEndpoint: DisableReason | undefined } {
  const { verdict, reason, disableEndpoint } = classifyOutcome(outcome, retry, retriesLeft);
  const delaySeconds =
    verdict === 'retry'
      ? nextDelaySeconds({
          retry,
          retryNumber: Math.max(1, retry.max_retries - retriesLeft + 1),
          ...(outcome.retryAfterSeconds === undefined
            ? {}
            : { retryAfterSeconds: outcome.retryAfterSeconds }),
          random,
        })
      : 0;
  const settlement = {
    number: attempted.number,
    generation: attempted.generation,
    attempt: attempted.attempt,
    status: verdict === 'retry' ? 'retrying' : verdict,
    reason,
    statusCode: outcome.statusCode ?? 0,
    delayMs: delaySeconds * 1000,
    attemptRecord: encodeAttempt(outcome, sent, firstSpanId),
    correlationId: attempted.event?.c,
    retention,
    receiver: readReceiver(outcome),
    disableAfterMs,
    random: random(),
  } as const;
  return { settlement, disableEndpoint: disableEndpoint ? 'gone' : undefined };
}

/** The end of a delivery for which nothing is posted. One with a `detail` gets an attempt in its log that says why. */
export function hopeless(
  attempted: Attempted,
  status: 'dead' | 'skipped' | 'cancelled',
  reason: Reason,
  detail: string,
  { retention, disableAfterMs, random }: SettleOptions,
  now: number,
): Settlement {
  const outcome: AttemptOutcome = { startedAt: now, durationMs: 0, phases: {}, reason, detail };
  return {
    number: attempted.number,
    generation: attempted.generation,
    attempt: attempted.attempt,
    status,
    reason,
    statusCode: 0,
    delayMs: 0,
    attemptRecord: detail === '' ? undefined : encodeAttempt(outcome, undefined),
    correlationId: attempted.event?.c,
    retention,
    disableAfterMs,
    random: random(),
  };
}

/**
 * SETTLE, again and again while Redis takes no writes: the attempt has been made, so losing it would mean a repeat.
 * @throws the reason of `signal` when the process has to go first
 */
export async function settleDelivery(
  shard: Shard,
  settlement: Settlement,
  signal: AbortSignal,
): Promise<Settled> {
  for (;;) {
    try {
      return await settle(shard, settlement);
    } catch (error) {
      if (!isUnavailable(error)) throw error;
      await pause(AGAIN_MS, signal);
    }
  }
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', fail, { once: true });
    function done() {
      signal.removeEventListener('abort', fail);
      resolve();
    }
    function fail() {
      clearTimeout(timer);
      reject(signal.reason);
    }
  });
}
