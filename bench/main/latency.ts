import { delay, eventually, now } from '../harness/clock.ts';
import type { Published } from '../harness/publish.ts';
import { type Summary, summarize } from '../harness/statistics.ts';
import type { App } from './sealpost.ts';
import { idle } from './system.ts';

/** ms from when a request was due to the arrival of its delivery. */
export type Latency = Summary & { perSecond: number };

const WARM_UP_S = 1;
/** How long a backlog that has grown gets to arrive, ms. */
const GRACE_MS = 60_000;

/**
 * Publishes at a constant rate whatever becomes of it, and counts from when each request was due, not from when it could be
 * sent: a system that stops for a moment is charged for all that should have been sent meanwhile. What is refused or
 * does not arrive counts as slower than all else.
 */
export async function latencyAt(app: App, perSecond: number, seconds: number): Promise<Latency> {
  await app.group.forget();
  const [warmUp, count] = [perSecond * WARM_UP_S, perSecond * (WARM_UP_S + seconds)].map(Math.ceil);
  const published = await publishEvenly(app, perSecond, count!);
  const allIn = async () => (await app.group.counts()).arrived >= published.size;
  await eventually(allIn, { timeoutMs: GRACE_MS, everyMs: 50 });
  await idle(app.system).catch(() => {}); // what is left was too much for it, which is what is told
  const { at, ids } = await app.group.arrivals();
  const arrivedAt = new Map(ids.map((id, i) => [id, at[i]!]));
  const latencies = Array.from({ length: count! }, (_, n) => {
    const sent = published.get(n);
    return sent ? (arrivedAt.get(sent.id) ?? Number.POSITIVE_INFINITY) - sent.due : Number.POSITIVE_INFINITY;
  });
  return { perSecond, ...summarize(latencies.slice(warmUp)) };
}

type Sent = { id: string; due: number };

/** Those that were answered with 202. */
async function publishEvenly(app: App, perSecond: number, count: number): Promise<Map<number, Sent>> {
  const published = new Map<number, Sent>();
  const calls: Promise<void>[] = [];
  const start = now() + 10;
  for (let n = 0; n < count; n += 1) {
    const due = start + (n * 1000) / perSecond;
    const wait = due - now();
    if (wait > 0) await delay(wait);
    calls.push(
      app.publish(n).then(
        ({ id }: Published) => void published.set(n, { id, due }),
        () => {}, // refused: it is missing, and so counts
      ),
    );
  }
  await Promise.all(calls);
  return published;
}
