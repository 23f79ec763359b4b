import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { ELSEWHERE } from './characters.ts';
import { collect } from './collect.ts';
import { comeToRest } from './come-to-rest.ts';
import { Injector } from './injector.ts';
import { judge, type StoredDelivery } from './judge.ts';
import { leftovers, wrongCounts } from './leftovers.ts';
import { Producer } from './producer.ts';
import { Random } from './random.ts';
import { type Row, rowsOf, storyOf, storyOfAnswer } from './report.ts';
import type { Strike } from './strikes.ts';
import { APP, type Durability, ok, WORKER_SLOTS, World } from './world.ts';

export type FaultRun = {
  seed: number;
  durability: Durability;
  /** How long faults strike; undefined: each quick one once. */
  minutes: number | undefined;
  eventsPerSecond: number;
  /** Parts of the names of faults; none: all. */
  only?: string[];
  /** Ends it before its time. */
  signal?: AbortSignal;
  say: (line: string) => void;
};

export type FaultReport = {
  /** A story each; none: all is as it should be. */
  failures: string[];
  rows: Row[];
  skipped: [name: string, why: string][];
  totals: Record<string, string | number>;
};

const APIS = 2;
const WORKERS = 3;
const SAMPLE_MS = 2000;
const TOGGLE_MS = 7000;
/** A key of a request that died with its API is taken for two minutes, a short run has none. */
const REST_WITHIN_MS = { long: 240_000, short: 100_000 };
/** A process of this size may not grow beyond it, whatever strikes. */
const MOST_RSS = 400 * 1024 * 1024;
const MOST_STORIES = 12;

/** Runs a whole system under faults, and holds what it did against what it promises. */
export async function runFaults(options: FaultRun): Promise<FaultReport> {
  const { seed, durability } = options;
  const random = new Random(seed);
  const world = await World.create({ durability, random, apis: APIS, workers: WORKERS });
  options.signal?.addEventListener('abort', () => void world.halt());
  await world.start();
  try {
    return await run(world, random, options);
  } finally {
    await world.halt();
  }
}

async function run(world: World, random: Random, options: FaultRun): Promise<FaultReport> {
  const { seed, durability, minutes, say } = options;
  const since = Date.now();
  const told = (line: string) => say(`${((Date.now() - since) / 1000).toFixed(0).padStart(4)} s  ${line}`);
  const producer = new Producer({
    urls: () => world.apis.map(({ url }) => url),
    apiKey: world.apiKey,
    app: APP,
    random: random.fork(),
    perSecond: options.eventsPerSecond,
    run: `${seed}-${randomBytes(3).toString('hex')}`,
    elsewhereUrl: world.receivers.url(ELSEWHERE),
    elsewhereSecret: world.elsewhereSecret,
    // A key whose request died with its API is taken for two minutes, which a short run does not have.
    useIdempotencyKeys: minutes !== undefined,
  });
  const quick = minutes === undefined;
  const pause: [number, number] = quick ? [900, 1300] : [4000, 11_000];
  const injector = new Injector({
    world,
    random: random.fork(),
    quick,
    only: options.only ?? [],
    pause,
    say: told,
  });
  const watching = new AbortController();
  const watches = Promise.all([
    everySoOften(SAMPLE_MS, watching.signal, async () => {
      await Promise.all(world.members.map((member) => member.sample()));
    }),
    everySoOften(TOGGLE_MS, watching.signal, (round) => toggle(world, round % 2 === 1)),
  ]);

  producer.start();
  await delay(2000);
  await injector.run(minutes === undefined ? undefined : since + minutes * 60_000);
  watching.abort();
  await watches;
  const stopped = producer.stop();
  told(
    `no more faults; ${producer.events.length} events, ${world.receivers.requests.length} requests so far`,
  );
  await toggle(world, true).catch(() => {});
  const limitMs = quick ? REST_WITHIN_MS.short : REST_WITHIN_MS.long;
  const rest = await comeToRest(world, producer, { limitMs, say: told });
  told(rest.left.length === 0 ? `at rest after ${(rest.tookMs / 1000).toFixed(1)} s` : 'not at rest in time');
  if (rest.left.length === 0) await stopped;
  return conclude(world, producer, injector, rest.left, { since, durability, told });
}

