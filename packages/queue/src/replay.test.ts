import { formatId } from '@sealpost/core';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { APP, ENDPOINT, numbersOf, RETENTION, TestShard } from '../test-shard.ts';
import { cancelDelivery } from './by-hand.ts';
import type { DeliveryRecord } from './delivery-record.ts';
import { FLAG } from './delivery-record.ts';
import { place } from './keys.ts';
import { type ReplayStretch, replayStretch } from './replay.ts';

const REPLAY = 9;
const OTHER = 3;

let test: TestShard;

beforeAll(async () => {
  test = await TestShard.start();
});
afterAll(() => test.stop());
beforeEach(async () => {
  await test.reset({ endpoints: [ENDPOINT, OTHER] });
  await test.redis.client.hset(key(), { state: 'running', scanned: 0, app: APP, endpoint: ENDPOINT });
  await test.redis.client.hset(test.shard.key('replays'), ENDPOINT, REPLAY);
});

const key = () => test.shard.key(`rpl:${REPLAY}`);
const replay = () => test.redis.client.hgetall(key());
const waiting = (list: string) => test.redis.client.lrange(test.shard.key(`${list}:${ENDPOINT}`), 0, -1);

/** Numbers of deliveries that have ended so, without an attempt. */
async function ended(count: number, of: Partial<DeliveryRecord> = {}): Promise<number[]> {
  const numbers = [];
  for (let i = 0; i < count; i++) {
    numbers.push((await test.publish(1, {}, { status: 'dead', attempts: 2, retryBase: 0, ...of })).number);
  }
  return numbers;
}

function step(deliveries: number[], stretch: Partial<ReplayStretch> = {}) {
  return replayStretch(test.shard, {
    replay: REPLAY,
    from: 0,
    to: 200,
    last: 77,
    depth: 200,
    done: false,
    deliveries,
    statuses: ['dead'],
    keepMs: 60_000,
    ...stretch,
  });
}

