import { describe, expect, it } from 'vitest';
import { attemptReason, classifyOutcome } from './classify.ts';
import type { Reason } from './reasons.ts';
import { DEFAULT_RETRY } from './schemas/retry.ts';
import type { AttemptOutcome, RetryPolicy } from './types.ts';

const ANY: RetryPolicy = { ...DEFAULT_RETRY, retry_on: 'non_2xx' };
const FEW: RetryPolicy = { ...DEFAULT_RETRY, retry_on: '5xx_429' };
const TRANSIENT: RetryPolicy = { ...DEFAULT_RETRY, retry_on: 'transient' };

function answered(statusCode: number): AttemptOutcome {
  const reason = statusCode >= 200 && statusCode < 300 ? 'none' : 'http_status';
  return { startedAt: 0, durationMs: 1, phases: {}, statusCode, reason };
}

function failed(reason: Reason): AttemptOutcome {
  return { startedAt: 0, durationMs: 1, phases: {}, reason };
}

describe('classifyOutcome', () => {
  it.each([200, 201, 202, 204, 299])('delivers on %i', (status) => {
    const expected = { verdict: 'delivered', reason: 'none', disableEndpoint: false };
    expect(classifyOutcome(answered(status), ANY, 3)).toEqual(expected);
    expect(classifyOutcome(answered(status), TRANSIENT, 0)).toEqual(expected);
  });

  it.each([408, 425, 429, 500, 501, 503, 599])('retries %i under non_2xx and transient', (status) => {
    const expected = { verdict: 'retry', reason: 'http_status', disableEndpoint: false };
    const under5xx429 = status === 408 || status === 425 ? 'dead' : 'retry';
    expect(classifyOutcome(answered(status), FEW, 1).verdict).toBe(under5xx429);
    expect(classifyOutcome(answered(status), ANY, 1)).toEqual(expected);
    expect(classifyOutcome(answered(status), TRANSIENT, 1)).toEqual(expected);
  });

  it.each([199, 300, 301, 302, 307, 400, 401, 404, 422])('retries %i only under non_2xx', (status) => {
    expect(classifyOutcome(answered(status), ANY, 1).verdict).toBe('retry');
    expect(classifyOutcome(answered(status), FEW, 1).verdict).toBe('dead');
    expect(classifyOutcome(answered(status), TRANSIENT, 1)).toEqual({
      verdict: 'dead',
      reason: 'http_status',
      disableEndpoint: false,
    });
  });

  it('ends at 410 and disables the endpoint', () => {
    const expected = { verdict: 'dead', reason: 'http_status', disableEndpoint: true };
    expect(classifyOutcome(answered(410), ANY, 3)).toEqual(expected);
    expect(classifyOutcome(answered(410), TRANSIENT, 0)).toEqual(expected);
    expect(classifyOutcome(answered(410), FEW, 1)).toEqual(expected);
  });

  it.each(['timeout', 'connection_failed', 'dns_failed', 'tls_failed', 'response_invalid'] as const)(
    'retries after %s',
    (reason) => {
      for (const policy of [TRANSIENT, FEW]) {
        expect(classifyOutcome(failed(reason), policy, 1)).toEqual({
          verdict: 'retry',
          reason,
          disableEndpoint: false,
        });
      }
    },
  );

  it.each([
    'address_blocked',
    'https_required',
    'seal_invalid',
    'payload_expired',
    'unacceptable_url',
    'config_invalid',
    'endpoint_deleted',
  ] as const)('ends at %s, which no attempt can change', (reason) => {
    expect(classifyOutcome(failed(reason), ANY, 3)).toEqual({
      verdict: 'dead',
      reason,
      disableEndpoint: false,
    });
  });

  it.each([answered(500), answered(404), failed('timeout')])('ends when no retry is left', (outcome) => {
    expect(classifyOutcome(outcome, ANY, 0)).toEqual({
      verdict: 'dead',
      reason: 'retries_exhausted',
      disableEndpoint: false,
    });
  });

  it('does not deliver a 200 whose body timed out', () => {
    const outcome: AttemptOutcome = { ...answered(200), reason: 'timeout' };
    expect(classifyOutcome(outcome, ANY, 1)).toMatchObject({ verdict: 'retry', reason: 'timeout' });
  });
});

describe('attemptReason', () => {
  it('reads the status where nothing else went wrong', () => {
    expect(attemptReason({ ...answered(200), reason: 'http_status' })).toBe('none');
    expect(attemptReason({ ...answered(500), reason: 'none' })).toBe('http_status');
    expect(attemptReason(failed('none'))).toBe('response_invalid');
  });
});
