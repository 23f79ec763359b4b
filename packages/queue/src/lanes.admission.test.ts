import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { APP, ENDPOINT, numbersOf, RETENTION, TestShard } from '../test-shard.ts';
import { cancelDelivery } from './by-hand.ts';
import { FLAG } from './delivery-record.ts';

const FLOODING = 3;
/** An attempt that surely began after whatever came before: Redis' clock cannot be set. */
const BEGUN_SINCE = { durationMs: -1 };

let test: TestShard;

beforeAll(async () => {
  test = await TestShard.start();
});
afterAll(() => test.stop());
beforeEach(() => test.reset({ endpoints: [ENDPOINT, FLOODING] }));

/** Numbers of `count` deliveries, an event each. */
async function publishEach(count: number, endpoint = ENDPOINT): Promise<number[]> {
  const numbers = [];
  for (let i = 0; i < count; i++) numbers.push((await test.publish(1, {}, { endpoint })).number);
  return numbers;
}

const admittedOf = (result: { admitted?: boolean[] } | object) =>
  'admitted' in result ? result.admitted : undefined;

describe('admission', () => {
  it('is direct while the lane is idle and there is room', async () => {
    const { number, result } = await test.publish();
    expect(admittedOf(result)).toEqual([true]);
    expect(await test.stored(number)).toMatchObject({ flags: FLAG.admitted });
    expect(await test.isWatched(number)).toBe(true);
    expect(await test.lane()).toEqual({ n: '1' });
    expect(await test.flow()).toMatchObject({ in: 1 });
  });

  it('waits for the first worker, which then gets what waits', async () => {
    await test.reset({ slots: 0 });
    const { number, result } = await test.publish();
    expect(admittedOf(result)).toEqual([false]);
    expect(await test.stored(number)).toMatchObject({ flags: FLAG.waiting });
    const { admitted } = await test.pump({ slots: 1 });
    expect(admitted).toMatchObject([{ number, generation: 1, app: 'app', eventType: 'a.b' }]);
  });

  it('leaves nothing behind after one delivery', async () => {
    const { number } = await test.publish();
    await test.claim(number);
    await test.succeed(number);
    expect(await test.laneKeys()).toEqual([]);
    expect(await test.flow()).toMatchObject({ in: 0 });
  });

  it('stops when as much waits to be claimed as all live workers have slots', async () => {
    await test.reset({ slots: 0 });
    for (let endpoint = 10; endpoint < 20; endpoint++) await publishEach(1, endpoint);
    expect((await test.pump({ worker: 'a', slots: 1 })).admitted).toHaveLength(1);
    expect((await test.pump({ worker: 'b', slots: 2 })).admitted).toHaveLength(2);
    expect((await test.pump({ worker: 'a', slots: 1 })).admitted).toHaveLength(0);
    expect(admittedOf((await test.publish(1, {}, { endpoint: 20 })).result)).toEqual([false]);
    expect(await test.flow()).toEqual({ in: 3, slots: 3 });
  });

  it('goes on as soon as one has a slot, which keeps its place in its lane', async () => {
    await test.reset({ slots: 1 });
    const numbers = await publishEach(6);
    expect(await test.flow()).toEqual({ in: 1, slots: 1 });
    for (let i = 0; i < 3; i++) {
      expect(await test.claim(numbers[i]!)).toMatchObject({
        result: 'run',
        admitted: [{ number: numbers[i + 1] }],
      });
      expect(await test.stored(numbers[i]!)).toMatchObject({ flags: FLAG.holds });
    }
    expect(await test.lane()).toMatchObject({ n: '4', q: '2' });
    // The lane's window is full now.
    expect(await test.claim(numbers[3]!)).toMatchObject({ result: 'run', admitted: [] });
    expect(await test.flow()).toEqual({ in: 0, slots: 1 });
  });

  it('does not wait for those whose worker died with them', async () => {
    await test.reset({ slots: 2 });
    const { number } = await test.publish(2);
    for (const n of [number, number + 1]) await test.claim(n);
    expect((await test.publish(1, {}, { endpoint: FLOODING })).result).toMatchObject({ admitted: [true] });
  });

  it('does not count a worker that left, or has died', async () => {
    await test.pump({ worker: 'a', slots: 4 });
    await test.pump({ worker: 'b', slots: 8 });
    expect(await test.flow()).toMatchObject({ slots: 62 });
    await test.pump({ worker: 'w', slots: 0 });
    await test.redis.client.hset(test.shard.key('hb'), 'guests:b', '8:1');
    await test.pump({ worker: 'a', slots: 4 });
    expect(await test.flow()).toMatchObject({ slots: 4 });
  });

  it('goes on with the next as soon as one has ended', async () => {
    const numbers = await publishEach(6);
    await test.claim(numbers[0]!);
    const { admitted } = await test.succeed(numbers[0]!);
    expect(numbersOf(admitted)).toEqual(numbers.slice(4));
  });

  it('gives the ring turns: no lane gets two while another waits for one', async () => {
    await test.reset({ slots: 0 });
    for (const endpoint of [10, 11, 12, 10, 11, 12, 10, 11, 12]) await publishEach(1, endpoint);
    await test.redis.client.rename(test.shard.key('fresh'), test.shard.key('ring'));
    const { admitted } = await test.pump({ slots: 6 });
    const endpoints = admitted.map(({ endpoint }) => endpoint);
    expect(new Set(endpoints.slice(0, 3)).size).toBe(3);
    expect(new Set(endpoints.slice(3)).size).toBe(3);
  });

  it('prefers lanes that have only just got something, and yet gives the ring one turn in four', async () => {
    await test.reset({ slots: 0 });
    for (let endpoint = 10; endpoint < 40; endpoint++) await publishEach(2, endpoint);
    // One after the other they leave `fresh` for the ring.
    await test.redis.client.rename(test.shard.key('fresh'), test.shard.key('ring'));
    for (let endpoint = 40; endpoint < 70; endpoint++) await publishEach(1, endpoint);
    const { admitted } = await test.pump({ slots: 20 });
    const fresh = admitted.filter(({ endpoint }) => Number.parseInt(endpoint!.slice(3), 32) >= 40);
    expect(admitted).toHaveLength(20);
    expect(fresh).toHaveLength(15);
  });

  it('goes past lanes that cannot have more', async () => {
    await test.reset({ slots: 0 });
    for (let endpoint = 10; endpoint < 90; endpoint++) {
      await publishEach(1, endpoint);
      await test.setLane({ n: 4 }, endpoint);
    }
    await publishEach(1);
    // Eighty are not looked at in one call, in which nothing but looking would happen.
    const numbers = [];
    for (let i = 0; i < 3; i++) numbers.push(...(await test.pump({ slots: 5 })).admitted);
    expect(numbers).toHaveLength(1);
    expect(await test.redis.client.llen(test.shard.key('ring'))).toBe(0);
  });
});

