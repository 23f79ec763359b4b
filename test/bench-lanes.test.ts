import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

const ROOT = join(import.meta.dirname, '..');
const run = promisify(execFile);

// Of the lanes' benchmark, what counts and does not time: times are for `npm run bench:lanes`.
it('among many endpoints with a backlog an idle one waits for less than a turn, and BullMQ holds twice the slots at most', async () => {
  const args = ['bench/lanes.ts', '--short', 'idle-among-10000'];
  const { stdout } = await run(process.execPath, args, { cwd: ROOT });
  expect(stdout).toContain('PASS');
  expect(stdout).not.toContain('FAIL');
});
