/**
 * One round of redis-cost.ts, of the code in the folder that it is given, in a process of its own.
 * Arguments: folder, events, whether Redis keeps an append-only file. Prints JSON.
 */
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { startTestRedis } from '../../testing.ts';
import { Meter, type Spent } from './meter.ts';

export type Costs = Record<string, Spent>;

type Turn = import('../../src/index.ts').Turn;
type QueuePackage = typeof import('../../src/index.ts');

const [folder = '', count = '', aof = ''] = process.argv.slice(2);
const load = (path: string) => import(pathToFileURL(join(folder, 'packages/queue', path)).href);
const queue: QueuePackage = await load('src/index.ts');
const { formatId, parseId, parseJobId } = (await import(
  pathToFileURL(join(folder, 'packages/core/src/index.ts')).href
)) as typeof import('@sealpost/core');
const bullmq = createRequire(join(folder, 'packages/queue/src/'))('bullmq') as typeof import('bullmq');

const EVENTS = Number(count);
const LANES = 500;
const FIRST_ENDPOINT = 10;
const AT_ONCE = 50;
const RETENTION = { recordsMs: 7 * 86_400_000, bodiesMs: 3 * 86_400_000 };
const BODY = JSON.stringify({ filler: 'x'.repeat(500) });
/** As apps/worker sets them. */
const WORKER_OPTIONS = {
  lockDuration: 15_000,
  stalledInterval: 10_000,
  maxStalledCount: 1_000_000,
  removeOnFail: { count: 10_000 },
};

const redis = await startTestRedis(['--appendonly', aof, '--appendfsync', 'everysec']);
const meter = await Meter.of(redis.client);
const shard = new queue.Shards(redis.client).get(0);
const producer = queue.connect([redis.url], 'request', () => {});
await queue.whenReady(producer, 10_000);
const producing = new queue.Shards(producer).get(0);
const numbers = new queue.Numbers(producing);
const endpoints = Array.from({ length: LANES }, (_, i) => FIRST_ENDPOINT + i);

async function prepare(): Promise<void> {
  const ids = endpoints.flatMap((endpoint) => [formatId('ep', 0, endpoint), '-']);
  await redis.client.hset(shard.key('cfg:1'), 'v', 1, 'app', '-', ...ids);
  await live(2 * LANES);
}

/** A worker says that it has so many slots. */
async function live(slots: number): Promise<void> {
  const pump = { worker: 'w', slots, maxAgeMs: 1e9, retention: RETENTION };
  for (let more = true; more; ) {
    const turn = await queue.pump(shard, { ...pump, clock: Date.now() });
    await queue.enqueue(shard.queue, turn.admitted);
    ({ more } = turn);
  }
}

/** Publishes one event with one delivery. Gives its number. */
async function accept(i: number, isAdmitted = true): Promise<number> {
  const endpoint = endpoints[i % LANES]!;
  const number = await numbers.take(1);
  const now = Date.now();
  const accepted = await queue.accept(producing, {
    app: 1,
    configVersion: 1,
    number,
    record: JSON.stringify({ a: 'default', n: 1, t: 'order.created', at: now, k: 1 }),
    body: BODY,
    deliveries: [
      {
        status: 'pending',
        flags: 0,
        generation: 1,
        attempts: 0,
        jobBase: 0,
        retryBase: 0,
        event: number,
        app: 1,
        endpoint,
        createdAt: now,
        dueAt: now,
        statusCode: 0,
        reason: 'none',
        keyId: '0a0b0c0d',
        seal: Buffer.alloc(20, 7),
      },
    ],
    retention: RETENTION,
  });
  if (accepted.result !== 'accepted' || accepted.admitted[0] !== isAdmitted) {
    throw new Error(`it was to be ${isAdmitted ? 'admitted' : 'kept waiting'}`);
  }
  return number;
}

async function add(number: number, i: number): Promise<void> {
  const ids = { shard: 0, number, generation: 1, app: 'default', eventType: 'order.created' };
  const endpoint = formatId('ep', 0, endpoints[i % LANES]!);
  await queue.enqueue(producing.queue, [{ ...ids, eventId: formatId('evt', 0, number), endpoint }]);
}

async function claim(number: number): Promise<Turn> {
  const claimed = await queue.claim(shard, number, 1, 0, RETENTION, Date.now());
  if (claimed.result !== 'run') throw new Error(`it was to run, and is ${claimed.result}`);
  return claimed;
}

async function settle(number: number): Promise<Turn> {
  const settled = await queue.settle(shard, {
    number,
    generation: 1,
    attempt: 1,
    status: 'delivered',
    reason: 'none',
    statusCode: 200,
    delayMs: 0,
    attemptRecord: JSON.stringify({ t: Date.now(), d: 12, p: [0, 1, 2, 9], s: 200 }),
    retention: RETENTION,
    receiver: { sign: 'success', durationMs: 12, holdMs: 0 },
    disableAfterMs: 1e9,
    random: Math.random(),
  });
  if (!settled.changed) throw new Error('it was settled before');
  return settled;
}