describe('the window', () => {
  /** Claims and settles what was admitted of `numbers`, and returns what that admitted. */
  async function succeedAll(numbers: number[]): Promise<number[]> {
    const next: number[] = [];
    for (const number of numbers) {
      await test.claim(number);
      next.push(...numbersOf((await test.succeed(number)).admitted));
    }
    return next;
  }

  it('starts at 4 and doubles with each round of successes', async () => {
    const { number, result } = await test.publish(60);
    expect(admittedOf(result)?.filter(Boolean)).toHaveLength(4);
    const second = await succeedAll([number, number + 1, number + 2, number + 3]);
    expect(second).toHaveLength(8);
    expect(await succeedAll(second)).toHaveLength(16);
    expect(await test.lane()).toMatchObject({ w: '16', n: '16', q: String(60 - 12 - 16) });
  });

  it('grows up to max_concurrency', async () => {
    await test.configure({ lanes: { [ENDPOINT]: { mc: 6 } } });
    const { number } = await test.publish(60);
    const second = await succeedAll([number, number + 1, number + 2, number + 3]);
    await succeedAll(second);
    expect(await test.lane()).toMatchObject({ w: '6', n: '6' });
  });

  it('does not grow while less than half of it is used', async () => {
    const { number } = await test.publish(2);
    await succeedAll([number]);
    expect(await test.lane()).not.toHaveProperty('ca');
    expect((await test.lane()).w).toBe('5');
    await test.setLane({ w: 20 });
    await test.publish(1);
    await succeedAll([number + 1]);
    expect((await test.lane()).w).toBe('20');
  });

  it('halves once however many of the same window fail, then grows by one a round', async () => {
    const { number } = await test.publish(40);
    await test.setLane({ w: 16, n: 16 });
    // All of them began before the first one failed.
    for (let i = 0; i < 4; i++) await test.fail(number + i, {}, { durationMs: 1000 });
    expect(await test.lane()).toMatchObject({ w: '8', ca: '1' });
    await test.fail(number + 4, {}, BEGUN_SINCE);
    expect(await test.lane()).toMatchObject({ w: '4' });
    await test.setLane({ n: 4 });
    await test.redis.client.hdel(test.shard.key(`lane:${ENDPOINT}`), 'fs', 'fd');
    for (let i = 5; i < 9; i++) {
      await test.succeed(number + i);
      await test.setLane({ n: 4 });
    }
    expect(Number((await test.lane()).w)).toBeCloseTo(4.94, 1);
  });

  it('halves on 429 as well, but not on another answer', async () => {
    const { number } = await test.publish(9);
    await test.fail(number, {}, { sign: 'answer' });
    expect(await test.lane()).not.toHaveProperty('w');
    await test.fail(number + 1, {}, { sign: 'overload' });
    expect(await test.lane()).toMatchObject({ w: '2' });
  });

  it('never closes the lane altogether', async () => {
    const { number } = await test.publish(9);
    await test.setLane({ w: 1 });
    await test.fail(number, {}, BEGUN_SINCE);
    expect(await test.lane()).toMatchObject({ w: '1' });
  });

  it('gets smaller with max_concurrency: what was admitted beyond it goes back', async () => {
    const numbers = await publishEach(5);
    await test.configure({ lanes: { [ENDPOINT]: { mc: 2 } } });
    const claims = [];
    for (const number of numbers.slice(0, 4)) claims.push((await test.claim(number)).result);
    expect(claims).toEqual(['held', 'held', 'run', 'run']);
    expect(await test.lane()).toMatchObject({ n: '2', q: '3', mc: '2' });
    const { admitted } = await test.succeed(numbers[2]!);
    expect(admitted).toMatchObject([{ number: numbers[0], generation: 2 }]);
  });
});

