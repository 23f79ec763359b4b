const BASE_MS = 100;
const MAX_MS = 5000;

export type Attempt = {
  /** Counts from 1: which attempt has failed. */
  attempt: number;
  /** What the answer asked for. */
  retryAfterSeconds?: number | undefined;
  /** 0 ≤ random < 1. */
  random: number;
};

/**
 * How long to wait before the next attempt, ms: doubling from 100 ms up to 5 s, of which chance takes up to half; and no
 * sooner than the answer asked for, after which clients come back at different times all the same.
 */
export function retryDelayMs({ attempt, retryAfterSeconds = 0, random }: Attempt): number {
  const ceiling = Math.min(BASE_MS * 2 ** (attempt - 1), MAX_MS);
  return Math.round(retryAfterSeconds * 1000 + ceiling * (1 - random / 2));
}

/** Seconds of a Retry-After header (RFC 9110 §10.2.3), a number or a date; undefined: none that can be read. */
export function readRetryAfter(header: string | undefined, now: number): number | undefined {
  if (header === undefined) return undefined;
  if (/^\d{1,9}$/.test(header)) return Number(header);
  const at = Date.parse(header);
  return Number.isNaN(at) ? undefined : Math.max(0, (at - now) / 1000);
}
