import { formatId, Keyring } from '@sealpost/core';
import { accept, pump, type RedisClient, recountOpen, Shards } from '@sealpost/queue';
import { startTestRedis, type TestRedis } from '@sealpost/queue/testing';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ensureApp } from '../apps.ts';
import { Configs } from '../configs.ts';
import { createEndpoint } from '../create-endpoint.ts';
import { pauseEndpoint, removeEndpoint } from '../endpoints.ts';
import { rotateMasterKey } from '../rotate/rotate-master-key.ts';
import { keepMoves } from './keep-moves.ts';
import { letGo } from './let-go.ts';
import { type MoveStep, moveApp } from './move-app.ts';
import { surveyApps } from './survey.ts';

const keyring = Keyring.fromMasterKeys(Buffer.alloc(32, 1));
const DAY_MS = 86_400_000;
const KEEP_MS = 7 * DAY_MS;

let redis: TestRedis;
let shards: Shards;

beforeAll(async () => {
  redis = await startTestRedis();
  shards = new Shards(redis.client);
});
afterAll(() => redis.stop());
beforeEach(() => begin());

const process = (through = shards) => new Configs({ shards: through, keyring, shardsForNewApps: 1 });
let endpoints: string[] = [];

/** An app with two endpoints, the second one in order. */
async function begin(): Promise<void> {
  await redis.client.flushall();
  await ensureApp(process(), keyring, 'shop', 1);
  endpoints = [await addEndpoint({}), await addEndpoint({ ordered: true })];
}

async function addEndpoint(more: object, configs = process()): Promise<string> {
  const input = { url: 'https://receiver.example/', event_types: [], environments: [], enabled: true };
  const rest = { description: '', ordered: false, metadata: {}, headers: {}, ...more };
  const made = await createEndpoint({ configs, keyring }, 'shop', { ...input, ...rest } as never, 1);
  return made.endpoint.id;
}

/** Offers an event with a delivery to each endpoint to every shard, as an API would that holds it for the home. */
async function whereAccepted(): Promise<number[]> {
  const accepting: number[] = [];
  for (const shard of [0, 1, 2]) {
    for (const [place, v] of await versionsIn(shard)) {
      if ((await offer(shard, place, v)) === 'accepted') accepting.push(shard);
    }
  }
  return accepting;
}

/** Places that are the home for who looks the app up: the versions that a process would hold. */
async function versionsIn(shard: number): Promise<[number, number][]> {
  const home = await process().load('shop');
  return home?.shard === shard ? [[home.number, home.version]] : [];
}

let numbers = 0;
async function offer(shardNumber: number, app: number, configVersion: number): Promise<string> {
  const shard = shards.get(shardNumber);
  numbers += 128;
  const at = Date.now();
  const { result } = await accept(shard, {
    app,
    configVersion,
    number: numbers,
    record: JSON.stringify({ a: 'shop', n: app, t: 'a.b', at, k: 0 }),
    body: '{}',
    deliveries: [],
    retention: { recordsMs: KEEP_MS, bodiesMs: KEEP_MS },
  });
  return result;
}

const tools = (through = shards) => ({
  shards: through,
  configs: process(through),
  now: Date.now,
  patienceMs: 0,
});

