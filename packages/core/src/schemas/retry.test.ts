import { describe, expect, it } from 'vitest';
import type { RetryPolicy } from '../types.ts';
import {
  DEFAULT_RETRY,
  effectiveRetry,
  effectiveTimeoutSeconds,
  type RetryPolicyInput,
  retryPolicy,
  retryProblem,
} from './retry.ts';

describe('retryPolicy', () => {
  it.each([
    {},
    { max_retries: 0 },
    { max_retries: 50 },
    { retry_on: '5xx_429' },
    { base_seconds: 0.05, factor: 1.5, max_delay_seconds: 0.2, jitter: 1 },
    { strategy: 'schedule', schedule_seconds: [0, 0.5, 86_400] },
  ])('takes %j as it is', (input) => expect(retryPolicy.parse(input)).toEqual(input));

  it.each([
    { strategy: 'schedule' },
    { strategy: 'schedule', schedule_seconds: [] },
    { strategy: 'schedule', schedule_seconds: [-1] },
    { strategy: 'linear', schedule_seconds: [1] },
    { schedule_seconds: [1] },
    { factor: 0.5 },
    { jitter: 1.1 },
    { max_retries: -1 },
    { retry_on: 'all' },
  ])('refuses %j', (input) => expect(retryPolicy.safeParse(input).success).toBe(false));
});

describe('effectiveRetry', () => {
  const schedule: RetryPolicyInput = { strategy: 'schedule', schedule_seconds: [1, 2] };

  it.each([
    ['the built-in policy', [], DEFAULT_RETRY],
    ['the built-in policy without layers', [undefined, {}], DEFAULT_RETRY],
    [
      'fields of several layers, the later ones first',
      [{ max_retries: 5, jitter: 0.5 }, undefined, { max_retries: 7 }],
      { ...DEFAULT_RETRY, max_retries: 7, jitter: 0.5 },
    ],
    [
      'as many retries as the schedule has entries',
      [schedule],
      { ...DEFAULT_RETRY, ...schedule, max_retries: 2 },
    ],
    [
      'the schedule over retries of an earlier layer',
      [{ max_retries: 5 }, schedule],
      { ...DEFAULT_RETRY, ...schedule, max_retries: 2 },
    ],
    [
      'retries of a later layer over the schedule',
      [schedule, { max_retries: 5 }],
      { ...DEFAULT_RETRY, ...schedule, max_retries: 5 },
    ],
    [
      'another strategy without the schedule of an earlier layer',
      [schedule, { strategy: 'linear' }],
      { ...DEFAULT_RETRY, strategy: 'linear' },
    ],
  ] as [string, (Partial<RetryPolicy> | undefined)[], RetryPolicy][])('gives %s', (_, layers, expected) => {
    expect(effectiveRetry(...layers)).toEqual(expected);
  });

  it('leaves its layers as they are', () => {
    const layer: RetryPolicyInput = { ...schedule };
    effectiveRetry(layer, { strategy: 'linear' });
    expect(layer).toEqual(schedule);
    expect(DEFAULT_RETRY.max_retries).toBe(3);
  });
});

describe('retryProblem', () => {
  it('finds a schedule that is missing or out of place', () => {
    expect(retryProblem(DEFAULT_RETRY)).toBeUndefined();
    expect(retryProblem(effectiveRetry({ strategy: 'schedule' }))).toMatch(
      /^retry.schedule_seconds is required/,
    );
    expect(retryProblem({ ...DEFAULT_RETRY, schedule_seconds: [1] })).toMatch(/needs the strategy/);
  });
});

describe('effectiveTimeoutSeconds', () => {
  it('is the last one given, else 30', () => {
    expect(effectiveTimeoutSeconds()).toBe(30);
    expect(effectiveTimeoutSeconds(10, undefined)).toBe(10);
    expect(effectiveTimeoutSeconds(10, 20)).toBe(20);
  });
});
