import { setTimeout as delay } from 'node:timers/promises';
import type { TestRedis } from '../harness/redis.ts';
import type { Member } from './member.ts';
import type { Random } from './random.ts';
import type { Repeats } from './strikes.ts';
import type { World } from './world.ts';

/** What a fault gets to work with. `began` says when it struck, if that is not at once. */
export type Blow = { world: World; random: Random; member: Member; members: Member[]; began: () => void };

export type Fault = {
  name: string;
  /** What it has for itself while it lasts: a process, all of them, or Redis with the way there. */
  takes: 'API' | 'worker' | 'either' | 'all' | 'redis';
  /** Over within seconds. */
  quick: boolean;
  /** See strikes.ts. */
  repeats?: Repeats;
  losesRedis?: boolean;
  /** Why it cannot be had here; undefined: it can. */
  unavailable?: (world: World) => string | undefined;
  strike: (blow: Blow) => Promise<void>;
};

const NONE: Repeats = { beforeMs: 0, afterMs: 0 };
/** What Redis does not take for a while may be tried again, or be done by another whose lock has run out. */
const REDIS_AWAY: Repeats = { beforeMs: 4000, afterMs: 5000 };
/** Longer than a lock: who is let through again goes on, while another already has the job. */
const REDIS_AWAY_LONG: Repeats = { ...REDIS_AWAY, atOnce: true };
const HOUR_MS = 3_600_000;
/** A process must have noticed by then that its connections are dead, ms. */
const NOTICED_MS = 45_000;

const inMaster = async (world: World, ...command: [string, ...string[]]) =>
  world.redis.client.call(...command);

/** Writes the append-only file anew; resolves when that is done. */
async function rewriteFile({ client }: TestRedis): Promise<void> {
  const rewritten = async () => {
    while (!/aof_rewrite_in_progress:0/.test(await client.info('persistence'))) await delay(100);
  };
  await rewritten(); // one that began before may itself have met the full disk
  await client.call('BGREWRITEAOF');
  await rewritten();
}

/** What an operator has to do when there is room again (docs/operations.md). */
async function recoverFromFullDisk(world: World): Promise<void> {
  for (const server of world.replica ? [world.redis, world.replica] : [world.redis]) {
    // Redis 7.0 may have left a hole in the file. With `appendfsync always`, and as a replica, it ends itself, now or in a
    // moment, rather than promise what it cannot keep.
    const rewritten = rewriteFile(server).catch(() => {});
    await Promise.race([rewritten, server.ended]);
    if (!server.runs) await server.restart();
  }
  await world.follow();
}

