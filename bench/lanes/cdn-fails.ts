import { delay, now } from '../harness/clock.ts';
import { type Delivered, Healthy } from '../harness/healthy.ts';
import { inParallel } from '../harness/in-parallel.ts';
import { publishBatches, publishOne, SteadyLoad } from '../harness/publish.ts';
import type { ReceiverGroup } from '../harness/receivers.ts';
import { ms, n, type Result, say, table } from '../harness/report.ts';
import { type Stack, withStack } from '../harness/stack.ts';
import { bySecond, summarize } from '../harness/statistics.ts';
import type { Options } from './options.ts';

const SLOTS = 50;
const WAITING_EACH = 40;
const BOUND_MS = 1000;
const GRACE_MS = 10_000;
const WARM_UP_MS = 2000;
const APP = 'cdn';
const TYPE = 'page.changed';

type Sizes = { calmSeconds: number; seconds: number; endpoints: number };

/**
 * 500 endpoints with traffic and a backlog begin to hang at the same moment, as when the network before them fails.
 * What 50 healthy ones notice, second by second.
 */
export async function cdnFails({ root, short, seconds }: Options): Promise<Result> {
  const sizes: Sizes = {
    calmSeconds: short ? 3 : 10,
    seconds: seconds ?? (short ? 10 : 40),
    endpoints: short ? 100 : 500,
  };
  return withStack({ root, slots: SLOTS }, (stack) => run(stack, sizes));
}

async function run(stack: Stack, sizes: Sizes): Promise<Result> {
  // An origin each, as with host names of their own: the sockets to one origin are limited.
  const cdn = await stack.receivers.add('cdn', { answer: 200 }, { origins: sizes.endpoints });
  await subscribe(stack, cdn, sizes.endpoints);
  say(`${sizes.endpoints} endpoints get an event each second; ${sizes.calmSeconds} s to warm up.`);
  const traffic = new SteadyLoad(1, (i) => publishOne(stack.client, APP, TYPE, i));
  traffic.start();
  const start = now();
  const healthy = await Healthy.start(stack);
  await delay(sizes.calmSeconds * 1000);
  const calmEnd = now();
  await publishBatches(stack.client, APP, TYPE, WAITING_EACH, 10);
  await cdn.behave({ answer: 'hang' });
  const failed = now();
  const published = (WAITING_EACH + traffic.published.length) * sizes.endpoints;
  const waiting = published - (await cdn.counts()).arrived;
  say(`They hang now, with ${n(waiting)} deliveries waiting; measuring ${sizes.seconds} s.`);
  while (now() < failed + sizes.seconds * 1000) {
    await delay(Math.max(0, Math.min(5000, failed + sizes.seconds * 1000 - now())));
    const [arrived, { open }] = [await healthy.arrived(), await cdn.counts()];
    say(`healthy: ${arrived} of ${healthy.published.length} arrived; hanging now: ${open}`);
  }
  await Promise.all([healthy.stop(GRACE_MS), traffic.stop()]);
  if (traffic.errors.length > 0) throw new Error(`events were not taken: ${traffic.errors[0]}`);
  const delivered = await healthy.delivered();
  return assess(delivered, { start, calmEnd, failed, waiting });
}

async function subscribe({ client }: Stack, cdn: ReceiverGroup, endpoints: number): Promise<void> {
  await client.app(APP);
  await inParallel(endpoints, 8, (i) => client.endpoint(APP, { url: cdn.url(i), timeout_seconds: 30 }));
}

function assess(
  delivered: Delivered[],
  { start, calmEnd, failed, waiting }: { start: number; calmEnd: number; failed: number; waiting: number },
): Result {
  const latencies = (items: Delivered[]) => items.map(({ latency }) => latency);
  const before = summarize(latencies(delivered.filter(({ at }) => at < calmEnd && at > start + WARM_UP_MS)));
  const since = delivered.filter(({ at }) => at >= failed);
  const all = summarize(latencies(since));
  const seconds = [...bySecond(since, ({ at }) => at, failed)].map(([second, items]) => {
    return { second, ...summarize(latencies(items)) };
  });
  const worst = Math.max(...seconds.map(({ p95 }) => p95));
  const rows = [
    ['before', before] as const,
    ...seconds.slice(0, 6).map((row) => [`second ${row.second + 1}`, row] as const),
    [`all ${seconds.length} s`, all] as const,
  ].map(([name, s]) => [name, s.count, ms(s.p50), ms(s.p95), ms(s.max), s.missing]);
  table(['healthy endpoints, 202 to arrival', 'events', 'p50', 'p95', 'max', 'not arrived'], rows);
  return {
    figures: { waiting, before, all, worstSecondP95: worst },
    verdicts: [
      { ok: all.p95 < BOUND_MS, text: `p95 since they hang: ${ms(all.p95)}; below ${ms(BOUND_MS)}` },
      { ok: worst < BOUND_MS, text: `p95 of the worst second: ${ms(worst)}; below ${ms(BOUND_MS)}` },
    ],
    series: { seconds },
  };
}
