import { Keyring } from '@sealpost/core';
import { DIRECTORY, encodeDelivery, place, type Shard, Shards } from '@sealpost/queue';
import { startTestRedis, type TestRedis } from '@sealpost/queue/testing';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { deleteApp } from './apps.ts';
import type { AppRecord, EndpointRecord } from './config-records.ts';
import { Configs } from './configs.ts';
import { disableIdle, type IdleStep, takeIdleTurn } from './idle-endpoints.ts';

const DAY = 86_400_000;
const START = Date.parse('2026-01-31T12:00:00Z');
const keyring = Keyring.fromMasterKeys(Buffer.alloc(32, 7));

let redis: TestRedis;
let shards: Shards;
let shard: Shard;
let configs: Configs;
let clock = START;

beforeAll(async () => {
  redis = await startTestRedis();
  shards = new Shards(redis.client);
  shard = shards.get(0);
});
afterAll(() => redis.stop());
beforeEach(async () => {
  await redis.client.flushall();
  clock = START;
  configs = new Configs({ shards, keyring, shardsForNewApps: 1, now: () => clock });
});

async function app(name: string, fields: Partial<AppRecord> = { disableIdle: true }) {
  const record = { app: name, wireProfile: 'standard', defaults: {}, metadata: {}, ...fields } as AppRecord;
  await configs.put(name, () => record);
}

let last = 0;
async function endpoints(name: string, count: number, fields: Partial<EndpointRecord> = {}) {
  const config = await configs.newest(name);
  const made: EndpointRecord[] = [];
  for (let i = 0; i < count; i++) {
    const ids = await configs.newEndpoint(config);
    const record = {
      ...ids,
      name: null,
      url: 'https://receiver.example/',
      eventTypes: [],
      environments: [],
      secrets: [],
      wireProfile: null,
      enabled: true,
      disabledReason: null,
      ordered: false,
      paused: false,
      createdAt: clock,
      updatedAt: clock,
      ...fields,
    };
    made.push(record as unknown as EndpointRecord);
  }
  await configs.change(name, () => ({ endpoints: Object.fromEntries(made.map((one) => [one.id, one])) }));
  return made;
}

/** A delivery to an endpoint, made now. */
async function deliver({ number }: EndpointRecord, status: 'delivered' | 'pending' = 'delivered') {
  const delivery = ++last;
  const record = encodeDelivery({
    status,
    flags: 0,
    generation: 1,
    attempts: 1,
    jobBase: 0,
    retryBase: 0,
    event: delivery,
    app: 1,
    endpoint: number,
    createdAt: clock,
    dueAt: clock,
    statusCode: 200,
    reason: 'none',
    keyId: '00000000',
    seal: Buffer.alloc(20),
  });
  const { bucket, field } = place(delivery);
  await redis.client.hset(shard.key(`d:${bucket}`), field, record);
  await redis.client.lpush(shard.key(`x:${number}`), delivery);
  await redis.client.hincrby(shard.key(`c:${number}`), status === 'pending' ? '0' : '2', 1);
}

/** What EXPIRE does after the retention. */
async function dropRecords({ number }: EndpointRecord) {
  for (const delivery of await redis.client.lrange(shard.key(`x:${number}`), 0, -1)) {
    const { bucket, field } = place(Number(delivery));
    await redis.client.hdel(shard.key(`d:${bucket}`), field);
  }
  await redis.client.del(shard.key(`x:${number}`), shard.key(`c:${number}`));
}

async function walk(through = configs): Promise<IdleStep[]> {
  const steps: IdleStep[] = [];
  for await (const step of disableIdle(shard, through, () => clock)) steps.push(step);
  return steps;
}

/** The configs as a worker sees them between whose steps somebody else does something. */
function withConfigs(methods: Partial<Pick<Configs, 'newest' | 'change'>>): Configs {
  const { newest, change } = configs;
  return { newest: newest.bind(configs), change: change.bind(configs), ...methods } as Configs;
}

/** The ids of those that a walk disabled. */
async function disabled(): Promise<string[]> {
  const steps = await walk();
  expect(steps.filter(({ error }) => error !== undefined)).toEqual([]);
  return steps.flatMap((step) => step.disabled);
}

const notes = async (name: string) =>
  redis.client.hgetall(shard.key(`idle:${(await configs.newest(name)).number}`));
const watchedApps = () => redis.client.hvals(shard.key('idle'));

