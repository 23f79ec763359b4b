import { describe, expect, it } from 'vitest';
import { laneState } from './lane-state.ts';

const NOW = Date.parse('2026-06-01T23:00:00Z');
const MORNING = Date.parse('2026-06-02T08:00:00Z');
const [EARLIER, SOON, LATER] = [NOW - 1000, NOW + 1000, NOW + 2000].map(String) as [string, string, string];

const idle = {
  state: 'open',
  queued: 0,
  inFlight: 0,
  window: 4,
  maxConcurrency: 32,
  heldUntil: null,
  failingSince: null,
  closedSince: null,
};

describe('the state of a lane', () => {
  it.each<[string, Record<string, string>, object]>([
    ['without a hash', {}, {}],
    ['that is busy', { q: '7', sc: '3', n: '5', w: '8.5' }, { queued: 10, inFlight: 5, window: 8 }],
    ['with less concurrency than its window', { mc: '2', w: '16' }, { window: 2, maxConcurrency: 2 }],
    ['with more concurrency', { mc: '100', w: '64' }, { window: 64, maxConcurrency: 100 }],
    ['in order', { or: '1', w: '16' }, { window: 1 }],
    ['in which an attempt hangs', { w: '16', sk: '1' }, { window: 2 }],
    ['that fails', { fs: EARLIER }, { failingSince: NOW - 1000 }],
    [
      'that is closed, until its probe',
      { fs: EARLIER, cl: EARLIER, pa: SOON },
      { state: 'closed', failingSince: NOW - 1000, closedSince: NOW - 1000, heldUntil: NOW + 1000 },
    ],
    ['that was probed once', { pa: SOON }, {}],
    [
      'whose receiver asked to wait',
      { nb: LATER, cl: EARLIER, pa: SOON },
      { state: 'closed', heldUntil: NOW + 2000, closedSince: NOW - 1000 },
    ],
    ['whose receiver asked to wait, and the time has come', { nb: String(NOW) }, {}],
    ['in quiet hours', { qh: '22-8 UTC', qf: '1', qu: '2', nb: SOON }, { heldUntil: MORNING }],
    ['in quiet hours that skip', { qh: '22-8 UTC', qs: '1' }, {}],
    ['outside of its quiet hours', { qh: '0-8 UTC' }, {}],
    ['with quiet hours that cannot be read', { qh: '22-8 Mars/Base' }, {}],
    [
      'that is paused, and closed',
      { ps: EARLIER, cl: EARLIER },
      { state: 'paused', closedSince: NOW - 1000 },
    ],
    ['that is disabled, and paused', { off: EARLIER, ps: EARLIER }, { state: 'disabled' }],
    ['with counts that went wrong', { q: '-1', n: '-2' }, {}],
  ])('%s', (_, fields, expected) => expect(laneState(fields, NOW)).toEqual({ ...idle, ...expected }));
});
