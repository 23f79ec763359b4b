import { eventually, now } from '../harness/clock.ts';
import { residentBytes, settledMemory } from '../harness/memory.ts';
import { payloadOf } from '../harness/publish.ts';
import { say } from '../harness/report.ts';
import { untilArrived } from './load.ts';
import type { Sealpost } from './sealpost.ts';
import { idle, type System } from './system.ts';

/** Of Redis, for each delivery at fan-out 1: its event, records, indexes, and its job where it has one; not its body. */
export type Bytes = { waiting: number; delivered: number; delayed: number };

const BATCH = 1000;
/** Redis keeps so many finished jobs, and as many entries in BullMQ's stream: they are there before anything counts. */
const FINISHED = 1200;
const LONG = { strategy: 'linear', base_seconds: 3600 };
/** Most fail, but not so many on end that the breaker closes a lane; 3 has nothing in common with the endpoints. */
const MOSTLY_FAILS = { answer: 200, failsFirst: { count: 2, of: 3 } };
const TIMEOUT_MS = 60_000;
/** When nothing has changed for so long, nothing will: a lane has closed after all. */
const CALM_MS = 5000;

/** Lets deliveries wait, be delivered, and be delayed, so many each, and tells what Redis holds for each. */
export async function measureBytes(sealpost: Sealpost, deliveries: number): Promise<Bytes> {
  const app = await sealpost.app('memory', { endpoints: 10 });
  await untilArrived(app.arrivals, FINISHED, () => app.publishBatches(FINISHED, BATCH));
  await idle(sealpost);
  const used = () => settledMemory(sealpost.stack);
  const body = JSON.stringify(payloadOf(deliveries)).length;

  const empty = await used();
  await app.eachEndpoint('pause');
  await app.publishBatches(deliveries, BATCH);
  const waiting = ((await used()) - empty) / deliveries - body;
  say(`Memory: ${deliveries.toLocaleString('en')} wait.`);

  await untilArrived(app.arrivals, deliveries, () => app.eachEndpoint('resume'));
  await idle(sealpost);
  const delivered = ((await used()) - empty) / deliveries - body;
  say('Memory: they are delivered.');

  const delayed = await measureDelayed(sealpost, Math.ceil(deliveries / 4), body, { waiting, delivered });
  return { waiting, delivered, delayed };
}

/** @param others what those cost that do not fail, or that no worker has come to */
async function measureDelayed(
  sealpost: Sealpost,
  events: number,
  body: number,
  others: Omit<Bytes, 'delayed'>,
): Promise<number> {
  const settings = { defaults: { retry: LONG } };
  const app = await sealpost.app('delayed', { endpoints: 100, behaviour: MOSTLY_FAILS, settings });
  const empty = await settledMemory(sealpost.stack);
  await app.publishBatches(events, BATCH);
  const { redis, queue } = sealpost;
  const delayedNow = () => redis.zcard(`${queue}:delayed`);
  let [last, since] = [0, now()];
  const allOrCalm = async () => {
    const ended = (await delayedNow()) + app.arrivals.count;
    if (ended !== last) [last, since] = [ended, now()];
    return ended >= events || now() - since > CALM_MS;
  };
  await eventually(allOrCalm, { timeoutMs: TIMEOUT_MS });
  const bytes = (await settledMemory(sealpost.stack)) - empty - events * body;
  const [delayed, delivered] = [await delayedNow(), app.arrivals.count];
  say(`Memory: ${delayed.toLocaleString('en')} wait for their retry.`);
  const waiting = events - delayed - delivered;
  return (bytes - delivered * others.delivered - waiting * others.waiting) / delayed;
}

/** What the processes hold, bytes. */
export async function residentOf(system: System): Promise<Record<string, number>> {
  const entries = Object.entries(system.pids);
  return Object.fromEntries(
    await Promise.all(entries.map(async ([name, pid]) => [name, await residentBytes(pid)] as const)),
  );
}