describe('an endpoint without a delivery for 30 days', () => {
  it('is disabled, with the reason and an operational event, and once', async () => {
    await app('shop');
    const [one] = await endpoints('shop', 1);
    expect(await disabled()).toEqual([]);
    clock += 31 * DAY;
    expect(await disabled()).toEqual([one!.id]);
    const other = new Configs({ shards, keyring, shardsForNewApps: 1 });
    expect((await other.newest('shop')).endpoints.get(one!.id)).toMatchObject({
      enabled: false,
      disabledReason: 'idle',
      updatedAt: clock,
    });
    const outbox = (await redis.client.lrange(shard.key('outbox'), 0, -1)).map((text) => JSON.parse(text));
    expect(outbox).toMatchObject([{ t: 'endpoint.disabled', e: one!.number, r: 'idle' }]);
    expect(await disabled()).toEqual([]);
  });

  it('is left alone where the app does not ask for it', async () => {
    await app('shop', {});
    await endpoints('shop', 1);
    await disabled();
    clock += 31 * DAY;
    expect(await disabled()).toEqual([]);
    expect(await watchedApps()).toEqual([]);
  });

  it('is disabled where its wire profile says so, and no other of its app', async () => {
    await app('shop', {});
    const [tasks] = await endpoints('shop', 1, { wireProfile: 'taskflow' });
    await endpoints('shop', 1);
    await disabled();
    clock += 31 * DAY;
    expect(await disabled()).toEqual([tasks!.id]);
  });

  it('enabled again is given another 30 days', async () => {
    await app('shop');
    const [one] = await endpoints('shop', 1);
    await disabled();
    clock += 31 * DAY;
    await disabled();
    const again = { ...one!, enabled: true, updatedAt: clock };
    await configs.change('shop', () => ({ endpoints: { [one!.id]: again } }));
    for (const days of [0, 29]) {
      clock += days * DAY;
      expect(await disabled()).toEqual([]);
    }
    clock += 1 * DAY;
    expect(await disabled()).toEqual([one!.id]);
  });
});

describe('a delivery', () => {
  it('keeps its endpoint for 30 days from then, though its record is gone sooner', async () => {
    await app('shop');
    const [used, unused] = await endpoints('shop', 2);
    await disabled();
    clock += 10 * DAY;
    await deliver(used!);
    expect(await disabled()).toEqual([]);
    await dropRecords(used!);
    clock += 21 * DAY;
    expect(await disabled()).toEqual([unused!.id]);
    clock += 8 * DAY;
    expect(await disabled()).toEqual([]);
    clock += 1 * DAY;
    expect(await disabled()).toEqual([used!.id]);
  });

  it('that has not ended keeps it for as long as that lasts', async () => {
    await app('shop');
    const [one] = await endpoints('shop', 1);
    await deliver(one!, 'pending');
    await disabled();
    clock += 31 * DAY;
    expect(await disabled()).toEqual([]);
    await dropRecords(one!);
    clock += 29 * DAY;
    expect(await disabled()).toEqual([]);
  });
});

it('a delivery that comes between two steps keeps its endpoint', async () => {
  await app('shop');
  const [used, unused] = await endpoints('shop', 2);
  await disabled();
  clock += 31 * DAY;
  const steps = disableIdle(shard, configs, () => clock);
  expect((await steps.next()).value).toEqual({ app: 'shop', disabled: [] });
  await deliver(used!);
  expect((await steps.next()).value).toEqual({ app: 'shop', disabled: [unused!.id] });
  expect(await steps.next()).toMatchObject({ done: true });
});

describe('what is not known makes it later:', () => {
  it('an app that has only now asked for it', async () => {
    await app('shop', {});
    const [one] = await endpoints('shop', 1);
    clock += 60 * DAY;
    await app('shop');
    expect(await disabled()).toEqual([]);
    clock += 29 * DAY;
    expect(await disabled()).toEqual([]);
    clock += 1 * DAY;
    expect(await disabled()).toEqual([one!.id]);
  });

  it('a look so long after the last one that what came meanwhile may be gone', async () => {
    await app('shop');
    const [one] = await endpoints('shop', 1);
    await disabled();
    const known = shard.key('idle:known');
    expect(await redis.client.ttl(known)).toBeLessThan(86_400);
    await redis.client.del(known);
    clock += 31 * DAY;
    expect(await disabled()).toEqual([]);
    clock += 29 * DAY;
    expect(await disabled()).toEqual([]);
    clock += 1 * DAY;
    expect(await disabled()).toEqual([one!.id]);
  });

  it('an endpoint that was changed between the look and the step', async () => {
    await app('shop');
    const [one] = await endpoints('shop', 1);
    await disabled();
    clock += 31 * DAY;
    // Somebody else is faster: the version that was looked at is not the newest any more.
    const other = new Configs({ shards, keyring, shardsForNewApps: 1 });
    const racing = withConfigs({
      change: async (...args) => {
        const touched = { ...one!, updatedAt: clock };
        await other.change('shop', () => ({ endpoints: { [one!.id]: touched } }));
        return configs.change(...args);
      },
    });
    const steps = await walk(racing);
    expect(steps.flatMap((step) => step.disabled)).toEqual([]);
    expect((await other.newest('shop')).endpoints.get(one!.id)).toMatchObject({ enabled: true });
  });
});