export const FAULTS: readonly Fault[] = [
  {
    name: 'worker killed',
    takes: 'worker',
    quick: true,
    repeats: NONE,
    strike: async ({ member, random }) => {
      await member.kill();
      await delay(random.between(0, 3000));
      await member.start();
    },
  },
  {
    name: 'API killed',
    takes: 'API',
    quick: true,
    strike: async ({ member, random }) => {
      await member.kill();
      await delay(random.between(0, 3000));
      await member.start();
    },
  },
  ...(['after-claim', 'after-post', 'after-settle'] as const).map((point) => diesAt('worker', point)),
  diesAt('API', 'after-accept'),
  {
    name: 'worker drained',
    takes: 'worker',
    quick: true,
    strike: async ({ member }) => {
      await member.drain();
      await member.start();
    },
  },
  {
    name: 'API drained',
    takes: 'API',
    quick: true,
    strike: async ({ member }) => {
      await member.drain();
      await member.start();
    },
  },
  {
    name: 'rolling restart',
    takes: 'all',
    quick: false,
    strike: async ({ members }) => {
      for (const member of members) {
        await member.drain();
        await member.start();
      }
    },
  },
  {
    // Its event loop stands still for longer than the lock of its jobs, 15 s, lasts.
    name: 'worker frozen past its locks',
    takes: 'worker',
    quick: false,
    repeats: { beforeMs: 1000, afterMs: 3000, atOnce: true },
    strike: async ({ member, random }) => {
      member.freeze();
      await delay(random.between(17_000, 22_000));
      member.thaw();
    },
  },
  {
    name: 'API frozen',
    takes: 'API',
    quick: false,
    strike: async ({ member, random }) => {
      member.freeze();
      await delay(random.between(6000, 15_000));
      member.thaw();
    },
  },
  {
    name: 'Redis killed',
    takes: 'redis',
    quick: true,
    repeats: REDIS_AWAY,
    losesRedis: true,
    strike: async ({ world, random }) => {
      await world.redis.kill();
      await delay(random.between(0, 4000));
      await world.redis.restart();
    },
  },
  {
    name: 'Redis restarted in order',
    takes: 'redis',
    quick: true,
    repeats: REDIS_AWAY,
    strike: async ({ world, random }) => {
      await world.redis.shutdown();
      await delay(random.between(0, 2000));
      await world.redis.restart();
    },
  },
  {
    name: 'Redis paused',
    takes: 'redis',
    quick: false,
    repeats: REDIS_AWAY_LONG,
    strike: async ({ world, random }) => {
      world.redis.freeze();
      await delay(random.between(8000, 20_000));
      world.redis.thaw();
    },
  },
  {
    name: 'Redis read-only',
    takes: 'redis',
    quick: true,
    repeats: REDIS_AWAY,
    strike: async ({ world, random }) => {
      await inMaster(world, 'REPLICAOF', '127.0.0.1', '1');
      await delay(random.between(1000, 6000));
      await inMaster(world, 'REPLICAOF', 'NO', 'ONE');
    },
  },
  {
    name: 'Redis out of memory',
    takes: 'redis',
    quick: true,
    repeats: REDIS_AWAY,
    strike: async ({ world, random }) => {
      const used = Number(/used_memory:(\d+)/.exec(await world.redis.client.info('memory'))?.[1]);
      await inMaster(world, 'CONFIG', 'SET', 'maxmemory', String(used + 50_000));
      await delay(random.between(2000, 8000));
      await inMaster(world, 'CONFIG', 'SET', 'maxmemory', '0');
    },
  },
  {
    name: 'disk full under the AOF',
    takes: 'redis',
    quick: true,
    repeats: REDIS_AWAY,
    unavailable: ({ noDisk }) => noDisk,
    strike: async ({ world, random }) => {
      await world.disk!.fill();
      await delay(random.between(2000, 6000));
      await world.disk!.free();
      await recoverFromFullDisk(world);
    },
  },
  {
    name: 'connections to Redis cut',
    takes: 'redis',
    quick: true,
    strike: async ({ world, random }) => {
      const kinds = random.pick([['API'], ['worker'], ['API', 'worker']]);
      for (const { kind, proxy } of world.members) if (kinds.includes(kind)) proxy.cut();
    },
  },
  {
    name: 'way to Redis cut off for seconds',
    takes: 'either',
    quick: true,
    repeats: REDIS_AWAY,
    strike: async ({ member, random }) => {
      member.proxy.swallow();
      await delay(random.between(2000, 8000));
      member.proxy.restore();
    },
  },
  {
    name: 'way to Redis held up',
    takes: 'either',
    quick: true,
    repeats: REDIS_AWAY,
    strike: async ({ member, random }) => {
      member.proxy.hold();
      await delay(random.between(2000, 8000));
      member.proxy.restore();
    },
  },
  {
    name: 'connections dead, and nobody told',
    takes: 'either',
    quick: false,
    repeats: REDIS_AWAY_LONG,
    strike: async ({ member }) => {
      member.proxy.abandon();
      const deadline = Date.now() + NOTICED_MS;
      while (member.proxy.abandoned > 0 && Date.now() < deadline) await delay(200);
      if (member.proxy.abandoned > 0) {
        member.complaints.push(`${member.name} kept dead connections to Redis for ${NOTICED_MS / 1000} s`);
      }
      member.proxy.restore();
    },
  },
  {
    name: 'clock jumps',
    takes: 'either',
    quick: true,
    strike: async ({ member, random }) => {
      await member.shiftClock(random.pick([-1, 1]) * random.between(1, 5) * HOUR_MS);
      await delay(random.between(2000, 6000));
      await member.shiftClock(0);
    },
  },
  {
    name: "Redis' clock jumps",
    takes: 'redis',
    quick: true,
    unavailable: () => "libfaketime, tried, does not get on with Redis' allocator",
    strike: async () => {},
  },
  {
    name: 'replica promoted',
    takes: 'redis',
    quick: true,
    // What a worker took from the old master the new one may give to another: replication is asynchronous.
    repeats: { ...REDIS_AWAY, atOnce: true },
    unavailable: ({ replica }) => (replica ? undefined : 'only with --durability replica'),
    strike: async ({ world, random, began }) => {
      await world.follow();
      began();
      const old = world.redis;
      await old.kill();
      await delay(random.between(0, 2000));
      await world.promote();
      await old.restart();
      await world.follow();
    },
  },
];

function diesAt(kind: 'API' | 'worker', point: string): Fault {
  return {
    name: `${kind} dies ${point.replace('-', ' ')}`,
    takes: kind,
    quick: true,
    ...(kind === 'worker' ? { repeats: NONE } : {}),
    strike: async ({ member, began }) => {
      await member.drain();
      await member.dieAt(point, 15_000);
      began();
      await member.start();
    },
  };
}