const numberOf = (id: string | undefined) =>
  parseId('dlv', parseJobId(id ?? '')?.deliveryId ?? '')?.number ?? Number.NaN;

type Working = {
  ended(events: number): Promise<void>;
  onEnd(tell: (number: number) => void): void;
  close(): Promise<void>;
};

function work(process: (number: number) => Promise<void>): Working {
  let done = 0;
  let tell = () => {};
  // Before there was `dropCompleted`, BullMQ was to drop them.
  const options = { ...WORKER_OPTIONS, removeOnComplete: { count: 'dropCompleted' in queue ? -1 : 1000 } };
  const connection = queue.connect([redis.url], 'blocking', () => {});
  const worker = new bullmq.Worker(queue.queueName(0), async (job) => process(numberOf(job.id)), {
    ...options,
    connection: connection as never,
    prefix: queue.queuePrefix(0),
    concurrency: AT_ONCE,
  });
  worker.on('completed', () => {
    done += 1;
    if ('dropCompleted' in queue && done % queue.DROP_COMPLETED_EVERY === 0) void queue.dropCompleted(shard);
    tell();
  });
  worker.on('failed', (_, error) => {
    throw error;
  });
  const ended = (events: number) =>
    new Promise<void>((resolve) => {
      tell = () => done >= events && resolve();
      tell();
    });
  return {
    ended,
    onEnd: (told) => worker.on('completed', (job) => told(numberOf(job.id))),
    close: async () => {
      await worker.close();
      connection.disconnect();
    },
  };
}

/** So many at a time, each when an earlier one has ended. */
async function inTurns<T>(items: T[], each: (item: T, i: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const one = async () => {
    for (let i = next++; i < items.length; i = next++) await each(items[i]!, i);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, one));
}

const indexes = (length: number) => Array.from({ length }, (_, i) => i);

/** A producer that always has so many deliveries under way, and a worker. */
async function whole(events: number): Promise<void> {
  const ends = new Map<number, () => void>();
  const worker = work(async (number) => {
    await claim(number);
    await settle(number);
  });
  worker.onEnd((number) => ends.get(number)?.());
  const publish = async (_: number, i: number) => {
    const number = await accept(i);
    const ended = new Promise<void>((resolve) => ends.set(number, resolve));
    await add(number, i);
    await ended;
    ends.delete(number);
  };
  // Until the finished jobs are as many as are kept.
  await inTurns(indexes(1500), publish);
  await meter.measure('whole', () => inTurns(indexes(events), publish));
  await worker.close();
}

/** A backlog that is published while no worker lives, and then delivered: each claim and settlement admits others. */
async function backlog(events: number): Promise<void> {
  await live(0);
  await meter.measure('accept to wait', () =>
    inTurns(indexes(events), async (i) => {
      await accept(i, false);
    }),
  );
  let admitted: Turn['admitted'] = [];
  const take = (turn: Turn) => {
    if (turn.admitted.length > 0 && admitted.length === 0) {
      setImmediate(() => {
        void queue.enqueue(shard.queue, admitted);
        admitted = [];
      });
    }
    admitted.push(...turn.admitted);
  };
  await meter.measure('deliver those', async () => {
    await live(AT_ONCE);
    const worker = work(async (number) => {
      take(await claim(number));
      take(await settle(number));
    });
    await worker.ended(events);
    await worker.close();
  });
}

/** The same, all deliveries of a round doing one step after the other. */
async function steps(events: number): Promise<void> {
  for (let from = -LANES; from < events; from += LANES) {
    const measure = from < 0 ? (_: string, run: () => Promise<void>) => run() : meter.measure;
    const taken: number[] = [];
    await measure('accept', () =>
      inTurns(indexes(LANES), async (i) => {
        taken[i] = await accept(i);
      }),
    );
    await measure('add', () => inTurns(taken, add));
    const worker = work(async () => {});
    await measure('fetch and finish', () => worker.ended(LANES));
    await worker.close();
    await measure('claim', () => inTurns(taken, claim));
    await measure('settle', () => inTurns(taken, settle));
  }
  await backlog(events);
}

try {
  await prepare();
  await whole(EVENTS);
  const steppedEvents = Math.ceil(EVENTS / LANES / 2) * LANES;
  await steps(steppedEvents);
  const costs: Costs = {};
  for (const [name, spent] of meter.spent) {
    const events = name === 'whole' ? EVENTS : steppedEvents;
    const { cpu, user, kernel } = spent;
    costs[name] = { cpu: cpu / events, user: user / events, kernel: kernel / events };
  }
  console.log(JSON.stringify(costs));
} finally {
  await producing.queue.close();
  producer.disconnect();
  await redis.stop();
}
