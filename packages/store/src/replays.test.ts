import { type DeliveryStatus, formatId, parseId } from '@sealpost/core';
import { encodeDelivery, place, type Shard, Shards } from '@sealpost/queue';
import { startTestRedis, type TestRedis } from '@sealpost/queue/testing';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { AppConfig } from './app-config.ts';
import type { AppRecord } from './config-records.ts';
import { feedReplays } from './feed-replays.ts';
import { createReplay, findReplay, type Replay, type ReplayFilter } from './replays.ts';

const APP = 1;
const ENDPOINT = 2;
const OTHER = 3;
const CREATED = 1_700_000_000_000;
const KEEP = 60_000;

let redis: TestRedis;
let shard: Shard;

beforeAll(async () => {
  redis = await startTestRedis();
  shard = new Shards(redis.client).get(0);
});
afterAll(() => redis.stop());
beforeEach(async () => {
  await redis.client.flushall();
  await redis.client.set(shard.key('own'), 10);
  const configured = [ENDPOINT, OTHER].flatMap((endpoint) => [formatId('ep', 0, endpoint), '-']);
  await redis.client.hset(shard.key(`cfg:${APP}`), 'v', 1, 'app', '-', ...configured);
});

const config = (number = APP) =>
  new AppConfig(
    { app: 'shop', shard: 0, number, version: 1 },
    null as unknown as AppRecord,
    new Map(),
    new Map(),
  );

type Made = { status?: DeliveryStatus; type?: string; createdAt?: number; endpoint?: number };

/** Deliveries `from` … `from + count - 1`, in the order in which ACCEPT would have stored them. */
async function deliveries(from: number, count: number, of: (n: number) => Made = () => ({})) {
  const commands = redis.client.pipeline();
  for (let n = from; n < from + count; n++) {
    const { status = 'dead', type = 'a.b', createdAt = CREATED + n, endpoint = ENDPOINT } = of(n);
    const record = encodeDelivery({
      status,
      flags: 0,
      generation: 1,
      attempts: 1,
      jobBase: 0,
      retryBase: 0,
      event: n,
      app: APP,
      endpoint,
      createdAt,
      dueAt: createdAt,
      statusCode: 500,
      reason: 'http_status',
      keyId: '00000000',
      seal: Buffer.alloc(20),
    });
    const { bucket, field } = place(n);
    commands.hset(shard.key(`d:${bucket}`), field, record);
    commands.hset(shard.key(`e:${bucket}`), field, JSON.stringify({ a: 'shop', n: APP, t: type, k: 1 }));
    commands.hset(shard.key(`b:${bucket}`), field, '1');
    commands.lpush(shard.key(`x:${endpoint}`), n);
  }
  await commands.exec();
}

/** What EXPIRE does to the oldest: the record and the entry go. */
async function drop(count: number) {
  for (const number of (await redis.client.rpop(shard.key(`x:${ENDPOINT}`), count)) ?? []) {
    const { bucket, field } = place(Number(number));
    await redis.client.hdel(shard.key(`d:${bucket}`), field);
  }
}

const create = (filter: Partial<ReplayFilter> = {}, endpoint = ENDPOINT, request?: string) =>
  createReplay(
    shard,
    config(),
    endpoint,
    { statuses: ['dead'], eventTypes: [], ...filter },
    CREATED,
    request,
  );
const look = async ({ id }: Replay) => (await findReplay(shard, config(), id))!;

/** Takes so many steps, or all that one round has. */
function feed(steps = Number.POSITIVE_INFINITY) {
  let asked = 0;
  return feedReplays(shard, { keepMs: KEEP, stopped: () => asked++ >= steps });
}

async function feedToEnd(replay: Replay): Promise<Replay> {
  for (let round = 0; round < 100; round++) {
    await feed();
    const now = await look(replay);
    if (now.state !== 'running') return now;
  }
  throw new Error('the replay does not end');
}

