import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it, onTestFinished } from 'vitest';
import { inTurns } from '../bench/main/rounds.ts';
import { type Found, judge } from '../bench/main/targets.ts';

const ROOT = join(import.meta.dirname, '..');
const run = promisify(execFile);

/** CPU time of other processes is read as Linux tells it. */
const onLinux = process.platform === 'linux';

// That it works, not what it finds: figures of a machine that runs tests mean nothing.
it.runIf(onLinux)(
  'npm run bench measures, prints a table and writes JSON',
  { timeout: 300_000 },
  async () => {
    const dir = await mkdtemp(join(tmpdir(), 'sealpost-bench-test-'));
    onTestFinished(() => rm(dir, { recursive: true, force: true }));
    const json = join(dir, 'figures.json');
    const args = ['bench/main.ts', '--short', '--only', 'publish,fan-out,retries', '--json', json];
    const { stdout } = await run(process.execPath, args, { cwd: ROOT });
    expect(stdout).toContain('publish one by one: API, × Express + zod + add');
    const { cores, measured, targets } = JSON.parse(await readFile(json, 'utf8'));
    expect(cores).toBeGreaterThan(0);
    expect(measured['sealpost-retries-undici'].cpu.worker.value).toBeGreaterThan(0);
    expect(targets.length).toBeGreaterThan(0);
  },
);

it.each([10, 3])(
  'of %i rounds the second best is told, of what should be little and of what should be much',
  async (rounds) => {
    let n = 0;
    const run = async () => {
      n += 1;
      return { cpu: { api: n }, perSecond: n };
    };
    const options = { rounds, warmUp: 0, budget: 60, onRound: () => {} };
    const { one } = await inTurns([{ name: 'one', run }], options);
    expect([one!.cpu.api!.value, one!.perSecond.value]).toEqual([2, rounds - 1]);
  },
);

it('a target says what it compares, and whether it is met', () => {
  const targets = judge({ measured: {}, latency: {}, bytes: { waiting: 451, delivered: 500, delayed: 0 } });
  expect(targets).toEqual([
    {
      name: 'Redis, a waiting delivery',
      bound: 'at most 450 bytes',
      measured: '451 bytes',
      met: false,
    },
    { name: 'Redis, a delivered one', bound: 'at most 500 bytes', measured: '500 bytes', met: true },
  ]);
});

it('deliveries that never arrive are slower than any target', () => {
  const latency = { perSecond: 100, count: 1, missing: 1, p50: Infinity, p95: Infinity, p99: Infinity };
  const found: Found = {
    measured: {},
    latency: { got: Array.from({ length: 3 }, () => ({ ...latency, max: Infinity })) },
    bytes: undefined,
  };
  expect(judge(found)).toMatchObject([{ measured: 'not in time', met: false }]);
});
