/**
 * Why an attempt failed or a delivery ended. Records store the index, so this list is append-only: an entry is
 * never renumbered, renamed or removed.
 */
export const REASONS = [
  'none',
  'http_status',
  'timeout',
  'connection_failed',
  'dns_failed',
  'tls_failed',
  'address_blocked',
  'response_invalid',
  'retries_exhausted',
  'seal_invalid',
  'payload_expired',
  'endpoint_disabled',
  'endpoint_deleted',
  'app_deleted',
  'cancelled_by_request',
  'https_required',
  'config_invalid',
  'unacceptable_url',
  'worker_lost',
  'rate_limited',
  'quiet_hours',
  'expired',
  'filtered',
  'filter_failed',
  'transform_failed',
] as const;

export type Reason = (typeof REASONS)[number];

const NUMBERS = new Map<string, number>(REASONS.map((reason, index) => [reason, index]));

/** The number under which a reason is stored. */
export function reasonNumber(reason: Reason): number {
  return NUMBERS.get(reason)!;
}

/** The reason stored as `number`. Throws a `RangeError` for a number that no version of this list has given out. */
export function reasonName(number: number): Reason {
  const reason = REASONS[number];
  if (reason === undefined) throw new RangeError(`there is no reason with number ${number}`);
  return reason;
}
