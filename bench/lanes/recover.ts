import { delay, eventually, now } from '../harness/clock.ts';
import { publishBatches } from '../harness/publish.ts';
import type { Arrivals, ReceiverGroup } from '../harness/receivers.ts';
import { ms, n, type Result, say, table } from '../harness/report.ts';
import { type Stack, withStack } from '../harness/stack.ts';
import type { Options } from './options.ts';

const APP = 'recovering';
const MAX_CONCURRENCY = 16;
/** The window with which a lane starts; it grows by one with each success (slow start). */
const FIRST_WINDOW = 4;
const ANSWER_MS = 50;

type Look = { at: number; window: number | undefined; state: string | undefined; open: number };

/**
 * A receiver that fails gets 2,000 deliveries, then recovers. How many requests it had at once, against the window of
 * its lane: small at first, and never above `max_concurrency`.
 */
export async function recover({ root, short }: Options): Promise<Result> {
  return withStack({ root, slots: 50 }, (stack) => run(stack, short ? 200 : 2000));
}

async function run(stack: Stack, backlog: number): Promise<Result> {
  const { client } = stack;
  const receiver = await stack.receivers.add('recovering', { answer: 500, delayMs: ANSWER_MS });
  await client.app(APP);
  const input = { url: receiver.url(0), retry: { max_retries: 50, base_seconds: 2, factor: 1 } };
  const endpoint = await client
    .endpoint(APP, { ...input, max_concurrency: MAX_CONCURRENCY })
    .catch(() => client.endpoint(APP, input));
  await publishBatches(client, APP, 'ticket.closed', backlog);
  const isClosed = async () => (await client.stats(APP, endpoint))?.lane?.state === 'closed';
  const closed = await eventually(isClosed, { timeoutMs: 30_000 });
  say(closed ? 'Its lane is closed.' : 'Its lane did not close within 30 s; going on all the same.');
  const before = await receiver.counts();
  await receiver.forget();
  await receiver.behave({ answer: 200, delayMs: ANSWER_MS });
  const recovered = now();
  say(`It had ${n(before.arrived)} requests, ${before.mostOpen} at once. It recovers now.`);
  const looks = await watch(stack, receiver, endpoint, backlog);
  const arrivals = await receiver.arrivals();
  return assess(arrivals, looks, { recovered, backlog, closed, whileFailing: before.mostOpen });
}

/** Looks every 50 ms until the whole backlog has arrived, for 3 minutes at most. */
async function watch(
  { client }: Stack,
  receiver: ReceiverGroup,
  endpoint: string,
  backlog: number,
): Promise<Look[]> {
  const looks: Look[] = [];
  const deadline = now() + 180_000;
  while (now() < deadline) {
    const lane = (await client.stats(APP, endpoint))?.lane;
    const { open, succeeded } = await receiver.counts();
    looks.push({ at: now(), window: lane?.window, state: lane?.state, open });
    if (succeeded >= backlog) break;
    await delay(50);
  }
  return looks;
}

type Facts = { recovered: number; backlog: number; closed: boolean; whileFailing: number };

function assess(arrivals: Arrivals, looks: Look[], facts: Facts): Result {
  const { at, open, succeeded } = arrivals;
  const first = at[0] ?? Number.NaN;
  const most = Math.max(0, ...open);
  // Whoever has had k successes since it opened may not have more than so many open.
  const beyond = open.filter((count, i) => count > Math.min(MAX_CONCURRENCY, FIRST_WINDOW + succeeded[i]!));
  const rows = [0, 100, 200, 300, 500, 1000, 2000].map((from, i, all) => {
    const until = all[i + 1] ?? Number.POSITIVE_INFINITY;
    const within = (time: number) => time - first >= from && time - first < until;
    const counts = open.filter((_, k) => within(at[k]!));
    const windows = looks.filter((look) => within(look.at)).flatMap(({ window }) => window ?? []);
    const range = windows.length > 0 ? `${Math.min(...windows)}–${Math.max(...windows)}` : '–';
    return [`from ${ms(from)}`, counts.length, counts.length > 0 ? Math.max(...counts) : '–', range];
  });
  table(['since the first request', 'requests', 'most at once', 'window'], rows);
  return {
    figures: {
      waitedForFirst: first - facts.recovered,
      lasted: (at.at(-1) ?? Number.NaN) - first,
      mostAtOnce: most,
      mostWhileFailing: facts.whileFailing,
      beyondWindow: beyond.length,
      firstOpen: open.slice(0, 40),
    },
    verdicts: [
      {
        ok: at.length >= facts.backlog,
        text: `${n(at.length)} of ${n(facts.backlog)} arrived after it recovered`,
      },
      {
        ok: most <= MAX_CONCURRENCY && facts.whileFailing <= MAX_CONCURRENCY,
        text: `at most ${most} requests at once (${facts.whileFailing} while failing); max_concurrency is ${MAX_CONCURRENCY}`,
      },
      {
        ok: beyond.length === 0,
        text: `${beyond.length} requests beyond a slow start from ${FIRST_WINDOW}; none allowed`,
      },
    ],
    series: {
      looks: looks
        .filter(({ at: time }) => time >= first - 1000)
        .map(({ at: time, ...look }) => ({ at: time - first, ...look })),
    },
  };
}
