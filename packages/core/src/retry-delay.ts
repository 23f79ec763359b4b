import type { RetryPolicy } from './types.ts';

/** A receiver may ask for at most this wait, in seconds: 24 hours. */
export const MAX_RETRY_AFTER_SECONDS = 86_400;

export type RetryDelayInput = {
  retry: RetryPolicy;
  /** 1 for the first retry, that is the second attempt. */
  retryNumber: number;
  /** What the receiver asked for, in seconds. */
  retryAfterSeconds?: number | undefined;
  /** Uniform in [0, 1), such as `Math.random`. */
  random: () => number;
};

/**
 * Seconds to wait before a retry, possibly a fraction. Total: it never throws, and answers a finite number ≥ 0 for
 * any input, since a backoff strategy that throws would leave the job active.
 *
 * - `exponential`: base · factor^(n−1); `linear`: base · n; both at most `max_delay_seconds`
 * - `schedule`: the n-th entry as it stands, the last one repeating
 * - jitter then takes away up to its share
 * - a Retry-After that is longer wins, up to 24 hours
 */
export function nextDelaySeconds({ retry, retryNumber, retryAfterSeconds, random }: RetryDelayInput): number {
  const delay = policyDelay(retry, Math.max(1, retryNumber));
  const jittered = orZero(delay * (1 - retry.jitter * random()));
  return Math.max(jittered, Math.min(orZero(retryAfterSeconds), MAX_RETRY_AFTER_SECONDS));
}

function policyDelay(retry: RetryPolicy, retryNumber: number): number {
  const { strategy, base_seconds: base, max_delay_seconds: max } = retry;
  if (strategy === 'schedule') {
    const schedule = retry.schedule_seconds ?? [];
    return orZero(schedule[Math.min(retryNumber, schedule.length) - 1]);
  }
  const growth = strategy === 'linear' ? retryNumber : retry.factor ** (retryNumber - 1);
  return orZero(Math.min(base * growth, max));
}

/** The number, or 0 for one that is missing, negative, infinite or not a number. */
function orZero(value: number | undefined): number {
  return value !== undefined && Number.isFinite(value) && value > 0 ? value : 0;
}

const DELAY_SECONDS = /^[0-9]+$/;
const IMF_FIXDATE = /^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/;
const ASCTIME = /^[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d{2}:\d{2}:\d{2} \d{4}$/;
const RFC_850 = /^[A-Z][a-z]+day, (\d{2}-[A-Z][a-z]{2}-)(\d{2})( \d{2}:\d{2}:\d{2} GMT)$/;

/**
 * Seconds that a `Retry-After` header asks to wait from `now` (RFC 9110 §10.2.3: seconds, or an HTTP-date in any of
 * the forms of §5.6.7), at most 24 hours; 0 for a time that has passed; undefined for none or a malformed one.
 */
export function parseRetryAfter(header: string | undefined, now: Date): number | undefined {
  const text = header?.trim() ?? '';
  if (DELAY_SECONDS.test(text)) return Math.min(Number(text), MAX_RETRY_AFTER_SECONDS);
  const time = httpDate(text, now);
  if (time === undefined) return undefined;
  return Math.min(Math.max(0, Math.ceil((time - now.getTime()) / 1000)), MAX_RETRY_AFTER_SECONDS);
}

/** Milliseconds since the epoch of an HTTP-date (RFC 9110 §5.6.7), or undefined. */
function httpDate(text: string, now: Date): number | undefined {
  let time = Number.NaN;
  const old = RFC_850.exec(text);
  if (IMF_FIXDATE.test(text)) time = Date.parse(text);
  else if (ASCTIME.test(text)) time = Date.parse(`${text} GMT`);
  else if (old) {
    const year = fullYear(Number(old[2]), now);
    time = Date.parse(`${old[1]!.replaceAll('-', ' ')}${year}${old[3]}`);
  }
  return Number.isNaN(time) ? undefined : time;
}

/** A year of two digits that seems more than 50 years ahead is the latest past one with these digits. */
function fullYear(twoDigits: number, now: Date): number {
  const thisYear = now.getUTCFullYear();
  const year = thisYear - (thisYear % 100) + twoDigits;
  return year > thisYear + 50 ? year - 100 : year;
}
