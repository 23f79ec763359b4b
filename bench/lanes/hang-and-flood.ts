import { delay, now } from '../harness/clock.ts';
import { type Delivered, Healthy } from '../harness/healthy.ts';
import { BATCH, publishBatches } from '../harness/publish.ts';
import type { ReceiverGroup } from '../harness/receivers.ts';
import { ms, n, type Result, say, table, type Verdict } from '../harness/report.ts';
import { type Stack, withStack } from '../harness/stack.ts';
import { bySecond, type Summary, summarize } from '../harness/statistics.ts';
import type { Options } from './options.ts';

const SLOTS = 50;
/** Events that have not arrived so long after the last one are given up. */
const GRACE_MS = 10_000;

type Sizes = { calmSeconds: number; seconds: number; backlog: number };
/** A run: when the bad ones began, and when the measurement, by the shared clock. */
type Run = { bad?: number; measured: number; delivered: Delivered[]; summary: Summary };

/**
 * One endpoint hangs with 20,000 deliveries waiting, another floods with 20,000 on a fast receiver. What the 50
 * healthy ones notice: their latency from 202 to arrival, against a run without the two.
 */
export async function hangAndFlood({ root, short, seconds }: Options): Promise<Result> {
  const sizes: Sizes = {
    calmSeconds: short ? 3 : 10,
    seconds: seconds ?? (short ? 10 : 40),
    backlog: short ? 2000 : 20_000,
  };
  say(`The healthy ones alone: ${sizes.seconds} s, after ${sizes.calmSeconds} s to warm up.`);
  const alone = await withStack({ root, slots: SLOTS }, (stack) => runAlone(stack, sizes));
  say('And again, with one that hangs and one that floods.');
  const { run, toppedUp } = await withStack({ root, slots: SLOTS }, (stack) => runWithBad(stack, sizes));
  const row = (name: string, s: Summary) => [
    name,
    s.count,
    ms(s.p50),
    ms(s.p95),
    ms(s.p99),
    ms(s.max),
    s.missing,
  ];
  table(
    ['healthy endpoints, 202 to arrival', 'events', 'p50', 'p95', 'p99', 'max', 'not arrived'],
    [row('alone', alone.summary), row('with one that hangs, one that floods', run.summary)],
  );
  return {
    figures: {
      alone: alone.summary,
      withBad: run.summary,
      ratio: run.summary.p95 / alone.summary.p95,
      toppedUp,
    },
    verdicts: [judge(alone.summary, run.summary)],
    series: { alone: seriesOf(alone), withBad: seriesOf(run) },
  };
}

/** Whether the healthy ones were spared. A run alone that is no measure, since too little arrived, proves nothing. */
export function judge(alone: Summary, withBad: Summary): Verdict {
  if (!Number.isFinite(alone.p95)) {
    const text = `of the run alone ${n(alone.missing)} of ${n(alone.count)} events had not arrived: it is no measure`;
    return { ok: false, text };
  }
  const bound = Math.max(1.5 * alone.p95, alone.p95 + 30);
  const ratio = withBad.p95 / alone.p95;
  const times = ratio === Number.POSITIVE_INFINITY ? '∞' : ratio.toFixed(2);
  return {
    ok: withBad.p95 <= bound,
    text: `p95 ${ms(withBad.p95)} is ${times} × that of the run alone; at most ${ms(bound)}`,
  };
}

async function runAlone(stack: Stack, sizes: Sizes): Promise<Run> {
  const healthy = await Healthy.start(stack);
  await delay(sizes.calmSeconds * 1000);
  const measured = now();
  await delay(sizes.seconds * 1000);
  await healthy.stop(GRACE_MS);
  return finish(healthy, { measured });
}

async function runWithBad(stack: Stack, sizes: Sizes): Promise<{ run: Run; toppedUp: number }> {
  const { client, receivers } = stack;
  const hanging = await receivers.add('hanging', { answer: 'hang' });
  const flooded = await receivers.add('flooded', { answer: 200 });
  await client.app('hangs');
  await client.endpoint('hangs', { url: hanging.url(0), timeout_seconds: 30 });
  await client.app('floods');
  await client.endpoint('floods', { url: flooded.url(0) });
  const healthy = await Healthy.start(stack);
  await delay(sizes.calmSeconds * 1000);
  const bad = now();
  await Promise.all([
    publishBatches(client, 'hangs', 'job.done', sizes.backlog),
    publishBatches(client, 'floods', 'job.done', sizes.backlog),
  ]);
  const measured = now();
  say(`Published 2 × ${n(sizes.backlog)} in ${ms(measured - bad)}; measuring ${sizes.seconds} s.`);
  const topUps = await keepFlooding(stack, flooded, sizes, async () => {
    const waiting = `healthy: ${await healthy.arrived()} of ${healthy.published.length} arrived`;
    say(`${waiting}; hanging now: ${(await hanging.counts()).open}`);
  });
  if (topUps > 0) say(`The flood drained early: ${n(topUps)} more were published to keep it up.`);
  await healthy.stop(GRACE_MS);
  return { run: await finish(healthy, { bad, measured }), toppedUp: topUps };
}

/** Until the measurement is over, has half of the flood's backlog waiting at least. Gives how many more it took. */
async function keepFlooding(
  { client }: Stack,
  flooded: ReceiverGroup,
  { seconds, backlog }: Sizes,
  progress: () => Promise<void>,
): Promise<number> {
  const end = now() + seconds * 1000;
  let published = backlog;
  let nextProgress = now() + 5000;
  while (now() < end) {
    const { arrived } = await flooded.counts();
    if (published - arrived < backlog / 2) {
      await publishBatches(client, 'floods', 'job.done', BATCH);
      published += BATCH;
    } else await delay(100);
    if (now() > nextProgress) {
      nextProgress += 5000;
      say(`flood: ${n(arrived)} of ${n(published)} arrived`);
      await progress();
    }
  }
  return published - backlog;
}

async function finish(healthy: Healthy, times: { bad?: number; measured: number }): Promise<Run> {
  const delivered = await healthy.delivered();
  const within = delivered.filter(({ at }) => at >= times.measured);
  return { ...times, delivered, summary: summarize(within.map(({ latency }) => latency)) };
}

/** For the plot: a row a second, counted from when the bad ones began (alone: from when it was measured). */
export type Series = {
  /** How long it took to publish the backlogs, s. */
  publishing: number;
  /** null: infinitely late, which JSON cannot say. */
  seconds: { second: number; p50: number | null; p95: number | null; missing: number }[];
};

function seriesOf({ bad, measured, delivered }: Run): Series {
  const seconds = [...bySecond(delivered, ({ at }) => at, bad ?? measured)].map(([second, items]) => {
    const { p50, p95, missing } = summarize(items.map(({ latency }) => latency));
    return { second, p50, p95, missing };
  });
  return { publishing: (measured - (bad ?? measured)) / 1000, seconds };
}