describe('a stretch of a replay', () => {
  it('has its deliveries wait behind what is new, with new retries, and moves the replay on', async () => {
    const numbers = await ended(3);
    // As SETTLE of a detached attempt leaves it, whose job is removed next.
    await test.redis.client.zadd(test.shard.key('watch'), '9999999999999', String(numbers[0]));
    expect(await step(numbers)).toBe('running');
    expect(await waiting('y')).toEqual(numbers.map(String));
    expect(await test.stored(numbers[0]!)).toMatchObject({
      status: 'retrying',
      flags: FLAG.waiting,
      generation: 2,
      attempts: 2,
      jobBase: 2,
      retryBase: 2,
      reason: 'none',
    });
    expect(await test.redis.client.hgetall(test.shard.key(`c:${ENDPOINT}`))).toEqual({ 1: '3', 3: '0' });
    expect(await replay()).toMatchObject({ scanned: '200', last: '77', depth: '200', replayed: '3' });
    const { admitted } = await test.pump();
    expect(numbersOf(admitted)).toEqual(numbers);
  });

  it('is done once, however often and by whomever it is sent', async () => {
    const numbers = await ended(3);
    const steps = await Promise.all([step(numbers), step(numbers), step(numbers)]);
    expect(steps).toEqual(['running', 'stale', 'stale']);
    expect(await waiting('y')).toHaveLength(3);
    expect(await test.lane()).toMatchObject({ q: '3' });
    expect(await replay()).toMatchObject({ replayed: '3' });
  });

  it('looks again at what it was told: the status, the endpoint, the attempts under way', async () => {
    const [dead, delivered, wrong, cancelled] = [
      ...(await ended(1)),
      ...(await ended(1, { status: 'delivered' })),
      ...(await ended(1, { endpoint: OTHER })),
      (await test.publish()).number,
    ] as [number, number, number, number];
    await test.claim(cancelled);
    await cancelDelivery(test.shard, cancelled, APP, 'cancelled_by_request', RETENTION);
    const open = (await test.publish()).number;
    expect(
      await step([dead, delivered, wrong, cancelled, open, 999], { statuses: ['dead', 'cancelled'] }),
    ).toBe('running');
    expect(await waiting('y')).toEqual([String(dead)]);
    const { replayed, refused, unavailable } = await replay();
    expect({ replayed, refused, unavailable }).toEqual({ replayed: '1', refused: '1' });
    expect(await test.stored(cancelled)).toMatchObject({ status: 'cancelled', generation: 1 });
  });

  it('counts what has no body any more', async () => {
    const numbers = await ended(3);
    const { bucket, field } = place(numbers[1]!);
    await test.redis.client.hdel(test.shard.key(`b:${bucket}`), field);
    await step(numbers);
    expect(await waiting('y')).toEqual([numbers[0], numbers[2]].map(String));
    expect(await replay()).toMatchObject({ replayed: '2', unavailable: '1' });
    expect(await test.stored(numbers[1]!)).toMatchObject({ status: 'dead' });
  });

  it('that is the last one ends the replay, whose record is kept for the retention', async () => {
    expect(await step([], { done: true })).toBe('completed');
    expect(await replay()).toMatchObject({ state: 'completed', scanned: '200' });
    expect(Number((await replay()).ended)).toBeGreaterThan(Date.now() - 60_000);
    expect(await test.redis.client.pttl(key())).toBeGreaterThan(50_000);
    expect(await test.redis.client.exists(test.shard.key('replays'))).toBe(0);
    expect(await step([], { from: 200, done: true })).toBe('stale');
  });

  it('fails the replay when the endpoint, or its app, has been deleted', async () => {
    const numbers = await ended(1);
    await test.configure({ del: [formatId('ep', 0, ENDPOINT)] });
    expect(await step(numbers)).toBe('failed');
    expect(await replay()).toMatchObject({ state: 'failed', failure: 'endpoint_deleted', scanned: '0' });
    expect(await test.stored(numbers[0]!)).toMatchObject({ status: 'dead' });
    expect(await test.redis.client.pttl(key())).toBeGreaterThan(0);
    expect(await test.redis.client.exists(test.shard.key('replays'))).toBe(0);
  });

  it('leaves the running replay of its endpoint alone that is another one', async () => {
    await test.redis.client.hset(test.shard.key('replays'), ENDPOINT, REPLAY + 1);
    await step([], { done: true });
    expect(await test.redis.client.hget(test.shard.key('replays'), String(ENDPOINT))).toBe(
      String(REPLAY + 1),
    );
  });

  it('sends nothing before its deliver_at', async () => {
    const [number] = (await ended(1)) as [number];
    const { bucket, field } = place(number);
    const events = test.shard.key(`e:${bucket}`);
    const later = Date.now() + 300;
    const event = JSON.parse((await test.redis.client.hget(events, field))!);
    await test.redis.client.hset(events, field, JSON.stringify({ ...event, da: later }));
    await step([number]);
    expect(await replay()).toMatchObject({ replayed: '1' });
    expect(await test.stored(number)).toMatchObject({
      status: 'retrying',
      dueAt: later,
      flags: FLAG.waiting,
    });
    expect(await test.lane()).toMatchObject({ sc: '1' });
    let admitted: number[] = [];
    while (admitted.length === 0) {
      admitted = numbersOf((await test.pump()).admitted);
      if (Date.now() < later) expect(admitted).toEqual([]);
    }
    expect(admitted).toEqual([number]);
    expect(await test.lane()).not.toHaveProperty('sc');
  });

  it('does not wait for a deliver_at that has passed', async () => {
    const [number] = (await ended(1)) as [number];
    const { bucket, field } = place(number);
    const event = JSON.stringify({ n: APP, da: Date.now() - 1000 });
    await test.redis.client.hset(test.shard.key(`e:${bucket}`), field, event);
    await step([number]);
    expect(await waiting('y')).toEqual([String(number)]);
  });

  it('waits where the lane is paused', async () => {
    await test.configure({ lanes: { [ENDPOINT]: { ps: 1 } } });
    const numbers = await ended(2);
    await step(numbers);
    expect((await test.pump()).admitted).toEqual([]);
    await test.configure({ lanes: { [ENDPOINT]: {} } });
    expect(numbersOf((await test.pump()).admitted)).toEqual(numbers);
  });
});
