import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { startStack } from './harness/index.ts';

const LINUX = process.platform === 'linux';

/** CPU time of a process so far, in clock ticks of 10 ms (proc(5): utime and stime). */
function ticks(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
  return Number(fields[11]) + Number(fields[12]);
}

it.skipIf(!LINUX)(
  'a worker with nothing to do uses next to no CPU (read from /proc, so on Linux only)',
  async () => {
    const stack = await startStack();
    await stack.client.put('/v1/apps/idle', {});
    const pid = stack.workers[0]!.pid!;
    // The observed time is the subject: a share of it is asserted, with a wide margin, and no duration.
    await delay(2000);
    const before = ticks(pid);
    const seconds = 5;
    await delay(seconds * 1000);
    const share = (ticks(pid) - before) / 100 / seconds;
    console.log(`an idle worker used ${(share * 100).toFixed(1)} % of a core`);
    expect(share).toBeLessThan(0.05);
  },
);
