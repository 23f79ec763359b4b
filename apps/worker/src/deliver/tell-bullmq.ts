import type { Outcome } from '@sealpost/queue';
import { UnrecoverableError } from 'bullmq';

/** A failed attempt that will be made again: BullMQ counts it and waits `delayMs`. */
export class RetryLater extends Error {
  override readonly name = 'RetryLater';
  readonly delayMs: number;

  constructor(message: string, delayMs: number) {
    super(message);
    this.delayMs = delayMs;
  }
}

/** BullMQ's `backoffStrategy`. Total: one that throws would leave the job active until it stalls. */
export function backoff(_attemptsMade: number, _type?: string, error?: Error): number {
  return error instanceof RetryLater && Number.isFinite(error.delayMs) ? Math.max(1, error.delayMs) : 1000;
}

/**
 * Puts a delivery's outcome into BullMQ: returning completes the job.
 * @throws RetryLater: the job waits for its backoff. UnrecoverableError: the job is failed, the delivery dead.
 */
export function tellBullMq(outcome: Outcome): void {
  const status = outcome.statusCode === 0 ? '' : ` (HTTP ${outcome.statusCode})`;
  const why = `${outcome.reason}${status}, attempt ${outcome.attempts}`;
  if (outcome.status === 'retrying') throw new RetryLater(why, outcome.delayMs);
  if (outcome.status === 'dead') throw new UnrecoverableError(why);
}
