import { Publisher, readPublisherSettings } from '@sealpost/api/publisher';
import { type ClientOptions, SealpostClient } from '@sealpost/client';
import { Client } from '../harness/client.ts';
import { inParallel } from '../harness/in-parallel.ts';
import { payloadOf, publishOne } from '../harness/publish.ts';

/*
 * A producer in a process of its own, so that its CPU time is its own. It is told how many events to publish in its way,
 * and answers when all have their results.
 */

/** Calls that wait for their answers at a time, where each event is a call. */
const AT_ONCE = 64;
const BATCH = 500;

const [way, app] = process.argv.slice(2) as [string, string];
const url = `http://127.0.0.1:${process.env.PORT}`;
const key = process.env.SEALPOST_API_KEYS!;
const event = (n: number) => ({ type: 'order.created', payload: payloadOf(n) });

function* events(count: number) {
  for (let n = 0; n < count; n += 1) yield event(n);
}

type Way = () => Promise<(count: number) => Promise<void>>;

const WAYS: Record<string, Way> = {
  http: async () => {
    const client = new Client(url, key);
    return (count) => inParallel(count, AT_ONCE, (n) => publishOne(client, app, 'order.created', n));
  },
  client: () => throughClient({}),
  'client-4': () => throughClient({ maxInFlight: 4 }),
  ndjson: async () => {
    const client = new SealpostClient({ url, key, app });
    return async (count) => {
      for await (const { error } of client.publishAll(events(count))) if (error) throw error;
    };
  },
  direct: async () => {
    const publisher = await Publisher.connect(readPublisherSettings(process.env));
    return (count) => inParallel(count, AT_ONCE, (n) => publisher.publish(app, event(n)));
  },
  'direct-many': async () => {
    const publisher = await Publisher.connect(readPublisherSettings(process.env));
    return async (count) => {
      const all = [...events(count)];
      for (let from = 0; from < count; from += BATCH) {
        const results = await publisher.publishMany(app, all.slice(from, from + BATCH));
        for (const { error } of results) if (error) throw error;
      }
    };
  },
};

/** As one publishes who does not wait for each result: one call after the other, as long as there is room. */
async function throughClient(options: Partial<ClientOptions>): ReturnType<Way> {
  const client = new SealpostClient({ url, key, app, ...options });
  return async (count) => {
    const published: Promise<unknown>[] = [];
    for (const each of events(count)) {
      await client.room();
      published.push(client.publish(each));
    }
    await Promise.all(published);
  };
}

const publish = await WAYS[way]!();
process.on('message', async (count: number) => {
  const start = performance.now();
  const before = process.cpuUsage();
  await publish(count);
  const { user, system } = process.cpuUsage(before);
  process.send!({ ms: performance.now() - start, cpuUs: user + system });
});
process.on('disconnect', () => process.exit());
process.send!('ready');
