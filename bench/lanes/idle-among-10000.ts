import { delay, eventually, now } from '../harness/clock.ts';
import { inParallel } from '../harness/in-parallel.ts';
import { type Published, publishBatches, publishOne } from '../harness/publish.ts';
import { QueueSampler } from '../harness/queue-sampler.ts';
import type { ReceiverGroup } from '../harness/receivers.ts';
import { ms, n, type Result, say, table } from '../harness/report.ts';
import { type Stack, withStack } from '../harness/stack.ts';
import type { Options } from './options.ts';

const SLOTS = 50;
const APPS = 10;
const WAITING_EACH = 20;
const PROBES = 10;
const PROBE_EVERY_MS = 1000;
const TYPE = 'report.ready';

type Probe = { latency: number; between: number };

/**
 * 10,000 endpoints in 10 apps, each with 20 deliveries waiting; then one event to an endpoint that had nothing to do.
 * How long it takes, and how many of the others' deliveries come before it.
 */
export async function idleAmong10000({ root, short }: Options): Promise<Result> {
  const perApp = short ? 100 : 1000;
  return withStack({ root, slots: SLOTS, workers: 0 }, (stack) => run(stack, perApp));
}

async function run(stack: Stack, perApp: number): Promise<Result> {
  const endpoints = APPS * perApp;
  const busy = await stack.receivers.add('busy', { answer: 200 });
  const idle = await stack.receivers.add('idle', { answer: 200 }, { keepIds: true });
  const creating = now();
  await createEndpoints(stack, busy, idle, perApp);
  const publishing = now();
  say(`Created ${n(endpoints)} endpoints in ${ms(publishing - creating)}.`);
  for (let app = 0; app < APPS; app += 1) {
    await publishBatches(stack.client, `busy-${app}`, TYPE, WAITING_EACH, 5);
  }
  say(
    `Published ${n(endpoints * WAITING_EACH)} deliveries in ${ms(now() - publishing)}; starting the worker.`,
  );
  const sampler = new QueueSampler(stack);
  await stack.addWorker();
  await eventually(async () => (await busy.counts()).arrived > endpoints / 10, { timeoutMs: 60_000 });
  const published = await publishProbes(stack);
  const allIn = async () => (await idle.counts()).arrived >= PROBES;
  await eventually(allIn, { timeoutMs: 60_000 });
  const total = (await busy.counts()).arrived;
  await sampler.stop();
  say(`${n(total)} of the busy ones' deliveries had arrived when the last probe had.`);
  const probes = await look(busy, idle, published);
  return assess(probes, endpoints, sampler, { creatingMs: publishing - creating, total });
}

async function createEndpoints(
  { client }: Stack,
  busy: ReceiverGroup,
  idle: ReceiverGroup,
  perApp: number,
): Promise<void> {
  for (let app = 0; app < APPS; app += 1) await client.app(`busy-${app}`);
  // Of different apps at a time: those of one are written one after the other.
  await inParallel(APPS * perApp, APPS, (i) => client.endpoint(`busy-${i % APPS}`, { url: busy.url(i) }));
  await client.app('idle');
  for (let i = 0; i < PROBES; i += 1) {
    await client.endpoint('idle', { url: idle.url(i), event_types: [`single.${i}`] });
  }
}

async function publishProbes({ client }: Stack): Promise<Published[]> {
  const published: Published[] = [];
  for (let i = 0; i < PROBES; i += 1) {
    published.push(await publishOne(client, 'idle', `single.${i}`, i));
    await delay(PROBE_EVERY_MS);
  }
  return published;
}

async function look(busy: ReceiverGroup, idle: ReceiverGroup, published: Published[]): Promise<Probe[]> {
  const others = (await busy.arrivals()).at;
  const { ids, at } = await idle.arrivals();
  return published.map(({ id, acceptedAt }) => {
    const arrivedAt = at[ids.indexOf(id)] ?? Number.POSITIVE_INFINITY;
    const between = others.filter((time) => time > acceptedAt && time < arrivedAt).length;
    return { latency: Math.max(0, arrivedAt - acceptedAt), between };
  });
}

function assess(
  probes: Probe[],
  endpoints: number,
  { most, samples }: QueueSampler,
  figures: { creatingMs: number; total: number },
): Result {
  const latencies = probes.map(({ latency }) => latency).toSorted((a, b) => a - b);
  const between = Math.max(...probes.map((probe) => probe.between));
  table(
    ['event to an idle endpoint', 'median', 'slowest', 'others before it, at most'],
    [[`${probes.length} of them`, ms(latencies[probes.length >> 1]!), ms(latencies.at(-1)!), n(between)]],
  );
  const arrived = latencies.at(-1) !== Number.POSITIVE_INFINITY;
  return {
    figures: { ...figures, probes, mostInQueue: most, samples },
    verdicts: [
      {
        ok: arrived && between <= endpoints,
        text: `${n(between)} others before it${arrived ? '' : ', and it never came'}; one turn of the ring: ${n(endpoints)}`,
      },
      {
        ok: most <= 2 * SLOTS,
        text: `at most ${n(most)} jobs in BullMQ's queue (${n(samples)} looks); twice the slots: ${2 * SLOTS}`,
      },
    ],
  };
}
