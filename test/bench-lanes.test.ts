import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { summarize } from '../bench/harness/statistics.ts';
import { judge } from '../bench/lanes/hang-and-flood.ts';

const ROOT = join(import.meta.dirname, '..');
const run = promisify(execFile);

// Of the lanes' benchmark, what counts and does not time: times are for `npm run bench:lanes`.
it('among many endpoints with a backlog an idle one waits for less than a turn, and BullMQ holds twice the slots at most', {
  timeout: 300_000,
}, async () => {
  const args = ['bench/lanes.ts', '--short', 'idle-among-10000'];
  const { stdout } = await run(process.execPath, args, { cwd: ROOT });
  expect(stdout).toContain('PASS');
  expect(stdout).not.toContain('FAIL');
});

it.each<[string, number[], number[], boolean]>([
  ['as fast as alone', [5, 10, 15], [5, 12, 20], true],
  ['slower than half as long again, and by more than 30 ms', [5, 10, 15], [5, 20, 100], false],
  ['that never arrive', [5, 10, 15], [Infinity, Infinity, Infinity], false],
  ['measured against a run in which nothing arrived', [Infinity, Infinity], [Infinity, Infinity], false],
  ['measured against a run without events', [], [5], false],
])('healthy endpoints %s', (_, alone, withBad, ok) => {
  expect(judge(summarize(alone), summarize(withBad)).ok).toBe(ok);
});
