/**
 * Prints what an event with one delivery costs Redis, µs of CPU and instructions of the whole server process: ACCEPT, BullMQ's
 * add, fetch, CLAIM, SETTLE and BullMQ's finish, network and parsing included; and the same step by step.
 * Producer and worker run in one process, without HTTP. Each round has a Redis of its own, with an append-only file as
 * `npm start` runs it.
 * Run: `node packages/queue/measure/redis-cost.ts [--base FOLDER] [--rounds N] [--events N] [--aof no]`
 * `--base`: another checkout of Sealpost, measured in turns with this one.
 */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';
import type { Costs } from './redis-cost/round.ts';

const { values } = parseArgs({
  options: {
    base: { type: 'string' },
    rounds: { type: 'string', default: '5' },
    events: { type: 'string', default: '10000' },
    aof: { type: 'string', default: 'yes' },
  },
});
const here = fileURLToPath(new URL('../../..', import.meta.url));
const folders = { ...(values.base ? { base: values.base } : {}), this: here };
const round = fileURLToPath(new URL('redis-cost/round.ts', import.meta.url));

const found: Record<string, Costs[]> = {};
for (let i = 0; i < Number(values.rounds); i++) {
  for (const [name, folder] of Object.entries(folders)) {
    const { stdout } = await promisify(execFile)(process.execPath, [
      round,
      folder,
      values.events,
      values.aof,
    ]);
    found[name] ??= [];
    found[name].push(JSON.parse(stdout));
  }
}

function median(numbers: number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

const thousands = (n: number) => (n / 1000).toFixed(1).padStart(7);
const micros = (n: number) => n.toFixed(1).padStart(6);
const names = Object.keys(folders);
console.log(`${''.padEnd(16)}${names.map((name) => name.padStart(24)).join('')}`);
console.log(`${''.padEnd(16)}${names.map(() => '    µs  1000 instructions (in the kernel)').join('')}`);
for (const step of Object.keys(found.this![0]!)) {
  const cells = names.map((name) => {
    const of = (value: (cost: Costs[string]) => number) =>
      median(found[name]!.map((costs) => value(costs[step]!)));
    return `${micros(of(({ cpu }) => cpu))} ${thousands(of(({ user }) => user))} ${thousands(of(({ kernel }) => kernel))}   `;
  });
  console.log(`${step.padEnd(16)}${cells.join('   |')}`);
}
