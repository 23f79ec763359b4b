import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { ELSEWHERE } from './characters.ts';
import { comeToRest } from './come-to-rest.ts';
import { conclude, type FaultReport } from './conclude.ts';
import { Injector } from './injector.ts';
import { Producer } from './producer.ts';
import { Random } from './random.ts';
import { APP, type Durability, ok, World } from './world.ts';

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

const APIS = 2;
const WORKERS = 3;
const SAMPLE_MS = 2000;
const TOGGLE_MS = 7000;
/** A key of a request that died with its API is taken for two minutes, a short run has none. */
const REST_WITHIN_MS = { long: 240_000, short: 100_000 };

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
  let stopped: Promise<void>;
  try {
    await injector.run(minutes === undefined ? undefined : since + minutes * 60_000);
  } finally {
    watching.abort();
    stopped = producer.stop();
  }
  await watches;
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

/** Quiet and by the way: an endpoint is disabled, or enabled. */
async function toggle(world: World, enabled: boolean): Promise<void> {
  const { id } = world.endpoints.find(({ character }) => character.name === 'toggled')!;
  ok(await world.client.patch(`/v1/apps/${APP}/endpoints/${id}`, { enabled }));
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