describe('a detached attempt', () => {
  it('is settled as any other', async () => {
    const { number } = await test.publish();
    await test.claim(number);
    await test.detach(number);
    expect(await test.stored(number)).toMatchObject({ flags: FLAG.holds + FLAG.detached });
    expect(await test.detach(number)).toBe(true); // sent again
    expect(await test.succeed(number)).toMatchObject({ status: 'delivered', changed: true });
    expect(await test.laneKeys()).toEqual([]);
    expect(await test.flow()).toMatchObject({ in: 0 });
    expect(await test.detach(number)).toBe(false);
  });

  it('of a delivery that is cancelled meanwhile gives up its slot as well', async () => {
    const { number } = await test.publish();
    await test.claim(number);
    await cancelDelivery(test.shard, number, APP, 'cancelled_by_request', RETENTION);
    expect(await test.detach(number)).toBe(true);
    expect(await test.laneKeys()).toEqual([]);
  });

  it('of an ordered lane does not block the retry when it was settled before', async () => {
    await test.configure({ lanes: { [ENDPOINT]: { or: 1 } } });
    const { number } = await test.publish();
    await test.claim(number);
    await test.fail(number);
    expect(await test.detach(number)).toBe(false);
    expect(await test.claim(number, 1, 1)).toMatchObject({ result: 'run' });
  });

  it('is not made again before it must have ended, unless its worker releases it', async () => {
    const { number } = await test.publish();
    await test.claim(number);
    await test.detach(number, 'detach', 20_000);
    const busy = await test.claim(number);
    expect(busy).toMatchObject({ result: 'busy' });
    expect('ms' in busy && busy.ms).toBeGreaterThan(19_000);
    await test.detach(number, 'release');
    expect(await test.claim(number)).toMatchObject({ result: 'run' });
    expect(await test.stored(number)).toMatchObject({ flags: FLAG.holds });
    expect(await test.lane()).toMatchObject({ n: '1' });
    expect(await test.flow()).toMatchObject({ in: 0 });
  });

  it('that is stuck keeps its lane to two until it has ended', async () => {
    const { number } = await test.publish(20);
    await test.setLane({ w: 16, mc: 16 });
    await test.claim(number);
    await test.detach(number);
    await test.detach(number, 'stuck');
    await test.detach(number, 'stuck'); // sent again
    expect(await test.lane()).toMatchObject({ sk: '1' });
    // Four were admitted before.
    const claims = [];
    for (let i = 1; i < 4; i++) claims.push((await test.claim(number + i)).result);
    expect(claims).toEqual(['held', 'held', 'run']);
    const { admitted } = await test.succeed(number);
    expect(admitted.length).toBeGreaterThan(4);
    expect(await test.lane()).not.toHaveProperty('sk');
  });

  it('is cancelled with its place given back, and may still succeed', async () => {
    const { number } = await test.publish();
    await test.claim(number);
    await test.detach(number, 'stuck');
    await cancelDelivery(test.shard, number, APP, 'cancelled_by_request', RETENTION);
    expect(await test.laneKeys()).toEqual([]);
    expect(await test.succeed(number)).toMatchObject({ status: 'delivered' });
    expect(await test.laneKeys()).toEqual([]);
  });
});

