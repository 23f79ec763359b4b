import { configDefaults, defineConfig } from 'vitest/config';

/** Files that wait most of the time: for locks, drains, backoffs, probes, outages. More of them run at once than there are cores. */
const WAITING = [
  'crash-points',
  'drain',
  'drain-load',
  'durability',
  'lanes-age',
  'lanes-breaker',
  'lanes-ordered',
  'lanes-pause',
  'lanes-quiet-hours',
  'lanes-retries',
  'lanes-scheduled',
  'lanes-slow-receivers',
  'operational-events',
  'prefer-wait',
  'readiness',
  'redis-away',
  'retry',
].map((name) => `${name}.test.ts`);

// Whole systems of real processes: each file starts its own.
// The limits cost nothing while all is well: what hangs is told by the harness' own waits, which are shorter.
const limits = { testTimeout: 180_000, hookTimeout: 180_000 };

export default defineConfig({
  test: {
    projects: [
      // First, while the other packages' tests still use the CPU.
      {
        test: {
          ...limits,
          name: 'waiting',
          include: WAITING,
          maxWorkers: 4,
          // Of a file; where each test starts a stack of its own, so many start at once. Files with one stack for all say more.
          maxConcurrency: 3,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          ...limits,
          name: 'working',
          exclude: [...configDefaults.exclude, ...WAITING],
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