describe('moving an app', () => {
  it('makes the other shard its home, with all that it has', async () => {
    // Of a Redis whose clock was ahead once.
    const { number } = (await process().load('shop'))!;
    await redis.client.hset(`{sp:0}:cfg:${number}`, 'v', Date.now() + DAY_MS);
    const before = (await process().load('shop'))!;
    const steps: MoveStep[] = [];
    await moveApp({ ...tools(), onStep: (step) => steps.push(step) }, 'shop', 1);
    expect(steps).toEqual(['begun', 'moved', 'there']);
    const after = (await process().load('shop'))!;
    expect(after.shard).toBe(1);
    expect([...after.endpoints.keys()]).toEqual(endpoints);
    expect(after.record).toEqual(before.record);
    expect(after.version).toBeGreaterThan(before.version);
    expect(after.parts.map(({ shard }) => shard)).toEqual([1, 0]);
    expect(await redis.client.hget('sp:apps', 'shop')).toBe(`1:${after.number}`);
    for (const { id, number } of after.endpoints.values()) expect(formatId('ep', 1, number)).toBe(id);
  });

  it('can be broken off at any command: one shard accepts, it goes on, and what was held is let go', async () => {
    for (let most = 0, done = false; !done; most++) {
      await begin();
      const held = process();
      const known = (await held.load('shop'))!;
      const tried = await moveApp(tools(breakingShards(most)), 'shop', 1).catch(() => undefined);
      const home = (await process().load('shop'))!;
      expect(await whereAccepted(), `broken off after ${most} commands`).toEqual([home.shard]);
      if (home.shard === 1) expect(await offer(0, known.number, known.version)).toBe('stale');
      // Whoever knew it before finds it too, and changes it.
      await held.change('shop', (config) => pauseEndpoint(config, endpoints[0]!, most));
      const moved = await moveApp(tools(), 'shop', 1);
      expect(moved.shard).toBe(1);
      expect(moved.endpoints.get(endpoints[0]!)).toMatchObject({ paused: true, updatedAt: most });
      const rounds = [await keep(0), await keep(1), await keep(0)];
      for (const { errors } of rounds) expect(errors, `after ${most} commands`).toEqual([]);
      expect(await redis.client.keys('{sp:*}:held:*'), `after ${most} commands`).toEqual([]);
      expect(await redis.client.exists('{sp:1}:came')).toBe(0);
      for (const key of await redis.client.keys('{sp:1}:lane:*')) {
        expect(await redis.client.hget(key, 'mv'), `after ${most} commands`).toBeNull();
      }
      done = tried !== undefined;
      if (done) expect(most).toBeGreaterThan(10);
    }
  });

  it('takes along what is changed while it is prepared', async () => {
    const configs = process();
    const onStep = (step: MoveStep) => {
      if (step === 'begun') changing.push(addEndpoint({ name: 'late' }, configs));
    };
    const changing: Promise<string>[] = [];
    await moveApp({ ...tools(), onStep }, 'shop', 1);
    const late = await changing[0]!;
    expect((await process().load('shop'))!.endpoints.has(late)).toBe(true);
  });

  it('twice at once does it once', async () => {
    const both = await Promise.all([moveApp(tools(), 'shop', 1), moveApp(tools(), 'shop', 1)]);
    expect(new Set(both.map(({ shard, number }) => `${shard}:${number}`)).size).toBe(1);
    expect((await process().load('shop'))!.moves.former).toHaveLength(1);
  });

  it.each([
    ['by others', undefined],
    ['by nobody yet', 'killed'],
  ])(
    'changes nothing at a new home, used %s, on behalf of what was read at the old one',
    async (_, killed) => {
      const onStep = (step: MoveStep) => {
        if (killed && step === 'moved') throw new Error(killed);
      };
      const slow = process();
      const readAt = slow.readAt.bind(slow);
      let other: Promise<unknown> | undefined;
      // This mover reads what is prepared only after another has made it the home, and somebody has changed it.
      slow.readAt = async (app, place) => {
        if (place.shard === 1 && !other) {
          other = (async () => {
            const change = () =>
              process().change('shop', (config) => pauseEndpoint(config, endpoints[0]!, 77));
            if (killed) await change();
            await moveApp({ ...tools(), onStep }, 'shop', 1).catch(() => {});
            if (!killed) await change();
          })();
          await other;
        }
        return readAt(app, place);
      };
      const moved = await moveApp({ ...tools(), configs: slow }, 'shop', 1);
      expect(moved.endpoints.get(endpoints[0]!)?.paused).toBe(true);
    },
  );

  it('goes on to a third shard, and back when nothing is left where it was', async () => {
    await moveApp(tools(), 'shop', 1);
    await moveApp(tools(), 'shop', 2);
    expect((await process().load('shop'))!.parts.map(({ shard }) => shard)).toEqual([2, 1, 0]);
    await expect(moveApp(tools(), 'shop', 0)).rejects.toThrow('still has records there');
    const later = () => Date.now() + KEEP_MS + 2 * DAY_MS;
    expect((await keep(0)).gone).toEqual([]);
    expect((await keep(0, later)).gone).toEqual(['shop']);
    expect((await keep(1, later)).gone).toEqual(['shop']);
    const home = (await process().load('shop'))!;
    expect(home.parts.map(({ shard }) => shard)).toEqual([2]);
    expect(await redis.client.keys('{sp:[01]}:lane:*')).toEqual([]);
    expect((await moveApp(tools(), 'shop', 0)).shard).toBe(0);
    expect([...(await process().load('shop'))!.endpoints.keys()]).toEqual(endpoints);
  });

  it('is not begun for another shard while it goes to one', async () => {
    await prepare();
    expect((await process().load('shop'))!.moves.next?.shard).toBe(1);
    await expect(moveApp(tools(), 'shop', 2)).rejects.toThrow('is being moved to shard 1');
    await expect(moveApp(tools(), 'none', 2)).rejects.toMatchObject({ code: 'app_not_found' });
  });

  it('tells operators once of an endpoint that is disabled while it is prepared', async () => {
    await prepare();
    await process().change('shop', ({ endpoints: all }) => {
      const off = { ...all.get(endpoints[0]!)!, enabled: false, disabledReason: 'idle' };
      return { endpoints: { [off.id]: off } };
    });
    await moveApp(tools(), 'shop', 1);
    expect(await redis.client.llen('{sp:0}:outbox')).toBe(1);
    expect(await redis.client.llen('{sp:1}:outbox')).toBe(0);
  });

  it('does not come back to a shard while what is left there of an earlier stay has yet to be removed', async () => {
    await moveApp(tools(), 'shop', 1);
    const [former] = (await process().load('shop'))!.moves.former!;
    // As a worker that finds nothing left, and dies between its two steps.
    await process().change('shop', () => ({ moves: { former: [] } }));
    await expect(moveApp(tools(), 'shop', 0)).rejects.toThrow('still has records there');
    expect((await keep(0)).gone).toEqual(['shop']);
    expect(await process().readAt('shop', former!)).toBeUndefined();
    expect((await moveApp(tools(), 'shop', 0)).shard).toBe(0);
    await keep(0);
    expect(await redis.client.smembers(`{sp:0}:held:${(await process().load('shop'))!.number}`)).toEqual([]);
  });

  it('deletes it in the shard that it leaves too, if it does so while it is being deleted', async () => {
    await prepare();
    const deleting = process();
    const writeAt = deleting.writeAt.bind(deleting);
    // What is prepared is deleted already, as the mover takes its last step.
    deleting.writeAt = async (config, change) => {
      if (config.shard === 0) {
        const { next } = config.moves;
        const moves = { movedTo: next, next: undefined, leftAt: 1, follows: 0 };
        await process().writeAt(config, { moves, leaves: true });
      }
      return writeAt(config, change);
    };
    const deleted = deleting.change('shop', () => ({ deleteApp: true }));
    await expect(deleted).rejects.toMatchObject({ code: 'app_not_found' });
    expect(await redis.client.hlen('{sp:0}:left')).toBe(1);
    expect(await keep(0)).toMatchObject({ errors: [] });
    expect(await redis.client.exists('{sp:0}:left')).toBe(0);
    expect(await redis.client.hlen('{sp:0}:doomed')).toBe(1);
  });

  it('is refused while a worker of an older version runs, which would take its endpoints for deleted ones', async () => {
    const pumped = { slots: 1, maxAgeMs: 1, retention: { recordsMs: 1, bodiesMs: 1 }, clock: Date.now() };
    await pump(shards.get(0), { worker: 'w', ...pumped });
    const older = (until: number) => redis.client.hset('{sp:0}:hb', 'an-older-one', `200:${until}`);
    await older(Date.now() + DAY_MS);
    await expect(moveApp(tools(), 'shop', 1)).rejects.toThrow('A worker of an older version');
    expect((await process().load('shop'))!.moves.next).toBeUndefined();
    await older(Date.now() - DAY_MS);
    expect((await moveApp(tools(), 'shop', 1)).shard).toBe(1);
  });

  it('leaves nothing behind of what was prepared for an app that is deleted', async () => {
    await prepare();
    await redis.client.hdel('sp:apps', 'shop'); // as whoever deletes it just before anything is prepared
    expect(await redis.client.hlen('{sp:1}:came')).toBe(1);
    await keep(1);
    expect(await redis.client.exists('{sp:1}:came')).toBe(0);
    expect(await redis.client.keys('{sp:1}:{lane,held}:*')).toEqual([]);
  });

  it('deletes an app in all its shards', async () => {
    await moveApp(tools(), 'shop', 1);
    await process().change('shop', () => ({ deleteApp: true }));
    expect(await process().load('shop')).toBeUndefined();
    expect(await redis.client.hlen('{sp:0}:doomed')).toBe(1);
    expect(await redis.client.hlen('{sp:1}:doomed')).toBe(1);
    expect(await redis.client.exists('{sp:0}:left', '{sp:1}:came')).toBe(0);
  });
});

