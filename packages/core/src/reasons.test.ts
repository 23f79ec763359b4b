import { expect, it } from 'vitest';
import { REASONS, reasonName, reasonNumber } from './reasons.ts';
import { STATUSES } from './types.ts';

it('keeps the number under which each reason is stored', () => {
  // Records hold these numbers: this list may grow at its end, nothing else
  expect(REASONS.slice(0, 25)).toEqual([
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
  ]);
});

it('keeps the number under which each status is stored', () => {
  expect(STATUSES.slice(0, 6)).toEqual(['pending', 'retrying', 'delivered', 'dead', 'skipped', 'cancelled']);
});

it('names every number that it gives out, and no other', () => {
  for (const reason of REASONS) expect(reasonName(reasonNumber(reason))).toBe(reason);
  expect(() => reasonName(REASONS.length)).toThrow(RangeError);
  expect(() => reasonName(-1)).toThrow(RangeError);
});
