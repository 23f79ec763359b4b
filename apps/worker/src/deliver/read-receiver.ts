import { type AttemptOutcome, attemptReason, type Reason } from '@sealpost/core';
import type { ReceiverSign, Settlement } from '@sealpost/queue';

/** It did not get through, or no answer came back. */
const NETWORK: ReadonlySet<Reason> = new Set([
  'timeout',
  'connection_failed',
  'dns_failed',
  'tls_failed',
  'response_invalid',
]);
/** RFC 9110 §15.6.4, RFC 6585 §4: with these, Retry-After is meant for all requests, not for this one alone. */
const ASKS_TO_WAIT: ReadonlySet<number> = new Set([429, 503]);

/** What an attempt says of its receiver, for its lane. Pure. */
export function readReceiver(outcome: AttemptOutcome): NonNullable<Settlement['receiver']> {
  const asks = ASKS_TO_WAIT.has(outcome.statusCode ?? 0);
  return {
    sign: signOf(outcome),
    durationMs: outcome.durationMs,
    holdMs: asks ? (outcome.retryAfterSeconds ?? 0) * 1000 : 0,
  };
}

function signOf(outcome: AttemptOutcome): ReceiverSign {
  const reason = attemptReason(outcome);
  if (reason === 'none') return 'success';
  if (NETWORK.has(reason)) return 'failure';
  const status = outcome.statusCode ?? 0;
  if (status >= 500) return 'failure';
  return status === 429 ? 'overload' : 'answer';
}
