import { basename } from 'node:path';
import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Those that take more than 20 s. Most of them wait: for locks, drains, backoffs, outages. */
const LONGEST = [
  'drain-load',
  'crash-points',
  'alerts',
  'lanes-breaker',
  'processes',
  'lanes-ordered',
  'faults',
  'operational-events',
  'replay',
  'lanes-slow-receivers',
  'rotate-master-key',
  'redis-away',
  'lanes-pause',
  'drain',
  'attack-clients',
  'move-app-records',
  'overload',
  'npm-start',
  'tracing',
  'cluster',
];

/** None of the longest runs alone at the end. What is not among them has Vitest's order. */
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification) => {
      const place = LONGEST.indexOf(basename(moduleId, '.test.ts'));
      return place < 0 ? LONGEST.length : place;
    };
    return (await super.sort(files)).sort((a, b) => rank(a) - rank(b));
  }
}

// Whole systems of real processes: each file starts its own.
// The limits cost nothing while all is well: what hangs is told by the harness' own waits, which are shorter.
export default defineConfig({
  test: {
    testTimeout: 180_000,
    hookTimeout: 180_000,
    // More at once than there are cores on a small machine, since much is waited for.
    maxWorkers: 3,
    // Of a file; where each test starts a stack of its own, so many start at once.
    maxConcurrency: 3,
    sequence: { sequencer: LongestFirst },
  },
});
