import { expect, it } from 'vitest';
import { readRetryAfter, retryDelayMs } from './retry-delay.ts';

it.each([
  [{ attempt: 1, random: 0 }, 100],
  [{ attempt: 1, random: 0.999 }, 50],
  [{ attempt: 4, random: 0 }, 800],
  [{ attempt: 7, random: 0 }, 5000],
  [{ attempt: 2000, random: 0 }, 5000],
  [{ attempt: 1, random: 0.999, retryAfterSeconds: 5 }, 5050],
])('after %o the wait is %i ms', (attempt, ms) => {
  expect(retryDelayMs(attempt)).toBe(ms);
});

it.each([
  [undefined, undefined],
  ['7', 7],
  ['Thu, 01 Jan 1970 00:00:20 GMT', 10],
  ['Thu, 01 Jan 1970 00:00:00 GMT', 0],
  ['soon', undefined],
])('Retry-After: %s', (header, seconds) => {
  expect(readRetryAfter(header, 10_000)).toBe(seconds);
});
