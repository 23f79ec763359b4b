import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { APP, ENDPOINT, TestShard } from '../test-shard.ts';
import { cancelDelivery, retryDelivery } from './by-hand.ts';
import { lookAtRedis, lookAtShard, recountOpen } from './look.ts';
import { Shards } from './shard.ts';

let test: TestShard;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const RETENTION = { recordsMs: 60_000, bodiesMs: 30_000 };

beforeAll(async () => {
  test = await TestShard.start();
});
afterAll(() => test.stop());
beforeEach(() => test.reset());

const look = () => lookAtShard(test.shard);
const flow = (field: string) => test.redis.client.hget(test.shard.key('flow'), field);
/** A delivery that was accepted so long ago. */
const aged = (ms: number, dueInMs = -ms) => ({ createdAt: Date.now() - ms, dueAt: Date.now() + dueInMs });

describe('open deliveries are counted', () => {
  it('from acceptance to their end, by status', async () => {
    const { number } = await test.publish(4);
    await test.publish(1, {}, { status: 'skipped' });
    expect((await look()).open).toEqual({ pending: 4, retrying: 0 });
    for (let i = 0; i < 3; i++) await test.claim(number + i);
    await test.succeed(number);
    await test.fail(number + 1);
    await test.settle(number + 2, { status: 'dead', reason: 'http_status', statusCode: 400 });
    expect((await look()).open).toEqual({ pending: 1, retrying: 1 });
    await cancelDelivery(test.shard, number + 3, APP, 'cancelled_by_request', RETENTION);
    await retryDelivery(test.shard, number + 2, APP);
    expect((await look()).open).toEqual({ pending: 0, retrying: 2 });
  });

  it('anew, once, where an older version has not counted them', async () => {
    const { number } = await test.publish(3);
    await test.claim(number);
    await test.fail(number);
    await test.redis.client.hset('sp:apps', 'app', `0:${APP}`, 'elsewhere', `1:${ENDPOINT}`);
    await test.redis.client.hdel(test.shard.key('flow'), 'pe', 're', 'fb');
    expect(await recountOpen(test.shard)).toBeUndefined();
    expect((await look()).open).toEqual({ pending: 2, retrying: 1 });
    expect(await recountOpen(test.shard)).toBeUndefined(); // not again in this hour
    await test.redis.client.hset(test.shard.key('flow'), 'pe', 7);
    await test.redis.client.del(test.shard.key('recount:turn'));
    expect(await recountOpen(test.shard)).toBe(5);
    expect((await look()).open).toEqual({ pending: 2, retrying: 1 });
  });

  it('anew only at first where there are too many apps to do so often: until an upgrade is through', async () => {
    await test.publish(3);
    await test.redis.client.hset(test.shard.key('flow'), 'pe', 1); // an older version has not counted the others
    const many = Array.from({ length: 10_001 }, (_, i) => [`app${i}`, `0:${i === 0 ? APP : i + 100}`]);
    await test.redis.client.hset('sp:apps', Object.fromEntries(many));
    expect(await recountOpen(test.shard)).toBe(2);
    for (const wrong of [4, undefined]) {
      await test.redis.client.del(test.shard.key('recount:turn'));
      await test.redis.client.hset(test.shard.key('flow'), 'pe', 7);
      expect(await recountOpen(test.shard)).toBe(wrong);
    }
    expect((await look()).open.pending).toBe(7);
  });

  it('with those of a deleted app, until they are cancelled', async () => {
    await test.publish(3);
    await test.configure({ doom: { [APP]: 'app' } });
    await test.redis.client.hdel(test.shard.key('flow'), 'pe', 're');
    await recountOpen(test.shard);
    expect((await look()).open.pending).toBe(3);
  });
});