describe('a shard that an app has left', () => {
  it('follows each change of the home, also one whose process died before it got there', async () => {
    await moveApp(tools(), 'shop', 1);
    const home = (await process().load('shop'))!;
    const former = home.moves.former![0]!;
    await process().change('shop', (config) => pauseEndpoint(config, endpoints[0]!, 5));
    const there = async () => (await process().readAt('shop', former))!.endpoints;
    expect((await there()).get(endpoints[0]!)?.paused).toBe(true);
    expect(
      await redis.client.hexists(`{sp:0}:lane:${(await there()).get(endpoints[0]!)!.number}`, 'ps'),
    ).toBe(1);
    // As a process that dies after its first write.
    const now = (await process().load('shop'))!;
    await process().writeAt(now, removeEndpoint(now, endpoints[1]!));
    expect((await there()).has(endpoints[1]!)).toBe(true);
    await keep(0);
    expect([...(await there()).keys()]).toEqual([endpoints[0]]);
    // What is made at home has no records there.
    const later = await addEndpoint({});
    expect((await there()).has(later)).toBe(false);
    expect(later.startsWith('ep_01')).toBe(true);
  });
});

describe('a shard whose replica took over without the step in which an app left', () => {
  it.each([
    ['the next change of the app', () => process().change('shop', (c) => pauseEndpoint(c, endpoints[0]!, 9))],
    ['the same move again', () => moveApp(tools(), 'shop', 1)],
  ])('is left again by %s, and accepts no more', async (_, then) => {
    await prepare();
    const { number } = (await process().load('shop'))!;
    const stale = (await process().readAt('shop', { shard: 0, number }))!;
    const state = await redis.client.dumpBuffer(`{sp:0}:cfg:${number}`);
    await moveApp(tools(), 'shop', 1);
    await redis.client.restore(`{sp:0}:cfg:${number}`, 0, state!, 'REPLACE');
    await redis.client.del('{sp:0}:left');
    expect(await offer(0, number, stale.version)).toBe('accepted');
    await then();
    expect(await offer(0, number, stale.version)).toBe('stale');
    expect(await redis.client.hgetall('{sp:0}:left')).toEqual({ [number]: 'shop' });
    expect((await process().readAt('shop', { shard: 0, number }))!.moves.movedTo?.shard).toBe(1);
  });
});

