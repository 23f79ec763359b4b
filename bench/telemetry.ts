import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { runMain } from '@sealpost/scripts/launcher-error';
import { eventually } from './harness/clock.ts';
import { inParallel } from './harness/in-parallel.ts';
import { canCountInstructions, InstructionCounter } from './harness/instructions.ts';
import { publishOne } from './harness/publish.ts';
import type { ReceiverGroup } from './harness/receivers.ts';
import { n, say, table } from './harness/report.ts';
import { Stack } from './harness/stack.ts';
import { percentile } from './harness/statistics.ts';
import { exactCpuSeconds } from './harness/usage.ts';

const USAGE = `What traces and metrics cost: CPU of API and worker a delivery, with OpenTelemetry off and on.

  node bench/telemetry.ts [--rounds N] [--events N] [--base DIR] [--instructions]

  --rounds    how often each variant is measured, in turn (default 40); of ten rounds the second best counts
  --events    events a round, with one delivery each (default 200)
  --instructions  counts instructions in user mode (perf stat), which a busy machine changes little, instead of CPU time
  --base      also measures the Sealpost in this folder (with its node_modules), and compares all with it

  All variants run at the same time, each on a Redis of its own, and are under load in turn, so that what else the
  machine does meets them all alike. A variant twice ("off", "off again") tells what is noise.
`;

const ENDPOINTS = 10;
const AT_ONCE = 8;
const WARM_UP = 6;
const CALM = 0.2;
const APP = 'bench';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '40' },
    events: { type: 'string', default: '200' },
    base: { type: 'string' },
    instructions: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
const [rounds, events] = [Number(values.rounds), Number(values.events)];
if (values.instructions && !canCountInstructions()) {
  console.error('perf cannot count instructions here: run it without --instructions, on an idle machine.');
  process.exit(1);
}
if (values.help || !(rounds > 0) || !(events > 0)) {
  console.log(USAGE);
  process.exit(values.help ? 0 : 2);
}

type Variant = {
  name: string;
  stack: Stack;
  group: ReceiverGroup;
  published: number;
  /** µs, or thousands of instructions, a delivery; a round each. */
  api: number[];
  worker: number[];
};

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));
await runMain(async () => {
  const sink = await listen();
  const root = join(import.meta.dirname, '..');
  const on = (ratio: string) => ({
    OTEL_EXPORTER_OTLP_ENDPOINT: sink,
    OTEL_TRACES_SAMPLER: 'parentbased_traceidratio',
    OTEL_TRACES_SAMPLER_ARG: ratio,
  });
  const variants: Variant[] = [];
  if (values.base) variants.push(await start('before', resolve(values.base)));
  variants.push(await start('off', root));
  variants.push(await start('off again', root));
  variants.push(await start('on, 10 % sampled', root, on('0.1')));
  variants.push(await start('on, all sampled', root, on('1')));
  for (let round = -WARM_UP; round < rounds; round += 1) {
    // Each has each place in the order as often.
    const first = (round + WARM_UP) % variants.length;
    for (const variant of [...variants.slice(first), ...variants.slice(0, first)])
      await measure(variant, round >= 0);
    say(round < 0 ? 'warmed up' : `round ${round + 1} of ${rounds}`);
  }
  show(variants);
  await Promise.all(variants.map(({ stack }) => stack.stop()));
});
process.exit(); // after an error something may still hold it

async function start(name: string, root: string, env: NodeJS.ProcessEnv = {}): Promise<Variant> {
  const stack = await Stack.start({ root, env });
  const group = await stack.receivers.add('all', { answer: 200 });
  await stack.client.app(APP);
  for (let i = 0; i < ENDPOINTS; i += 1)
    await stack.client.endpoint(APP, { url: group.url(i), event_types: [`kind.${i}`] });
  return { name, stack, group, published: 0, api: [], worker: [] };
}

/** Publishes a round's events and waits until all have arrived and been settled. */
async function measure(variant: Variant, counts: boolean): Promise<void> {
  const { stack, group } = variant;
  const spent = await meter([stack.apiPid, stack.workers[0]!.pid!]);
  await inParallel(events, AT_ONCE, (i) => publishOne(stack.client, APP, `kind.${i % ENDPOINTS}`, i));
  variant.published += events;
  const arrived = () => group.counts().then((now) => now.arrived >= variant.published);
  if (!(await eventually(arrived, { timeoutMs: 60_000, everyMs: 20 }))) throw new Error('not all arrived');
  await new Promise((done) => setTimeout(done, 300)); // the last ones are settled, and spans sent
  const [api, worker] = (await spent()) as [number, number];
  if (!counts) return;
  variant.api.push(api / events);
  variant.worker.push(worker / events);
}

/** What each process spends from now until it is asked for: µs of CPU time, or thousands of instructions. */
async function meter(pids: number[]): Promise<() => Promise<number[]>> {
  if (values.instructions) {
    const counters = await Promise.all(pids.map((pid) => InstructionCounter.start(pid)));
    return () => Promise.all(counters.map(async (counter) => (await counter.stop()) / 1000));
  }
  const before = await Promise.all(pids.map(exactCpuSeconds));
  const after = () => Promise.all(pids.map(exactCpuSeconds));
  return async () => (await after()).map((seconds, i) => (seconds - before[i]!) * 1e6);
}

function show(variants: Variant[]): void {
  const [first] = variants as [Variant];
  const unit = values.instructions ? 'k instructions' : 'CPU µs';
  const together = ({ api, worker }: Variant) => api.map((value, i) => value + worker[i]!);
  const ratio = (of: number[], to: number[]) => (calm(of) / calm(to)).toFixed(3);
  table(
    [
      'a delivery',
      `API ${unit}`,
      `worker ${unit}`,
      `together ${unit}`,
      `of "${first.name}"`,
      'API',
      'worker',
    ],
    variants.map((variant) => [
      variant.name,
      n(calm(variant.api)),
      n(calm(variant.worker)),
      n(calm(together(variant))),
      ratio(together(variant), together(first)),
      ratio(variant.api, first.api),
      ratio(variant.worker, first.worker),
    ]),
  );
}

/** What a round costs that little else disturbed: a busy machine only ever adds (caches, cores that share a unit). */
function calm(rounds: number[]): number {
  return percentile(
    rounds.toSorted((a, b) => a - b),
    CALM,
  );
}

/** A collector that takes everything and looks at nothing, in this process, which is not measured. */
async function listen(): Promise<string> {
  const server = createServer((request, response) => {
    request.resume();
    request.once('end', () => response.writeHead(200).end());
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
