import { eventually, now } from '../harness/clock.ts';
import { settledMemory } from '../harness/memory.ts';
import { eventText, payloadOf, publishBatches } from '../harness/publish.ts';
import { ms, n, type Result, say, table } from '../harness/report.ts';
import { type Stack, withStack } from '../harness/stack.ts';
import { measureUsage, type Usage } from '../harness/usage.ts';
import type { Options } from './options.ts';

const APP = 'dead';
const TYPE = 'invoice.sent';
const BYTES_BOUND = 450;
const CPU_BOUND = 2;
/** Failures that have the lane closed: of more than five deliveries, for more than 5 s. */
const FIRST = 20;

/**
 * 100,000 deliveries published to an endpoint that is down and whose lane has closed: what they cost while they wait,
 * in CPU and in memory.
 */
export async function closedLane({ root, short }: Options): Promise<Result> {
  const sizes = { backlog: short ? 5000 : 100_000, seconds: short ? 5 : 20 };
  return withStack({ root, slots: 50 }, (stack) => run(stack, sizes));
}

async function run(
  stack: Stack,
  { backlog, seconds }: { backlog: number; seconds: number },
): Promise<Result> {
  const { client } = stack;
  const down = await stack.receivers.add('down', { answer: 500 });
  await client.app(APP);
  const endpoint = await client.endpoint(APP, { url: down.url(0), retry: { max_retries: 20 } });
  const usageEmpty = await measureUsage(stack, seconds / 2);
  await publishBatches(client, APP, TYPE, FIRST);
  const closed = await eventually(async () => (await laneState(stack, endpoint)) === 'closed', {
    timeoutMs: 30_000,
  });
  say(closed ? 'Its lane is closed.' : 'Its lane did not close within 30 s; going on all the same.');
  const memoryBefore = await settledMemory(stack);
  const publishing = now();
  await publishBatches(client, APP, TYPE, backlog);
  say(`Published ${n(backlog)} in ${ms(now() - publishing)}.`);
  const memory = (await settledMemory(stack)) - memoryBefore;
  const { arrived } = await down.counts();
  const usage = await measureUsage(stack, seconds);
  const attempts = (await down.counts()).arrived - arrived;
  say(
    `While it was measured, ${n(attempts)} requests came, and the lane is ${await laneState(stack, endpoint)}.`,
  );
  const bytes = memory / backlog - JSON.stringify(payloadOf(backlog)).length;
  report(usageEmpty, usage, backlog);
  return {
    figures: { closed, memory, bytesBeyondBody: bytes, attempts, usageEmpty, usage },
    verdicts: verdicts(closed, bytes, usage),
  };
}

/** Undefined where there are no stats. */
async function laneState({ client }: Stack, endpoint: string): Promise<string | undefined> {
  return (await client.stats(APP, endpoint))?.lane?.state;
}

function report(empty: Usage, usage: Usage, backlog: number): void {
  const row = (name: string, used: Usage) => [
    name,
    used.workersCpu.map(percent).join(' '),
    percent(used.apiCpu),
    percent(used.redisCpu),
    used.commands.toFixed(0),
  ];
  table(
    ['CPU of one core', 'worker', 'API', 'Redis', 'commands/s'],
    [row('nothing waiting', empty), row(`${n(backlog)} waiting`, usage)],
  );
}

function verdicts(closed: boolean, bytes: number, { workersCpu, redisCpu }: Usage): Result['verdicts'] {
  const body = eventText(TYPE, 0).length;
  return [
    { ok: closed, text: 'the lane closed' },
    {
      ok: bytes <= BYTES_BOUND,
      text: `${n(bytes)} bytes a waiting delivery beyond its body (events of ${body} bytes); at most ${BYTES_BOUND}`,
    },
    {
      ok: Math.max(...workersCpu, redisCpu) < CPU_BOUND,
      text: `CPU of worker ${workersCpu.map(percent).join(' ')} and Redis ${percent(redisCpu)}; below ${CPU_BOUND} % of a core`,
    },
  ];
}

function percent(value: number): string {
  return `${value.toFixed(1)} %`;
}
