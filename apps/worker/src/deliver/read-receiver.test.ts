import type { AttemptOutcome } from '@sealpost/core';
import { describe, expect, it } from 'vitest';
import { readReceiver } from './read-receiver.ts';

const outcome = (part: Partial<AttemptOutcome>): AttemptOutcome => ({
  startedAt: 0,
  durationMs: 12,
  phases: {},
  reason: 'http_status',
  ...part,
});

describe('what an attempt says of its receiver', () => {
  it.each([
    [{ reason: 'none', statusCode: 204 }, 'success'],
    [{ statusCode: 500 }, 'failure'],
    [{ statusCode: 503 }, 'failure'],
    [{ reason: 'timeout', statusCode: 200 }, 'failure'],
    [{ reason: 'connection_failed' }, 'failure'],
    [{ reason: 'dns_failed' }, 'failure'],
    [{ statusCode: 429 }, 'overload'],
    [{ statusCode: 404 }, 'answer'],
    [{ statusCode: 302 }, 'answer'],
    [{ reason: 'address_blocked' }, 'answer'],
  ] as const)('%j: %s', (part, sign) => {
    expect(readReceiver(outcome(part)).sign).toBe(sign);
  });

  it.each([
    [429, 7, 7000],
    [503, 7, 7000],
    [503, undefined, 0],
    [500, 7, 0],
    [301, 7, 0],
  ])('a %i with Retry-After %s holds the lane for %i ms', (statusCode, retryAfterSeconds, ms) => {
    const given = retryAfterSeconds === undefined ? {} : { retryAfterSeconds };
    expect(readReceiver(outcome({ statusCode, ...given })).holdMs).toBe(ms);
  });
});
