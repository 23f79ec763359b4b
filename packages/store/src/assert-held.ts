import { SealpostError } from '@sealpost/core';
import type { Confirmation } from '@sealpost/queue';

/** @throws SealpostError not_durable */
export function assertHeld(confirmation: Confirmation): void {
  if (confirmation === 'held') return;
  const why =
    confirmation === 'late'
      ? 'Redis has it, but the replica or the disk that is waited for had it not in time.'
      : 'Redis has lost it: a server went away just now, and another one took over.';
  throw new SealpostError('not_durable', `${why} Send it again with the same id or Idempotency-Key.`, {
    retryAfterSeconds: 5,
  });
}