async function conclude(
  world: World,
  producer: Producer,
  injector: Injector,
  restless: string[],
  { since, durability, told }: { since: number; durability: Durability; told: (line: string) => void },
): Promise<FaultReport> {
  const { events } = producer;
  const stored = await collect(world, events);
  told('every event and delivery has been read');
  const { strikes } = injector;
  const verdict = judge({
    events,
    stored,
    targets: ({ input }) => [
      ...world.endpointsFor(input.type).map(({ id, character }) => ({ endpointId: id, character })),
      ...(input.webhook_url ? [{ endpointId: null, character: ELSEWHERE }] : []),
    ],
    requests: world.receivers.requests,
    strikes,
    mayForget: durability !== 'disk',
    slots: WORKER_SLOTS,
  });
  const all = [...stored.values()].flatMap((deliveries) => deliveries ?? []);
  const redis = world.redis.client;
  const failures = [
    ...restless.map((left) => `not at rest: ${left}`),
    ...(restless.length === 0 ? await leftovers(redis) : []).map((left) => `left behind: ${left}`),
    ...(await wrongCounts(redis, APP, world.endpoints, all)),
    ...untoldDeaths(world, all),
    ...producer.surprises.slice(0, MOST_STORIES).map((surprise) => storyOfAnswer(surprise, world)),
    ...world.members.flatMap(({ complaints }) => complaints),
    ...world.members
      .filter(({ mostRss }) => mostRss > MOST_RSS)
      .map(({ name, mostRss }) => `${name} grew to ${megabytes(mostRss)}`),
    ...injector.troubles,
    ...verdict.failures.slice(0, MOST_STORIES).map((failure) => storyOf(failure, world, strikes, since)),
  ];
  if (verdict.failures.length > MOST_STORIES)
    failures.push(`… and ${verdict.failures.length - MOST_STORIES} more like these`);
  return {
    failures,
    rows: rowsOf(strikes, verdict, delaysOf(world, producer)),
    skipped: injector.skipped,
    totals: {
      events: events.length,
      'refused tries': producer.refusals,
      deliveries: verdict.deliveries,
      ...verdict.byStatus,
      attempts: verdict.attempts,
      requests: world.receivers.requests.length,
      'sent again on a fresh connection': verdict.stale,
      'answers that a fault swallowed': verdict.swallowed,
      'forgotten by a killed Redis': count(verdict.lost),
      duplicates: count(verdict.repeated),
      'largest process': megabytes(Math.max(...world.members.map(({ mostRss }) => mostRss))),
      'Redis, bytes a delivery': Math.round((await usedMemory(world)) / Math.max(1, verdict.deliveries)),
    },
  };
}

/** Quiet and by the way: an endpoint is disabled, or enabled. */
async function toggle(world: World, enabled: boolean): Promise<void> {
  const { id } = world.endpoints.find(({ character }) => character.name === 'toggled')!;
  ok(await world.client.patch(`/v1/apps/${APP}/endpoints/${id}`, { enabled }));
}

/** Operators are told of each delivery that died. */
function untoldDeaths(world: World, deliveries: StoredDelivery[]): string[] {
  const told = new Set(world.receivers.requests.map((request) => request.told?.data?.delivery_id));
  return deliveries
    .filter(({ id, status }) => status === 'dead' && !told.has(id))
    .map(({ id }) => `operators were not told that delivery ${id} is dead`);
}

/** From 202 to arrival, at receivers that take everything at once. */
function delaysOf({ receivers, endpoints }: World, { acknowledged }: Producer) {
  const good = new Set(
    endpoints.filter(({ character }) => character.isGood).map(({ character }) => character.name),
  );
  const arrived = new Map<string, number>();
  for (const { event, receiver, at } of receivers.requests)
    if (good.has(receiver)) arrived.set(event, Math.max(arrived.get(event) ?? 0, at));
  return acknowledged.flatMap(({ answer, ackedAt }) => {
    const at = arrived.get(answer!.id);
    return at === undefined ? [] : [{ ackedAt: ackedAt!, tookMs: at - ackedAt! }];
  });
}

async function everySoOften(
  ms: number,
  signal: AbortSignal,
  work: (round: number) => Promise<void>,
): Promise<void> {
  for (let round = 0; !signal.aborted; round++) {
    await work(round).catch(() => {}); // whoever is asked may be the one that a fault has
    await delay(ms, undefined, { signal }).catch(() => {});
  }
}

async function usedMemory({ redis }: World): Promise<number> {
  return Number(/used_memory:(\d+)/.exec(await redis.client.info('memory'))?.[1]);
}

const count = (map: Map<Strike, unknown[]>) => [...map.values()].reduce((sum, list) => sum + list.length, 0);
const megabytes = (bytes: number) => `${Math.round(bytes / 1024 / 1024)} MB`;