describe('what looks at all apps of a shard', () => {
  it('counts what an app that has left has open there', async () => {
    const { number } = (await process().load('shop'))!;
    await moveApp(tools(), 'shop', 1);
    await redis.client.hset(`{sp:0}:c:${number}`, '0', 5, '1', 2);
    await redis.client.hset('{sp:0}:flow', 'pe', 1, 're', 1);
    expect(await recountOpen(shards.get(0))).toBe(5);
    expect(await redis.client.hmget('{sp:0}:flow', 'pe', 're')).toEqual(['5', '2']);
    expect(await surveyApps(shards)).toMatchObject([
      { app: 'shop', shard: 0, isHome: false, kept: 7, open: 7 },
      { app: 'shop', shard: 1, isHome: true, kept: 0, open: 0 },
    ]);
  });

  it('writes the configs of all its shards under a new master key', async () => {
    const before = (await moveApp(tools(), 'shop', 1)).moves.former![0]!;
    await redis.client.sadd('sp:master', keyring.keyId);
    const [next, former] = [Buffer.alloc(32, 2), Buffer.alloc(32, 1)];
    const tally = { records: 0, events: 0, deliveries: 0, answers: 0, damaged: 0 };
    expect(await rotateMasterKey(shards, Keyring.fromMasterKeys(next, former), tally)).toEqual({
      done: true,
    });
    const alone = new Configs({ shards, keyring: Keyring.fromMasterKeys(next), shardsForNewApps: 1 });
    expect([...(await alone.readAt('shop', before))!.endpoints.keys()]).toEqual(endpoints);
    expect((await alone.load('shop'))!.shard).toBe(1);
  });
});

