import { eventually } from '../harness/clock.ts';
import { publishBatches } from '../harness/publish.ts';
import { n, type Result, say, table } from '../harness/report.ts';
import { type Stack, withStack } from '../harness/stack.ts';
import { slidingCounts } from '../harness/statistics.ts';
import type { Options } from './options.ts';

const LIMIT = 100;
const PERIOD_SECONDS = 10;
const FEWEST = 95;
const WORKERS = 3;
const APP = 'limited';

/** A limit of 100 in 10 s over three workers, as the receiver counts: in every stretch of 10 s, wherever it begins. */
export async function rateLimit({ root, short }: Options): Promise<Result> {
  return withStack({ root, slots: 50, workers: WORKERS }, (stack) => run(stack, short ? 300 : 600));
}

async function run({ client, receivers }: Stack, deliveries: number): Promise<Result> {
  const receiver = await receivers.add('limited', { answer: 200 });
  await client.app(APP);
  const rate_limit = { limit: LIMIT, period_seconds: PERIOD_SECONDS, over: 'hold' };
  const limited = await client.endpoint(APP, { url: receiver.url(0), rate_limit }).then(
    () => true,
    () => false,
  );
  if (!limited) {
    say('This Sealpost knows no rate_limit: measuring without one.');
    await client.endpoint(APP, { url: receiver.url(0) });
  }
  await publishBatches(client, APP, 'stock.changed', deliveries);
  say(`Published ${deliveries} at once; they need ${(deliveries / LIMIT) * PERIOD_SECONDS} s.`);
  const done = async () => (await receiver.counts()).arrived >= deliveries;
  const timeoutMs = (deliveries / LIMIT + 2) * PERIOD_SECONDS * 1000;
  const all = await eventually(done, { timeoutMs });
  const { at } = await receiver.arrivals();
  const { fewest, most } = slidingCounts(at, PERIOD_SECONDS * 1000);
  const seconds = (at.at(-1)! - at[0]!) / 1000;
  table(
    ['10 s, wherever they begin', 'fewest', 'most', 'arrived', 'in'],
    [['as the receiver counts', fewest, most, n(at.length), `${seconds.toFixed(1)} s`]],
  );
  return {
    figures: { fewest, most, arrived: at.length, seconds, limited },
    verdicts: [
      { ok: all && at.length === deliveries, text: `${at.length} of ${deliveries} arrived, each once` },
      { ok: most <= LIMIT, text: `never more than ${most} in 10 s; at most ${LIMIT}` },
      {
        ok: fewest >= FEWEST && fewest !== Number.POSITIVE_INFINITY, // Infinity: all came in less than 10 s
        text: `never fewer than ${fewest} in 10 s while there was work; at least ${FEWEST}`,
      },
    ],
    series: { arrivals: at.map((time) => (time - at[0]!) / 1000) },
  };
}