describe('what is kept for it', () => {
  it('is a note for each endpoint that is watched, and goes with it', async () => {
    await app('shop');
    const [kept, deleted, paused, late] = await endpoints('shop', 4);
    await disabled();
    expect(Object.keys(await notes('shop'))).toHaveLength(4);
    await configs.change('shop', () => ({ endpoints: { [deleted!.id]: null } }));
    expect(Object.keys(await notes('shop'))).toHaveLength(3);
    const changes = {
      [paused!.id]: { ...paused!, paused: true },
      [late!.id]: { ...late!, updatedAt: clock + DAY },
    };
    await configs.change('shop', () => ({ endpoints: changes }));
    await disabled();
    expect(Object.keys(await notes('shop')).sort()).toEqual([`${kept!.number}`, `${late!.number}`].sort());
  });

  it('goes when nothing of the app is watched any more, and comes back when something is', async () => {
    await app('shop');
    const [one] = await endpoints('shop', 1);
    await disabled();
    await configs.change('shop', () => ({ endpoints: { [one!.id]: { ...one!, paused: true } } }));
    await disabled();
    expect([await watchedApps(), await notes('shop')]).toEqual([[], {}]);
    await configs.change('shop', () => ({ endpoints: { [one!.id]: one! } }));
    expect(await watchedApps()).toEqual(['shop']);
  });

  it('stays when something begins to be watched just while it would go', async () => {
    await app('shop');
    const [one] = await endpoints('shop', 1);
    await configs.change('shop', () => ({ endpoints: { [one!.id]: { ...one!, paused: true } } }));
    const racing = withConfigs({
      newest: async (name) => {
        const config = await configs.newest(name);
        await configs.change(name, () => ({ endpoints: { [one!.id]: one! } }));
        return config;
      },
    });
    expect(await walk(racing)).toEqual([]);
    expect(await watchedApps()).toEqual(['shop']);
  });

  it('goes with the app, and what was left by a crash with the next look', async () => {
    await app('shop');
    await endpoints('shop', 1);
    await disabled();
    const { number } = await configs.newest('shop');
    await redis.client.hset(shard.key(`idle:${number}`), '9', '1');
    await deleteApp(configs, shards, 'shop');
    expect(await redis.client.exists(shard.key('idle'), shard.key(`idle:${number}`))).toBe(0);
    await redis.client.hset(shard.key('idle'), String(number), 'shop');
    await redis.client.hset(shard.key(`idle:${number}`), '9', '1');
    await app('shop', {}); // of the same name, with another number
    expect(await disabled()).toEqual([]);
    expect(await redis.client.exists(shard.key('idle'), shard.key(`idle:${number}`))).toBe(0);
  });
});

describe('a walk', () => {
  it('takes a stretch a step, and reaches all', async () => {
    await app('shop');
    const made = await endpoints('shop', 450);
    expect(await walk()).toHaveLength(3);
    clock += 31 * DAY;
    expect((await disabled()).sort()).toEqual(made.map(({ id }) => id).sort());
  });

  it('goes on with the others where an app fails', async () => {
    for (const name of ['a', 'b', 'c']) {
      await app(name);
      await endpoints(name, 1);
    }
    await disabled();
    const { number } = await configs.newest('b');
    await redis.client.hset(shard.key(`cfg:${number}`), 'app', 'tampered', 'v', 1);
    clock += 31 * DAY;
    const steps = await walk();
    expect(steps.filter(({ error }) => error !== undefined)).toMatchObject([
      { app: 'b', error: { code: 'config_invalid' } },
    ]);
    expect(steps.flatMap((step) => step.disabled)).toHaveLength(2);
  });

  it('is one worker’s in an hour', async () => {
    expect(await takeIdleTurn(shard, Date.now())).toBe(true);
    expect(await takeIdleTurn(shard, Date.now())).toBe(false);
    expect(await redis.client.ttl(shard.key('idle:turn'))).toBeGreaterThan(3500);
    expect(await redis.client.exists(DIRECTORY.apps)).toBe(0);
  });

  it.each([-1, 1])('is not for a worker whose clock is wrong by days: %i', async (days) => {
    expect(await takeIdleTurn(shard, Date.now() + days * DAY)).toBe(false);
    expect(await takeIdleTurn(shard, Date.now())).toBe(true);
  });
});
