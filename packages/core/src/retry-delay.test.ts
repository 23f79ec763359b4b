import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { nextDelaySeconds, parseRetryAfter } from './retry-delay.ts';
import { DEFAULT_RETRY } from './schemas/retry.ts';
import type { RetryPolicy } from './types.ts';

function delays(retry: Partial<RetryPolicy>, count: number, random = 0): number[] {
  return Array.from({ length: count }, (_, i) =>
    nextDelaySeconds({ retry: { ...DEFAULT_RETRY, ...retry }, retryNumber: i + 1, random: () => random }),
  );
}

describe('nextDelaySeconds', () => {
  it.each([
    ['the default', {}, [1, 2, 4, 8]],
    ['another base and factor', { base_seconds: 0.5, factor: 3 }, [0.5, 1.5, 4.5, 13.5]],
    ['a cap', { base_seconds: 10, max_delay_seconds: 25 }, [10, 20, 25, 25]],
    ['a linear one', { strategy: 'linear', base_seconds: 5, max_delay_seconds: 12 }, [5, 10, 12, 12]],
    ['a base of 0', { base_seconds: 0, factor: 100 }, [0, 0, 0, 0]],
    ['a schedule, uncapped', { strategy: 'schedule', schedule_seconds: [1.5, 7200, 3] }, [1.5, 7200, 3, 3]],
  ] as [string, Partial<RetryPolicy>, number[]][])('follows %s', (_, retry, expected) => {
    expect(delays(retry, 4)).toEqual(expected);
  });

  it('takes the share of the jitter away from the capped delay', () => {
    const retry = { base_seconds: 100, max_delay_seconds: 150, jitter: 0.5 };
    expect(delays(retry, 2, 0)).toEqual([100, 150]);
    expect(delays(retry, 2, 0.5)).toEqual([75, 112.5]);
    expect(delays({ ...retry, jitter: 1 }, 1, 0.75)).toEqual([25]);
  });

  it.each([
    [undefined, 8],
    [3, 8],
    [20, 20],
    [7200, 7200],
    [86_400, 86_400],
    [1_000_000, 86_400],
    [Number.NaN, 8],
  ])('with a Retry-After of %s waits %s', (retryAfterSeconds, expected) => {
    const retry = { ...DEFAULT_RETRY, base_seconds: 8, max_delay_seconds: 10 };
    expect(nextDelaySeconds({ retry, retryNumber: 1, retryAfterSeconds, random: () => 0 })).toBe(expected);
  });

  it('lets jitter not shorten a Retry-After', () => {
    const retry = { ...DEFAULT_RETRY, base_seconds: 100, jitter: 1 };
    expect(nextDelaySeconds({ retry, retryNumber: 1, retryAfterSeconds: 60, random: () => 0.9 })).toBe(60);
  });

  it('answers a finite delay for any input', () => {
    const number = fc.oneof(fc.double(), fc.integer());
    const retry = fc.record({
      strategy: fc.constantFrom('exponential', 'linear', 'schedule'),
      base_seconds: number,
      factor: number,
      max_delay_seconds: number,
      max_retries: number,
      jitter: number,
      retry_on: fc.constant('non_2xx'),
      schedule_seconds: fc.array(number),
    }) as fc.Arbitrary<RetryPolicy>;
    fc.assert(
      fc.property(retry, number, number, number, (policy, retryNumber, retryAfterSeconds, chance) => {
        const delay = nextDelaySeconds({
          retry: policy,
          retryNumber,
          retryAfterSeconds,
          random: () => chance,
        });
        expect(Number.isFinite(delay) && delay >= 0).toBe(true);
      }),
    );
  });

  it('answers 0 for what is no delay', () => {
    expect(delays({ base_seconds: 0, factor: 1e200 }, 3)).toEqual([0, 0, 0]);
    expect(delays({ base_seconds: Infinity, max_delay_seconds: Infinity }, 1)).toEqual([0]);
  });

  it('answers 0 for a schedule that is missing', () =>
    expect(delays({ strategy: 'schedule' }, 1)).toEqual([0]));
});

describe('parseRetryAfter', () => {
  const now = new Date('2026-03-01T12:00:00.500Z');

  it.each([
    ['0', 0],
    ['120', 120],
    [' 120 ', 120],
    ['86401', 86_400],
    ['9'.repeat(400), 86_400],
    ['Sun, 01 Mar 2026 12:01:00 GMT', 60],
    ['Sunday, 01-Mar-26 12:01:00 GMT', 60],
    ['Sun Mar  1 12:01:00 2026', 60],
    ['Sun Mar 11 12:01:00 2026', 86_400],
    ['Sun, 06 Nov 1994 08:49:37 GMT', 0],
    ['Sunday, 06-Nov-94 08:49:37 GMT', 0],
    ['Sunday, 06-Nov-76 08:49:37 GMT', 86_400],
    ['Sunday, 06-Nov-77 08:49:37 GMT', 0],
  ])('reads %j as %s s', (header, seconds) => expect(parseRetryAfter(header, now)).toBe(seconds));

  it('reads the date of asctime as UTC wherever the process runs', () => {
    vi.stubEnv('TZ', 'Asia/Tokyo');
    try {
      expect(new Date().getTimezoneOffset()).toBe(-540);
      expect(parseRetryAfter('Sun Mar  1 12:01:00 2026', now)).toBe(60);
    } finally {
      vi.unstubAllEnvs();
    }
  });

  it.each([
    undefined,
    '',
    '-1',
    '1.5',
    '+5',
    '0x10',
    '1e3',
    'soon',
    '2026-03-01T12:01:00Z',
    'Sun, 01 Mar 2026 12:01:00',
    'Sun, 01 Foo 2026 12:01:00 GMT',
    'Sun, 01 Mar 2026 12:01:00 +0100',
  ])('does not read %j', (header) => expect(parseRetryAfter(header, now)).toBeUndefined());
});