describe('returned deliveries', () => {
  it('come before new ones, but of four admissions one is new', async () => {
    await test.reset({ slots: 0 });
    const { number } = await test.publish(20);
    const key = (list: string) => test.shard.key(`${list}:${ENDPOINT}`);
    // The first ten were attempted before and came back.
    for (let i = 0; i < 10; i++) {
      await test.redis.client.lmove(key('q'), key('r'), 'LEFT', 'RIGHT');
      await test.redis.client.hset(test.shard.key('d:0'), String(number + i), await attempted(number + i));
    }
    await test.setLane({ w: 32 });
    const order = numbersOf((await test.pump({ slots: 8 })).admitted).map((n) => n - number);
    expect(order).toEqual([0, 1, 2, 10, 3, 4, 5, 11]);
  });

  async function attempted(number: number): Promise<Buffer> {
    const bytes = (await test.redis.client.hgetBuffer(test.shard.key('d:0'), String(number)))!;
    bytes.writeUInt16BE(1, 4);
    return bytes;
  }

  it('and replayed ones get one admission in ten', async () => {
    await test.reset({ slots: 0 });
    const { number } = await test.publish(30);
    const key = (list: string) => test.shard.key(`${list}:${ENDPOINT}`);
    for (let i = 0; i < 5; i++) await test.redis.client.lmove(key('q'), key('y'), 'LEFT', 'RIGHT');
    await test.setLane({ w: 32 });
    const order = numbersOf((await test.pump({ slots: 20 })).admitted).map((n) => n - number);
    expect(order.filter((n) => n < 5)).toEqual([0, 1]);
  });
});

describe('a lane', () => {
  it('that becomes ordered with jobs in BullMQ keeps their order', async () => {
    const { number } = await test.publish(4);
    await test.configure({ lanes: { [ENDPOINT]: { or: 1 } } });
    for (let i = 0; i < 4; i++) await test.claim(number + i);
    await test.pump();
    expect((await test.stored(number)).flags).toBe(FLAG.admitted);
    for (const i of [1, 2, 3]) expect((await test.stored(number + i)).flags).toBe(FLAG.waiting);
  });
});

describe('an ordered lane', () => {
  beforeEach(() => test.configure({ lanes: { [ENDPOINT]: { or: 1 } } }));

  it('admits one at a time, and a failing one keeps its place until it has ended', async () => {
    const numbers = await publishEach(3);
    expect(await test.lane()).toMatchObject({ n: '1', q: '2' });
    await test.claim(numbers[0]!);
    expect(await test.fail(numbers[0]!)).toMatchObject({ status: 'retrying', admitted: [] });
    expect(await test.stored(numbers[0]!)).toMatchObject({ flags: FLAG.holds });
    expect(await test.flow()).toMatchObject({ in: 0 });
    expect((await test.pump()).admitted).toEqual([]);
    expect(await test.claim(numbers[0]!, 1, 1)).toMatchObject({ result: 'run', admitted: [] });
    expect(await test.lane()).toMatchObject({ n: '1' });
    const { admitted } = await test.settle(numbers[0]!, {
      attempt: 2,
      status: 'dead',
      reason: 'retries_exhausted',
    });
    expect(numbersOf(admitted)).toEqual([numbers[1]]);
  });

  it('is first again when its retry had to wait', async () => {
    const numbers = await publishEach(3);
    await test.claim(numbers[0]!);
    await test.fail(numbers[0]!);
    await test.configure({ lanes: { [ENDPOINT]: { or: 1, ps: 1 } } });
    expect(await test.claim(numbers[0]!, 1, 1)).toMatchObject({ result: 'held' });
    await test.configure({ lanes: { [ENDPOINT]: { or: 1 } } });
    expect(numbersOf((await test.pump()).admitted)).toEqual([numbers[0]]);
  });

  it('never closes', async () => {
    const numbers = await publishEach(7);
    await test.setLane({ fs: Date.now() - 60_000 });
    for (const [i, number] of numbers.entries()) {
      await test.claim(number);
      await test.settle(number, {
        status: 'dead',
        reason: 'timeout',
        receiver: { sign: 'failure', durationMs: 1, holdMs: 0 },
      });
      expect(await test.lane()).not.toHaveProperty('cl');
      expect(await test.lane()).toMatchObject(i < 6 ? { n: '1' } : { fs: expect.any(String) });
    }
  });
});
