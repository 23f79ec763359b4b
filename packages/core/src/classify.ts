import type { Reason } from './reasons.ts';
import type { AttemptOutcome, RetryOn, RetryPolicy } from './types.ts';

export type Classification = {
  verdict: 'delivered' | 'retry' | 'dead';
  /**
   * Of the delivery: `none` when delivered, `retries_exhausted` when it would have been retried once more, else why
   * the attempt failed.
   */
  reason: Reason;
  disableEndpoint: boolean;
};

/** Failures that another attempt can meet with success. `http_status` depends on the status. */
const NETWORK_REASONS: ReadonlySet<Reason> = new Set([
  'timeout',
  'connection_failed',
  'dns_failed',
  'tls_failed',
  'response_invalid',
]);

/**
 * What becomes of a delivery after an attempt. Pure.
 *
 *   2xx, complete                              → delivered
 *   410                                        → dead, and its endpoint is disabled
 *   refused by Sealpost (address, seal, …)     → dead: no attempt can succeed
 *   network error, timeout, 429, 5xx           → retry
 *   408, 425                                   → retry, but dead under `5xx_429`
 *   any other status                           → retry under `non_2xx`, else dead
 *   retry, with none left                      → dead, retries_exhausted
 *
 * @param retriesLeft how often this delivery may still be retried, this attempt having been made
 */
export function classifyOutcome(
  outcome: AttemptOutcome,
  retry: RetryPolicy,
  retriesLeft: number,
): Classification {
  const reason = attemptReason(outcome);
  if (reason === 'none') return { verdict: 'delivered', reason, disableEndpoint: false };
  if (outcome.statusCode === 410) return { verdict: 'dead', reason, disableEndpoint: true };
  if (!isRetryable(outcome, reason, retry)) return { verdict: 'dead', reason, disableEndpoint: false };
  if (retriesLeft <= 0) return { verdict: 'dead', reason: 'retries_exhausted', disableEndpoint: false };
  return { verdict: 'retry', reason, disableEndpoint: false };
}

/**
 * Why an attempt failed, or `none`. A status counts only where nothing else went wrong: a 200 whose body did not
 * end in time is a timeout.
 */
export function attemptReason(outcome: AttemptOutcome): Reason {
  if (outcome.reason !== 'none' && outcome.reason !== 'http_status') return outcome.reason;
  const status = outcome.statusCode;
  if (status === undefined) return 'response_invalid';
  return status >= 200 && status < 300 ? 'none' : 'http_status';
}

function isRetryable(outcome: AttemptOutcome, reason: Reason, retry: RetryPolicy): boolean {
  if (reason !== 'http_status') return NETWORK_REASONS.has(reason);
  return isRetryableStatus(outcome.statusCode ?? 0, retry.retry_on);
}

function isRetryableStatus(status: number, retryOn: RetryOn): boolean {
  if (retryOn === 'non_2xx' || status === 429 || status >= 500) return true;
  return retryOn === 'transient' && (status === 408 || status === 425);
}
