import { expect, it } from 'vitest';
import { deathsInARow, restartDelayMs } from './restart-delay.ts';

it('one that dies again and again is started ever later, every 30 s at last', () => {
  const delays = [1, 2, 3, 6, 7, 8, 2000].map(restartDelayMs);
  expect(delays).toEqual([500, 1000, 2000, 16_000, 30_000, 30_000, 30_000]);
});

it('one that had worked for a minute is started soon', () => {
  expect(deathsInARow(5, 59_999)).toBe(6);
  expect(deathsInARow(5, 60_000)).toBe(1);
  expect(deathsInARow(0, 10)).toBe(1);
});