/** Numbers of what was sent again, in order. */
const replayed = async () => (await redis.client.lrange(shard.key(`y:${ENDPOINT}`), 0, -1)).map(Number);
const range = (from: number, count: number) => Array.from({ length: count }, (_, i) => from + i);

describe('a replay', () => {
  it('goes through all that there was, oldest first, and ends', async () => {
    await deliveries(1, 1000);
    const replay = await create();
    expect(replay).toEqual(await look(replay));
    expect(replay).toMatchObject({ state: 'running', total: 1000, scanned: 0, replayed: 0, endedAt: null });
    expect(await feedToEnd(replay)).toMatchObject({
      state: 'completed',
      total: 1000,
      scanned: 1000,
      replayed: 1000,
      unavailable: 0,
      refused: 0,
    });
    expect(await replayed()).toEqual(range(1, 1000));
    expect(await redis.client.pttl(shard.key(`rpl:${replay.number}`))).toBeGreaterThan(0);
  });

  it('sees nothing that came after it was asked for', async () => {
    await deliveries(1, 300);
    const replay = await create();
    await deliveries(301, 300);
    await feed(1);
    await deliveries(601, 10);
    expect(await feedToEnd(replay)).toMatchObject({ total: 300, scanned: 300, replayed: 300 });
    expect(await replayed()).toEqual(range(1, 300));
  });

  it('of an endpoint that has had nothing ends at once', async () => {
    const replay = await create();
    await deliveries(1, 3);
    expect(await feedToEnd(replay)).toMatchObject({ state: 'completed', total: 0, scanned: 0, replayed: 0 });
  });

  it('takes some thousands of entries a round', async () => {
    await deliveries(1, 4500, () => ({ status: 'delivered' }));
    const replay = await create();
    expect(await feed()).toEqual([]);
    expect(await look(replay)).toMatchObject({ state: 'running', scanned: 4000 });
    expect(await feed()).toEqual([{ id: replay.id, state: 'completed' }]);
    expect(await look(replay)).toMatchObject({ scanned: 4500, replayed: 0 });
  });

  it('chooses by status, time and type', async () => {
    const statuses: DeliveryStatus[] = ['dead', 'cancelled', 'skipped', 'delivered', 'pending', 'retrying'];
    await deliveries(1, 600, (n) => ({
      status: statuses[n % 6]!,
      type: n % 4 < 2 ? 'order.created' : 'user.created',
    }));
    const times = { since: CREATED + 100, until: CREATED + 400 };
    const replay = await create({
      statuses: ['dead', 'skipped'],
      eventTypes: ['order.*', 'nothing'],
      ...times,
    });
    await feedToEnd(replay);
    const wanted = range(100, 300).filter((n) => [0, 2].includes(n % 6) && n % 4 < 2);
    expect(wanted.length).toBeGreaterThan(10);
    expect(await replayed()).toEqual(wanted);
  });

  it('is not found by another app, nor by an id that is none of a replay', async () => {
    const { id } = await create();
    expect(await findReplay(shard, config(APP + 1), id)).toBeUndefined();
    const { number } = parseId('rpl', id)!;
    for (const other of [
      formatId('rpl', 1, number),
      formatId('rpl', 0, number + 1),
      formatId('ep', 0, number),
      '',
    ])
      expect(await findReplay(shard, config(), other)).toBeUndefined();
  });
});