describe('the lanes of an app that has come', () => {
  it('wait for what is left in the shard before, and take along that their receiver fails', async () => {
    const { number } = (await process().load('shop'))!.endpoints.get(endpoints[0]!)!;
    await redis.client.hset(`{sp:0}:lane:${number}`, 'q', 3, 'fs', 1234);
    const { shard, number: app } = await moveApp(tools(), 'shop', 1);
    const round = () => letGo(tools(), 'shop', { shard, number: app });
    expect(await round()).toEqual({ letGo: 1, held: 1 });
    expect(await round()).toEqual({ letGo: 0, held: 1 });
    await redis.client.hset(`{sp:0}:lane:${number}`, 'q', 0, 'n', 1);
    expect(await round()).toEqual({ letGo: 0, held: 1 });
    await redis.client.hset(`{sp:0}:lane:${number}`, 'n', 0);
    expect(await round()).toEqual({ letGo: 1, held: 0 });
    const lane = (await process().load('shop'))!.endpoints.get(endpoints[0]!)!.number;
    expect(await redis.client.hgetall(`{sp:1}:lane:${lane}`)).toEqual({ fs: '1234' });
  });

  it('wait for all shards before, also when the one between has nothing', async () => {
    const { number } = (await process().load('shop'))!.endpoints.get(endpoints[0]!)!;
    await redis.client.hset(`{sp:0}:lane:${number}`, 'q', 3);
    await moveApp(tools(), 'shop', 1);
    await moveApp(tools(), 'shop', 2);
    for (const shard of [1, 2]) expect(await keep(shard)).toMatchObject({ letGo: 1, errors: [] });
    await redis.client.del(`{sp:0}:lane:${number}`);
    for (const shard of [1, 2]) expect(await keep(shard)).toMatchObject({ letGo: 1, errors: [] });
  });

  it('count attempts made before against their rate limit', async () => {
    const limited = await addEndpoint({ rate_limit: { limit: 5, period_seconds: 60, over: 'hold' } });
    const { number } = (await process().load('shop'))!.endpoints.get(limited)!;
    const at = Date.now();
    await redis.client.zadd(`{sp:0}:tok:${number}`, at, '17:1', at + 1, '18:1');
    await moveApp(tools(), 'shop', 1);
    await keep(1);
    const there = (await process().load('shop'))!.endpoints.get(limited)!.number;
    const log = await redis.client.zrange(`{sp:1}:tok:${there}`, '0', '-1', 'WITHSCORES');
    expect(log).toEqual(['before:17:1', String(at), 'before:18:1', String(at + 1)]);
    expect(await redis.client.pttl(`{sp:1}:tok:${there}`)).toBeGreaterThan(60_000);
  });
});

/** A move that is broken off just before the step after which the app is elsewhere. */
async function prepare(): Promise<void> {
  const configs = process();
  const writeAt = configs.writeAt.bind(configs);
  configs.writeAt = async (config, change) => {
    if (change.leaves) throw new Error('broken off');
    return writeAt(config, change);
  };
  await expect(moveApp({ ...tools(), configs }, 'shop', 1)).rejects.toThrow('broken off');
}

function keep(shard: number, now = Date.now) {
  return keepMoves(shards.get(shard), { shards, configs: process(), keepMs: KEEP_MS, now });
}

/** Shards whose connection takes so many commands, and fails at every one after them. */
function breakingShards(most: number): Shards {
  let used = 0;
  const client = new Proxy(redis.client, {
    get(target, name) {
      const value = Reflect.get(target, name, target) as unknown;
      if (typeof value !== 'function') return value;
      return (...args: unknown[]) => {
        if (name !== 'defineCommand' && ++used > most) throw new Error('broken off');
        return (value as (...all: unknown[]) => unknown).apply(target, args);
      };
    },
  });
  return new Shards(client as RedisClient);
}
