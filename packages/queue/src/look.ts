import type { RedisClient } from './connection.ts';
import { DIRECTORY } from './keys.ts';
import { type ScriptReply, text } from './scripts.ts';
import type { Shard, Shards } from './shard.ts';

/** How much there is to do, and how old it is, in one shard or in all. Ages in ms; undefined: there is none, or it is not known. */
export type Look = {
  open: { pending: number; retrying: number };
  /** Since the oldest open delivery could first have been sent. */
  oldestOpenMs: number | undefined;
  /** Since the oldest delivery that its lane lets go now could have been sent: of the first 100 lanes in turn. */
  oldestReadyMs: number | undefined;
  lanesClosed: number;
  outbox: number;
  /** Of all live workers. */
  slots: number;
  jobs: { waiting: number; active: number; delayed: number };
};

/** Of Redis itself, and of a Cluster what its fullest master has: publishing to what lies there is refused first. */
export type RedisLook = Look & {
  roundTripMs: number;
  memoryBytes: number;
  /** 0: none. */
  memoryLimitBytes: number;
};

/** Buckets that one call passes over, so that no call blocks Redis for long, and how often it is called on for more. */
const STRETCH = 500;
const MOST_CALLS = 20;
/** RECOUNT is made by one of all workers, this often, seconds. */
const RECOUNT_SECONDS = 3600;
/**
 * It is one step, of about 2.5 µs an app: where there are more, it is made only so often. Not once: the first new worker of
 * an upgrade makes it, while processes that do not count still run.
 */
const MOST_RECOUNTED = 10_000;
const LARGE_RECOUNTS = 2;
const NOT_FOUND_YET = -2;

/** Open deliveries of a shard: one small read, however many there are. */
export async function countOpen(shard: Shard): Promise<number> {
  const counts = await shard.client.hmget(shard.key('flow'), 'pe', 're');
  return counts.reduce((sum, count) => sum + Math.max(0, Number(count ?? 0)), 0);
}

/** LOOK (lua/look.lua). */
export async function lookAtShard(shard: Shard): Promise<Look> {
  for (let calls = 1; ; calls++) {
    const reply = (await shard.run('look', [shard.jobPrefix, STRETCH])) as ScriptReply[];
    const [pending, retrying, oldest, ready, closed, outbox, slots, waiting, active, delayed] = reply.map(
      (value) => Number(text(value)),
    ) as [number, number, number, number, number, number, number, number, number, number];
    if (oldest === NOT_FOUND_YET && calls < MOST_CALLS) continue;
    return {
      open: { pending, retrying },
      oldestOpenMs: oldest < 0 ? undefined : oldest,
      oldestReadyMs: ready < 0 ? undefined : ready,
      lanesClosed: closed,
      outbox,
      slots,
      jobs: { waiting, active, delayed },
    };
  }
}

/**
 * All shards, and Redis: a call for each shard and three. Of a Cluster, all that answer: one master that is away hides nothing
 * of the others.
 * @param onRoundTrip told how long the first command took, ms, before the others are answered
 * @throws Redis' error, when nothing answers
 */
export async function lookAtRedis(
  shards: Shards,
  onRoundTrip: (ms: number) => void = () => {},
): Promise<RedisLook> {
  const { client } = shards;
  const start = performance.now();
  const known = await shards.known();
  const roundTripMs = performance.now() - start;
  onRoundTrip(roundTripMs);
  const [memory, looks] = await Promise.all([
    readMemory(client),
    answered(known.map((number) => lookAtShard(shards.get(number)))),
  ]);
  return { ...looks.reduce(together, NOTHING), ...memory, roundTripMs };
}

const NOTHING: Look = {
  open: { pending: 0, retrying: 0 },
  oldestOpenMs: undefined,
  oldestReadyMs: undefined,
  lanesClosed: 0,
  outbox: 0,
  slots: 0,
  jobs: { waiting: 0, active: 0, delayed: 0 },
};

function together(a: Look, b: Look): Look {
  return {
    open: { pending: a.open.pending + b.open.pending, retrying: a.open.retrying + b.open.retrying },
    oldestOpenMs: older(a.oldestOpenMs, b.oldestOpenMs),
    oldestReadyMs: older(a.oldestReadyMs, b.oldestReadyMs),
    lanesClosed: a.lanesClosed + b.lanesClosed,
    outbox: a.outbox + b.outbox,
    slots: a.slots + b.slots,
    jobs: {
      waiting: a.jobs.waiting + b.jobs.waiting,
      active: a.jobs.active + b.jobs.active,
      delayed: a.jobs.delayed + b.jobs.delayed,
    },
  };
}

function older(a: number | undefined, b: number | undefined): number | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return Math.max(a, b);
}

async function readMemory(client: RedisClient): Promise<{ memoryBytes: number; memoryLimitBytes: number }> {
  const nodes = 'nodes' in client ? client.nodes('master') : [client];
  const infos = await answered(nodes.map((node) => node.info('memory')));
  const of = (info: string, name: string) => Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(info)?.[1] ?? 0);
  const each = infos.map((info) => ({
    memoryBytes: of(info, 'used_memory'),
    memoryLimitBytes: of(info, 'maxmemory'),
  }));
  // One without a limit comes before all others: it is never too full for Sealpost, only for its machine.
  const fullness = ({ memoryBytes, memoryLimitBytes }: (typeof each)[number]) =>
    memoryBytes / memoryLimitBytes;
  return each.reduce((fullest, one) => (fullness(one) > fullness(fullest) ? one : fullest));
}

/** What those give that are kept. @throws the first one's error when none is */
async function answered<T>(asked: readonly Promise<T>[]): Promise<T[]> {
  const told = await Promise.allSettled(asked);
  const kept = told.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  const failed = told.find((one) => one.status === 'rejected');
  if (kept.length === 0 && failed) throw failed.reason;
  return kept;
}

/**
 * RECOUNT (lua/recount.lua), if it is this process' turn in this hour. Answers by how much the counts were wrong;
 * undefined: it is not its turn, or nothing had been counted before.
 */
export async function recountOpen(shard: Shard): Promise<number | undefined> {
  const turn = await shard.client.set(shard.key('recount:turn'), '1', 'EX', RECOUNT_SECONDS, 'NX');
  if (turn !== 'OK') return undefined;
  const apps = await shard.client.hvals(DIRECTORY.apps);
  const owners = apps.map((place) => place.split(':')).filter(([number]) => Number(number) === shard.number);
  if (owners.length > MOST_RECOUNTED) {
    const made = Number(await shard.client.hget(shard.key('flow'), 'rc'));
    if (made >= LARGE_RECOUNTS) return undefined;
  }
  const reply = (await shard.run(
    'recount',
    owners.map(([, owner]) => owner!),
  )) as ScriptReply[];
  const [pendingBefore, pending, retryingBefore, retrying] = reply.map(text);
  if (pendingBefore === '' && retryingBefore === '') return undefined;
  return (
    Math.abs(Number(pending) - Number(pendingBefore)) + Math.abs(Number(retrying) - Number(retryingBefore))
  );
}