describe('while old entries are dropped, a replay', () => {
  it('finds where it was, and misses and repeats nothing', async () => {
    await deliveries(1, 3000);
    const replay = await create();
    await feed(6); // 1,200
    await drop(150);
    await feed(1);
    await drop(1200);
    await deliveries(3001, 50);
    expect(await feedToEnd(replay)).toMatchObject({ state: 'completed', total: 3000, scanned: 3000 });
    expect(await replayed()).toEqual(range(1, 3000));
  });

  it('goes on at the oldest that is left when its place is gone', async () => {
    await deliveries(1, 1000);
    const replay = await create();
    await feed(2); // 400
    await drop(700);
    expect(await feedToEnd(replay)).toMatchObject({ state: 'completed', total: 1000, scanned: 700 });
    expect(await replayed()).toEqual([...range(1, 400), ...range(701, 300)]);
  });

  it.each([0, 2])('ends when all that it was to see is gone (after %d steps)', async (steps) => {
    await deliveries(1, 500);
    const replay = await create();
    await feed(steps);
    await deliveries(501, 500);
    await drop(600);
    expect(await feedToEnd(replay)).toMatchObject({ state: 'completed', scanned: steps * 200 });
    expect(await replayed()).toEqual(range(1, steps * 200));
  });
});

describe('several workers', () => {
  it('that feed one replay at once send nothing twice, and one of them ends it', async () => {
    await deliveries(1, 5000);
    const replay = await create();
    const ended = [];
    while ((await look(replay)).state === 'running') {
      ended.push(...(await Promise.all(Array.from({ length: 5 }, () => feed()))).flat());
    }
    expect(ended).toEqual([{ id: replay.id, state: 'completed' }]);
    expect(await look(replay)).toMatchObject({ scanned: 5000, replayed: 5000 });
    expect(await replayed()).toEqual(range(1, 5000));
  });
});

describe('several replays', () => {
  it('take turns', async () => {
    await deliveries(1, 6000, (n) => ({ status: 'delivered', endpoint: n % 2 ? ENDPOINT : OTHER }));
    const replays = [await create(), await create({}, OTHER)];
    await feed(10);
    for (const replay of replays) expect(await look(replay)).toMatchObject({ scanned: 1000 });
  });

  it('of one endpoint run one after the other, also where they were asked for at once', async () => {
    await deliveries(1, 300);
    const asked = await Promise.allSettled([create(), create(), create()]);
    const [begun] = asked.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
    const refused = asked.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []));
    expect(refused).toHaveLength(2);
    for (const error of refused) {
      expect(error).toMatchObject({ code: 'replay_running', message: expect.stringContaining(begun!.id) });
    }
    await feedToEnd(begun!);
    expect(await feedToEnd(await create())).toMatchObject({ replayed: 0 });
    expect(await replayed()).toEqual(range(1, 300));
  });

  it('are one when one request asked for them, also once it has ended', async () => {
    await deliveries(1, 3);
    const replay = await create({}, ENDPOINT, 'name');
    expect(await create({}, ENDPOINT, 'name')).toEqual(replay);
    const ended = await feedToEnd(replay);
    expect(await create({}, ENDPOINT, 'name')).toEqual(ended);
    expect((await create({}, ENDPOINT, 'another')).id).not.toBe(replay.id);
  });

  it('are not held up by a place that was left by one that does not run', async () => {
    await redis.client.hset(shard.key('replays'), ENDPOINT, 999);
    expect(await create()).toMatchObject({ state: 'running' });
  });

  it('are not held up by one that cannot go on, or that was not written by Sealpost', async () => {
    await deliveries(1, 300);
    const [broken, whole] = [await create({}, OTHER), await create()];
    await redis.client.hset(shard.key(`rpl:${broken.number}`), 'endpoint', 'x');
    await redis.client.set(shard.key('x:NaN'), 'not a list');
    await redis.client.hset(shard.key('replays'), { 7: '999', 8: '1000' });
    await redis.client.hset(shard.key('rpl:1000'), {
      state: 'running',
      filter: '{"statuses":[],"eventTypes":["("]}',
    });
    await expect(feed()).rejects.toThrow('replays failed');
    expect(await look(whole)).toMatchObject({ state: 'completed', replayed: 300 });
    expect(await redis.client.hgetall(shard.key('replays'))).toEqual({ [OTHER]: String(broken.number) });
  });
});