describe('the oldest open delivery', () => {
  it('is none, or since when it could have been sent', async () => {
    expect((await look()).oldestOpenMs).toBeUndefined();
    const { number } = await test.publish(1, {}, aged(HOUR_MS));
    await test.publish(1, {}, aged(HOUR_MS / 2));
    await test.publish(1, {}, aged(DAY_MS, HOUR_MS)); // deliver_at is to come
    const within = (ms: number | undefined, of: number) =>
      expect(Math.abs((ms ?? 0) - of)).toBeLessThan(2000);
    within((await look()).oldestOpenMs, HOUR_MS);
    await test.claim(number);
    await test.fail(number);
    within((await look()).oldestOpenMs, HOUR_MS);
    await test.succeed(number, { attempt: 2 });
    within((await look()).oldestOpenMs, HOUR_MS / 2);
  });

  it('counts from its deliver_at, also when its first attempt has failed', async () => {
    const { number } = await test.publish(1, { deliverAt: Date.now() - HOUR_MS }, aged(DAY_MS, -HOUR_MS));
    await test.claim(number);
    await test.fail(number);
    const { oldestOpenMs } = await look();
    expect(oldestOpenMs).toBeGreaterThan(HOUR_MS - 2000);
    expect(oldestOpenMs).toBeLessThan(DAY_MS / 2);
  });

  it('is found beyond buckets in which nothing is open, which are not looked at again', async () => {
    await test.redis.client.set(test.shard.key('n'), 128 * 3000);
    await test.publish(1, { number: 128 * 2000 + 5 }, aged(HOUR_MS));
    expect((await look()).oldestOpenMs).toBeGreaterThan(HOUR_MS - 1000);
    expect(await flow('fb')).toBe('2000');
  });

  it('may be one whose number lies before: accepted late, or sent again by hand', async () => {
    const { number } = await test.publish(1, {}, aged(DAY_MS));
    await test.claim(number);
    await test.succeed(number);
    await test.publish(1, { number: 128 * 10 }, aged(HOUR_MS));
    await test.redis.client.set(test.shard.key('n'), 128 * 20);
    await look();
    expect(await flow('fb')).toBe('10');
    await test.publish(1, { number: 128 * 5 }, aged(2 * HOUR_MS));
    expect((await look()).oldestOpenMs).toBeGreaterThan(2 * HOUR_MS - 1000);
    await retryDelivery(test.shard, number, APP);
    expect(await flow('fb')).toBe('0');
    expect((await look()).oldestOpenMs).toBeGreaterThan(DAY_MS - 1000);
  });
});

it('a late event that is wider than a bucket is looked for from its first bucket on', async () => {
  await test.redis.client.set(test.shard.key('n'), 128 * 100);
  await test.publish(1, { number: 128 * 90 });
  await look();
  for (const bucket of [80, 70, 60, 50, 40, 30]) {
    await test.publish(128 * 5, { number: 128 * bucket });
    expect(await flow('fb')).toBe(String(bucket));
  }
});

describe('the oldest delivery that may be sent now', () => {
  it('waits in a lane whose turn has not come, not in one that is held or full', async () => {
    await test.reset({ slots: 0 });
    await test.publish(1, {}, aged(HOUR_MS));
    expect((await look()).oldestReadyMs).toBeGreaterThan(HOUR_MS - 1000);
    await test.configure({ lanes: { [ENDPOINT]: { ps: 1 } } });
    expect((await look()).oldestReadyMs).toBeUndefined();
  });
});

it('counts closed lanes, also one that an older version has closed, and not those that are gone', async () => {
  await test.setLane({ cl: 1, pa: 1, fs: 1 });
  const { number } = await test.publish();
  await test.claim(number);
  await test.fail(number);
  expect((await look()).lanesClosed).toBe(1);
  await test.configure({ reopen: [ENDPOINT] });
  expect((await look()).lanesClosed).toBe(0);
  await test.redis.client.sadd(test.shard.key('closed'), '99');
  await recountOpen(test.shard);
  expect((await look()).lanesClosed).toBe(0);
});

it('tells slots, outbox and jobs, and adds up what all shards have', async () => {
  const { client } = test.redis;
  await client.sadd('sp:shards', '0', '1');
  await test.pump({ slots: 30, worker: 'another' });
  await client.hset('{sp:1}:hb', 'w', `7:${Date.now() + 10_000}`, 'dead', `100:${Date.now() - 1}`);
  await client.rpush('{sp:1}:outbox', 'x', 'y');
  await client.rpush('{sp:0}:deliveries-0:wait', 'a', 'b', 'c');
  await client.zadd('{sp:1}:deliveries-1:delayed', 1, 'd');
  await test.publish(2, {}, aged(HOUR_MS));
  const all = await lookAtRedis(new Shards(client));
  expect(all).toMatchObject({
    open: { pending: 2, retrying: 0 },
    outbox: 2,
    slots: 87,
    jobs: { waiting: 3, active: 0, delayed: 1 },
    memoryLimitBytes: 0,
  });
  expect(all.oldestOpenMs).toBeGreaterThan(HOUR_MS - 1000);
  expect(all.memoryBytes).toBeGreaterThan(100_000);
  expect(all.roundTripMs).toBeGreaterThan(0);
});
