import { expect, it } from 'vitest';
import { failuresOf } from './overload/conclude.ts';
import { FAN_OUT, runOverload } from './overload/run-overload.ts';

const DEPTH = 20_000;

// What counts and does not time, of `npm run test:overload`.
it('20,000 deliveries of 500 endpoints wait: memory is bounded, events are refused from there on, and all arrive once', async () => {
  const report = await runOverload({
    deliveries: DEPTH,
    apps: 5,
    types: 10,
    workers: 1,
    perRow: DEPTH / 2,
    sheddingMs: 3000,
    catchUpMs: 300_000,
    say: () => {},
  });
  expect(failuresOf(report, DEPTH, 4 * 100 * FAN_OUT)).toEqual([]);
  expect(report.rows.map(({ name }) => name)).toContain('refusing');
}, 500_000);
