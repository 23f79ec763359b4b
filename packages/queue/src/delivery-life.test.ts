import { endpointNumber, formatId, jobId } from '@sealpost/core';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { APP, ENDPOINT, numbersOf, RETENTION, record, TestShard } from '../test-shard.ts';
import { cancelDelivery, retryDelivery } from './by-hand.ts';
import { FLAG } from './delivery-record.ts';
import { cancelDeleted, expire, reconcile } from './keep-house.ts';
import { place } from './keys.ts';
import { Numbers } from './numbers.ts';
import type { Shard } from './shard.ts';

let test: TestShard;
let shard: Shard;

beforeAll(async () => {
  test = await TestShard.start();
  shard = test.shard;
});
afterAll(() => test.stop());
beforeEach(() => test.reset());

/** Keys of a shard with an app and a worker, in which nothing was ever published but a number was taken. */
const EMPTY = [`cfg:${APP}`, 'flow', 'hb', 'n'];

const counts = (owner: number) => test.redis.client.hgetall(shard.key(`c:${owner}`));

describe('accept', () => {
  it('stores an event once with a record, an index entry and a count for each delivery', async () => {
    const { number, result } = await test.publish(300);
    expect(result).toMatchObject({ result: 'accepted', sequence: 0 });
    expect(await test.stored(number + 299)).toEqual(record({ event: number, flags: FLAG.waiting }));
    expect(await test.redis.client.llen(shard.key(`x:${APP}`))).toBe(300);
    expect(await test.redis.client.lindex(shard.key(`x:${ENDPOINT}`), 0)).toBe(String(number + 299));
    expect(await counts(APP)).toEqual({ 0: '300' });
    const bodies = await Promise.all(
      (await test.redis.client.keys('*b:*')).map((key) => test.redis.client.hlen(key)),
    );
    expect(bodies).toEqual([1]);
  });

  it('stores nothing when the config that was matched is old', async () => {
    const { result } = await test.publish(1, { configVersion: 7 });
    expect(result).toEqual({ result: 'stale' });
    expect((await test.redis.client.keys('*')).sort()).toEqual(EMPTY.map((name) => shard.key(name)));
  });

  it('answers an own id that is known with its event', async () => {
    const first = await test.publish(1, { ownId: 'mine' });
    const second = await test.publish(1, { ownId: 'mine' });
    expect(second.result).toEqual({ result: 'duplicate', number: first.number });
    expect(await counts(APP)).toEqual({ 0: '1' });
  });

  it('changes nothing when it is sent again after a lost answer', async () => {
    const { number } = await test.publish(2, { correlationId: 'c' });
    const again = await test.publish(2, { number, correlationId: 'c' });
    expect(again.result).toEqual({ result: 'accepted', sequence: 1, admitted: [true, true] });
    expect(await test.flow()).toMatchObject({ in: 2 });
    expect(await counts(APP)).toEqual({ 0: '2' });
    expect(await test.redis.client.llen(shard.key(`x:${APP}`))).toBe(2);
  });

  it('counts the events of a correlation id from 1', async () => {
    const sequences = [];
    for (const correlationId of ['a', 'a', 'b', 'a'])
      sequences.push((await test.publish(0, { correlationId })).result);
    expect(sequences.map((result) => 'sequence' in result && result.sequence)).toEqual([1, 2, 1, 3]);
  });
});

describe('claim and settle', () => {
  it('skip: the counts move, nothing is watched, the lane has learned nothing and is gone', async () => {
    const { number } = await test.publish(1, { correlationId: 'c' });
    await test.claim(number);
    const ends = { status: 'skipped', reason: 'filtered', statusCode: 0, attemptRecord: undefined } as const;
    expect(await test.settle(number, { ...ends, correlationId: 'c' })).toMatchObject({
      status: 'skipped',
      reason: 'filtered',
      attempts: 0,
      changed: true,
    });
    expect(await test.stored(number)).toMatchObject({ status: 'skipped', reason: 'filtered', attempts: 0 });
    expect(await counts(APP)).toEqual({ 0: '0', 4: '1' });
    expect(await counts(ENDPOINT)).toEqual({ 0: '0', 4: '1' });
    expect(await test.isWatched(number)).toBe(false);
    expect(await test.laneKeys()).toEqual([]);
    expect(await test.claim(number)).toEqual({ result: 'gone' });
  });

  it('deliver: the attempt is recorded, the counts move, nothing is watched any more', async () => {
    const { number } = await test.publish();
    expect(await test.isWatched(number)).toBe(true);
    const claimed = await test.claim(number, 1, 0);
    expect(claimed).toMatchObject({ result: 'run', configVersion: 1, sequence: undefined });
    expect(claimed.result === 'run' && claimed.body?.toString()).toBe('{"x":1}');
    const outcome = await test.settle(number);
    const told = {
      status: 'delivered',
      reason: 'none',
      delayMs: 0,
      attempts: 1,
      statusCode: 200,
      changed: true,
      waits: false,
      disable: false,
      admitted: [],
      wakeInMs: undefined,
    };
    expect(outcome).toEqual(told);
    expect(await counts(APP)).toEqual({ 0: '0', 2: '1' });
    expect(await counts(ENDPOINT)).toEqual({ 0: '0', 2: '1' });
    expect(await test.isWatched(number)).toBe(false);
    const { bucket, field } = place(number);
    expect(await test.redis.client.hget(shard.key(`t:${bucket}`), `${field}:1`)).toContain('"s":200');
  });

  it('count an attempt once, however often its settlement is sent', async () => {
    const { number } = await test.publish();
    const failed = {
      status: 'retrying',
      reason: 'http_status',
      statusCode: 500,
      delayMs: 9000,
    } as const;
    await test.settle(number, failed);
    // Its answer was lost: who sends it again has changed the delivery, and has yet to count it.
    const again = await test.settle(number, failed);
    expect(again).toMatchObject({ status: 'retrying', reason: 'http_status', attempts: 1, changed: true });
    expect(again.delayMs).toBeGreaterThan(8000);
    expect(await counts(APP)).toEqual({ 0: '0', 1: '1' });
    const others = await test.settle(number, { ...failed, attemptRecord: '{"t":2}' });
    expect(others).toMatchObject({ status: 'retrying', attempts: 1, changed: false });
    await test.settle(number, { attempt: 2, attemptRecord: '{"t":3}' });
    expect(await test.settle(number, failed)).toMatchObject({ status: 'delivered', changed: false });
  });

  it('tell a re-run job the outcome that BullMQ did not hear, and post nothing', async () => {
    const { number } = await test.publish();
    await test.settle(number, { status: 'retrying', reason: 'timeout', delayMs: 5000 });
    expect(await test.claim(number, 1, 0)).toMatchObject({
      result: 'settled',
      status: 'retrying',
      reason: 'timeout',
    });
    expect(await test.claim(number, 1, 1)).toMatchObject({ result: 'run' });
    await test.settle(number, { attempt: 2, status: 'dead', reason: 'retries_exhausted' });
    expect(await test.claim(number, 1, 1)).toMatchObject({ result: 'settled', status: 'dead' });
  });

  describe('a retry that BullMQ has let go before it is due', () => {
    const HOUR = 3_600_000;
    const retryingIn = async (delayMs: number) => {
      const { number } = await test.publish();
      await test.claim(number);
      await test.settle(number, { status: 'retrying', reason: 'timeout', delayMs });
      return number;
    };
    /** Ms until it is to be let go again, by the clock of who claims. */
    const busyMs = async (number: number, clock?: number) => {
      const claimed = await test.claim(number, 1, 1, clock);
      return claimed.result === 'busy' ? claimed.ms : claimed.result;
    };

    it('runs where all clocks are right: it was promoted by hand', async () => {
      const number = await retryingIn(60_000);
      await test.pump();
      expect(await busyMs(number)).toBe('run');
    });

    it('waits until it is due where the clock of the worker that has it is ahead', async () => {
      const number = await retryingIn(60_000);
      const ms = await busyMs(number, Date.now() + HOUR);
      expect(ms).toBeGreaterThan(55_000);
      expect(ms).toBeLessThanOrEqual(60_000);
      expect(await test.stored(number)).toMatchObject({ status: 'retrying', attempts: 1 });
    });

    it("waits where another worker's clock is ahead, until that one lets it go when it is due", async () => {
      const number = await retryingIn(60_000);
      await test.pump({ worker: 'ahead', clock: Date.now() + HOUR });
      await test.pump();
      const ms = await busyMs(number);
      expect(ms).toBeGreaterThan(HOUR + 55_000);
      expect(ms).toBeLessThanOrEqual(HOUR + 61_000);
    });

    it('runs where no clock is so far ahead that it would have let it go', async () => {
      const number = await retryingIn(60_000);
      expect(await busyMs(number, Date.now() + 30_000)).toBe('run');
    });

    it('runs once it is due, whatever the clocks say', async () => {
      const number = await retryingIn(0);
      expect(await busyMs(number, Date.now() + HOUR)).toBe('run');
    });

    it('is let go by hand again 10 s after a worker last told that its clock is ahead', async () => {
      const key = shard.key('ahead');
      await test.pump({ worker: 'ahead', clock: Date.now() + HOUR });
      expect(await test.redis.client.pttl(key)).toBeGreaterThan(5000);
      expect(await test.redis.client.pttl(key)).toBeLessThanOrEqual(10_000);
      await test.redis.client.del(key);
      await test.pump({ worker: 'ahead', clock: Date.now() });
      expect(await test.redis.client.exists(key)).toBe(0);
    });
  });

  it('let a failed job that is retried in Bull Board make one attempt more', async () => {
    const { number } = await test.publish();
    await test.settle(number, { status: 'dead', reason: 'retries_exhausted' });
    expect(await test.claim(number, 1, 1)).toMatchObject({ result: 'run' });
    expect(await test.settle(number, { attempt: 2 })).toMatchObject({
      status: 'delivered',
      attempts: 2,
    });
    expect(await counts(APP)).toEqual({ 0: '0', 2: '1', 3: '0' });
  });

  it('ignore a late failure, and take a late success', async () => {
    const { number } = await test.publish();
    await test.settle(number, { status: 'retrying', reason: 'timeout', delayMs: 5000 });
    const late = { status: 'dead', reason: 'timeout', attemptRecord: '{"t":2}' } as const;
    const lateFailure = await test.settle(number, late);
    expect(lateFailure).toMatchObject({ status: 'retrying', changed: false });
    expect(await test.settle(number)).toMatchObject({ status: 'delivered', changed: true });
    expect(await test.claim(number, 1, 1)).toEqual({ result: 'gone' });
    expect(await test.settle(number, { attempt: 2, status: 'dead' })).toMatchObject({
      status: 'delivered',
      changed: false,
    });
  });

  it('leave a job of an older generation without work', async () => {
    const { number } = await test.publish();
    await test.settle(number, { status: 'dead', reason: 'retries_exhausted' });
    expect(await retryDelivery(shard, number, APP)).toEqual({ result: 'retry' });
    expect(await test.claim(number, 1, 1)).toEqual({ result: 'gone' });
    expect(await test.claim(number, 2, 0)).toMatchObject({
      result: 'run',
      delivery: { retryBase: 1, attempts: 1 },
    });
    expect(await shard.queue.getJob(jobId(formatId('dlv', 0, number), 2))).toBeDefined();
  });

  it('move the counts of a correlation id along', async () => {
    const { number } = await test.publish(2, { correlationId: 'w' }, { flags: FLAG.correlated });
    await test.settle(number, { correlationId: 'w' });
    expect(await test.redis.client.hgetall(shard.key(`k:${APP}:w`))).toMatchObject({
      0: '1',
      2: '1',
      seq: '1',
    });
  });
});

describe('a Redis that forgot', () => {
  it('never lets an event overwrite another that has its number', async () => {
    const { number } = await test.publish(2);
    expect((await test.publish(1, { number }, { createdAt: 5 })).result).toEqual({ result: 'taken' });
    // A number in the middle of another's fan-out is taken as well, though no event begins there.
    expect((await test.publish(1, { number: number + 1 })).result).toEqual({ result: 'taken' });
    expect(await test.stored(number + 1)).toEqual(record({ event: number, flags: FLAG.admitted }));
  });

  it('is asked for new numbers when the connection has been lost', async () => {
    const numbers = new Numbers(shard);
    const first = await numbers.take(1);
    numbers.drop();
    expect(await numbers.take(1)).toBeGreaterThan(first + 1);
  });
});

describe('what was not written by Sealpost', () => {
  it('stops nothing else', async () => {
    const broken = await test.publish();
    const good = await test.publish();
    const { bucket, field } = place(broken.number);
    await test.redis.client.hset(shard.key(`d:${bucket}`), field, 'short');
    for (const { number } of [broken, good])
      await test.redis.client.zadd(shard.key('watch'), '1', String(number));
    expect(await reconcile(shard)).toMatchObject({ found: 1 });
    expect(await test.claim(broken.number, 1, 0)).toEqual({ result: 'gone' });
  });

  it('a record that is no JSON neither stops deletion nor retention', async () => {
    const { number } = await test.publish(1, { correlationId: 'c' }, { flags: FLAG.correlated });
    const { bucket, field } = place(number);
    await test.redis.client.hset(shard.key(`e:${bucket}`), field, '{"c":"\\ud800"}');
    await test.redis.client.hset(shard.key('doomed'), String(APP), 'app:0');
    while (await cancelDeleted(shard, RETENTION));
    expect(await test.stored(number)).toMatchObject({ status: 'cancelled' });
    await test.redis.client.zadd(
      shard.key('expiry'),
      '1',
      `d:${bucket}`,
      '1',
      `e:${bucket}`,
      '1',
      `b:${bucket}`,
    );
    while (await expire(shard));
    expect(await test.redis.client.exists(shard.key(`e:${bucket}`))).toBe(0);
  });
});

describe('a paused lane', () => {
  const hold = () => test.configure({ lanes: { [ENDPOINT]: { ps: 1 } } });
  const open = () => test.configure({ lanes: { [ENDPOINT]: {} }, reopen: [ENDPOINT] });

  it('an old entry in its list gives no second job to what went another way', async () => {
    const { number } = await test.publish();
    await hold();
    await test.claim(number);
    await cancelDelivery(shard, number, APP, 'cancelled_by_request', RETENTION);
    expect(await retryDelivery(shard, number, APP)).toEqual({ result: 'retry' });
    await open();
    expect(numbersOf((await test.pump()).admitted)).toEqual([number]);
    const { generation } = await test.stored(number);
    expect(await test.claim(number, generation)).toMatchObject({ result: 'run' });
    expect((await test.pump()).admitted).toEqual([]);
    expect(await reconcile(shard)).toMatchObject({ found: 0 });
    expect(await test.stored(number)).toMatchObject({ generation });
  });

  it('takes the delivery back without a job, and lets it go when it opens', async () => {
    const { number } = await test.publish();
    await hold();
    expect(await test.claim(number)).toMatchObject({ result: 'held', admitted: [] });
    expect(await test.claim(number)).toEqual({ result: 'gone' }); // sent again
    expect(await test.redis.client.lrange(shard.key(`r:${ENDPOINT}`), 0, -1)).toEqual([String(number)]);
    expect(await test.isWatched(number)).toBe(false);
    expect(await test.pump()).toMatchObject({ admitted: [], more: false });

    await open();
    expect(await test.pump()).toMatchObject({ admitted: [{ number, generation: 2 }] });
    expect(await test.redis.client.exists(shard.key('ring'))).toBe(0);
    expect(await test.claim(number, 2)).toMatchObject({ result: 'run' });
  });
});

describe('an app that has come from another shard', () => {
  const guest = endpointNumber(0, formatId('ep', 3, 17))!;

  it('has endpoints with their old ids, which the scripts know too', async () => {
    await test.reset({ endpoints: [guest] });
    const { number } = await test.publish(1, {}, { endpoint: guest });
    await test.settle(number, { status: 'dead', reason: 'timeout' });
    expect(await retryDelivery(shard, number, APP)).toEqual({ result: 'retry' });
    await test.redis.client.hdel(shard.key(`cfg:${APP}`), 'ep_03000000000h');
    await test.settle(number, { status: 'dead', reason: 'timeout', generation: 2, attempt: 2 });
    expect(await retryDelivery(shard, number, APP)).toEqual({ result: 'deleted' });
  });

  it('admits nothing in a lane that is held, not even what had a job, until it is let go', async () => {
    const { number } = await test.publish();
    await test.configure({ hold: [ENDPOINT] });
    const next = await test.publish();
    expect(next.result).toMatchObject({ admitted: [false] });
    expect(await test.claim(number)).toMatchObject({ result: 'held', admitted: [] });
    expect((await test.pump()).admitted).toEqual([]);
    await shard.run('let-go', [APP, ENDPOINT, '{}', '[]']);
    const admitted = (await test.pump()).admitted.map((delivery) => delivery.number);
    expect(admitted).toEqual([number, next.number]);
    expect(await test.redis.client.exists(shard.key(`held:${APP}`))).toBe(0);
  });

  it('counts a correlation on from where it was', async () => {
    const of = { correlationId: 'c', counted: 41 };
    expect((await test.publish(1, of)).result).toMatchObject({ sequence: 42 });
    expect((await test.publish(1, of)).result).toMatchObject({ sequence: 43 });
  });
});

describe('the reconciler', () => {
  const overdue = (number: number) => test.redis.client.zadd(shard.key('watch'), '1', String(number));

  it('gives a job to a delivery whose API died before it enqueued', async () => {
    const { number } = await test.publish();
    expect(await reconcile(shard)).toMatchObject({ found: 0 });
    await overdue(number);
    expect(await reconcile(shard)).toMatchObject({ found: 1 });
    const job = await shard.queue.getJob(jobId(formatId('dlv', 0, number), 2));
    expect(job?.data).toEqual({
      app: 'app',
      event: formatId('evt', 0, number),
      endpoint: formatId('ep', 0, ENDPOINT),
    });
    expect(await job?.getState()).toBe('waiting');
  });

  it('leaves a job that BullMQ still has to BullMQ', async () => {
    const { number } = await test.publish();
    await overdue(number);
    await reconcile(shard);
    await overdue(number);
    expect(await reconcile(shard)).toMatchObject({ found: 0 });
    expect(await test.isWatched(number)).toBe(true);
  });

  it('lets a retry go that a worker whose clock was hours ahead has delayed', async () => {
    const { number } = await test.publish();
    await overdue(number);
    await reconcile(shard);
    const job = (await shard.queue.getJob(jobId(formatId('dlv', 0, number), 2)))!;
    await test.redis.client.lrem(`${shard.jobPrefix}wait`, 1, job.id!);
    await test.redis.client.zadd(`${shard.jobPrefix}delayed`, (Date.now() + 3 * 3_600_000) * 4096, job.id!);
    await overdue(number);
    expect(await reconcile(shard)).toMatchObject({ found: 0 });
    expect(await job.getState()).toBe('waiting');
  });

  it('lets the job go that is left of a detached attempt whose worker, its clock hours ahead, died after SETTLE', async () => {
    const { number } = await test.publish();
    await overdue(number);
    await reconcile(shard);
    await test.claim(number, 2);
    await test.detach(number, 'detach', 30_000, 2);
    const job = (await shard.queue.getJob(jobId(formatId('dlv', 0, number), 2)))!;
    await test.redis.client.lrem(`${shard.jobPrefix}wait`, 1, job.id!);
    await test.redis.client.zadd(`${shard.jobPrefix}delayed`, (Date.now() + 3 * 3_600_000) * 4096, job.id!);
    expect(await test.succeed(number, { generation: 2 })).toMatchObject({ status: 'delivered' });
    await overdue(number);
    expect(await reconcile(shard)).toMatchObject({ found: 0 });
    expect(await job.getState()).toBe('waiting');
    expect(await test.claim(number, 2)).toEqual({ result: 'gone' });
    expect(await test.isWatched(number)).toBe(false);
  });

  it('forgets a detached attempt that was settled and whose job is removed', async () => {
    const { number } = await test.publish();
    await test.claim(number);
    await test.detach(number);
    await test.succeed(number);
    expect(await test.isWatched(number)).toBe(true);
    await overdue(number);
    expect(await reconcile(shard)).toMatchObject({ found: 0 });
    expect(await test.isWatched(number)).toBe(false);
  });

  it('gives a new generation to an open delivery whose job is finished', async () => {
    const { number } = await test.publish();
    await overdue(number);
    await reconcile(shard);
    const id = jobId(formatId('dlv', 0, number), 2);
    await test.redis.client.hset(`${shard.jobPrefix}${id}`, 'finishedOn', '1');
    await overdue(number);
    expect(await reconcile(shard)).toMatchObject({ found: 1 });
    expect((await test.stored(number)).generation).toBe(3);
  });
});

describe('by hand', () => {
  it('cancel ends an open delivery, once, and only in its own app', async () => {
    const { number } = await test.publish();
    expect(await cancelDelivery(shard, number, 99, 'cancelled_by_request', RETENTION)).toEqual({
      result: 'missing',
    });
    expect(await cancelDelivery(shard, number, APP, 'cancelled_by_request', RETENTION)).toEqual({
      result: 'cancelled',
    });
    expect(await cancelDelivery(shard, number, APP, 'cancelled_by_request', RETENTION)).toEqual({
      result: 'ended',
      status: 'cancelled',
    });
    expect(await counts(APP)).toEqual({ 0: '0', 5: '1' });
    expect(await test.claim(number, 1, 0)).toEqual({ result: 'gone' });
  });

  it('retry keeps an endpoint from being idle, where that is watched', async () => {
    const notes = shard.key(`idle:${APP}`);
    const retried = async () => {
      const { number } = await test.publish();
      await test.settle(number, { status: 'dead', reason: 'timeout' });
      expect(await retryDelivery(shard, number, APP)).toEqual({ result: 'retry' });
      return test.redis.client.hgetall(notes);
    };
    expect(await retried()).toEqual({});
    await test.redis.client.hset(notes, ENDPOINT, '1', '99', '1');
    const { [ENDPOINT]: seen, ...others } = await retried();
    expect(Number(seen)).toBeGreaterThan(1);
    expect(others).toEqual({ 99: '1' });
  });

  it('retry refuses what is under way, and what has no body any more', async () => {
    const { number } = await test.publish();
    expect(await retryDelivery(shard, number, APP)).toEqual({ result: 'open' });
    await test.settle(number, { status: 'dead', reason: 'timeout' });
    await test.redis.client.del(shard.key(`b:${place(number).bucket}`));
    expect(await retryDelivery(shard, number, APP)).toEqual({ result: 'expired' });
  });

  it('retry refuses when its endpoint or app is gone', async () => {
    const { number } = await test.publish();
    await test.settle(number, { status: 'dead', reason: 'timeout' });
    await test.redis.client.hdel(shard.key(`cfg:${APP}`), formatId('ep', 0, ENDPOINT));
    expect(await retryDelivery(shard, number, APP)).toEqual({ result: 'deleted' });
  });

  it('retry waits for the attempt that was under way when the delivery was cancelled', async () => {
    const { number } = await test.publish();
    await test.claim(number, 1, 0);
    await cancelDelivery(shard, number, APP, 'cancelled_by_request', RETENTION);
    expect(await retryDelivery(shard, number, APP)).toEqual({ result: 'running' });
    await test.settle(number, { status: 'dead', reason: 'timeout', statusCode: 0 });
    expect(await retryDelivery(shard, number, APP)).toEqual({ result: 'retry' });
    expect(await test.claim(number, 2, 0)).toMatchObject({ result: 'run', delivery: { attempts: 1 } });
  });

  it('retry does not wait for the job of a detached attempt that has been settled', async () => {
    const { number } = await test.publish();
    await test.claim(number);
    await test.detach(number);
    await test.settle(number, { status: 'dead', reason: 'timeout', statusCode: 0 });
    expect(await test.isWatched(number)).toBe(true);
    expect(await retryDelivery(shard, number, APP)).toEqual({ result: 'retry' });
    expect(await test.claim(number, 2, 0)).toMatchObject({ result: 'run', delivery: { attempts: 1 } });
  });

  it('retry waits for an attempt that Bull Board began', async () => {
    const { number } = await test.publish();
    await test.settle(number, { status: 'dead', reason: 'timeout' });
    expect(await test.claim(number, 1, 1)).toMatchObject({ result: 'run' });
    expect(await retryDelivery(shard, number, APP)).toEqual({ result: 'running' });
  });

  it('retry does not wait for one whose worker died, and gives it one place', async () => {
    const { number } = await test.publish();
    await test.settle(number, { status: 'dead', reason: 'timeout' });
    await test.claim(number, 1, 1);
    await test.redis.client.zadd(shard.key('watch'), '1', String(number));
    expect(await retryDelivery(shard, number, APP)).toEqual({ result: 'retry' });
    expect(await test.stored(number)).toMatchObject({ flags: FLAG.admitted });
    expect(await test.lane()).toMatchObject({ n: '1' });
  });

  it('retry waits for a promoted attempt that was cancelled under way', async () => {
    const { number } = await test.publish();
    await test.settle(number, { status: 'retrying', reason: 'timeout', delayMs: 600_000 });
    expect(await test.claim(number, 1, 1)).toMatchObject({ result: 'run' });
    await cancelDelivery(shard, number, APP, 'cancelled_by_request', RETENTION);
    expect(await retryDelivery(shard, number, APP)).toEqual({ result: 'running' });
  });

  it('an attempt that fails after a cancel is still in the log', async () => {
    const { number } = await test.publish();
    await cancelDelivery(shard, number, APP, 'cancelled_by_request', RETENTION);
    for (let sent = 1; sent <= 2; sent++) {
      const late = await test.settle(number, { status: 'dead', reason: 'timeout', statusCode: 0 });
      expect(late).toMatchObject({ status: 'cancelled', changed: false });
    }
    expect(await test.stored(number)).toMatchObject({
      status: 'cancelled',
      attempts: 1,
      reason: 'cancelled_by_request',
    });
  });

  it('deleting an owner cancels its whole backlog', async () => {
    const { number } = await test.publish(450);
    await test.redis.client.hset(shard.key('doomed'), String(ENDPOINT), 'endpoint:0');
    let rounds = 0;
    while (await cancelDeleted(shard, RETENTION)) rounds++;
    expect(rounds).toBe(3);
    expect(await counts(ENDPOINT)).toEqual({ 0: '0', 5: '450' });
    expect(await test.stored(number)).toMatchObject({ status: 'cancelled', reason: 'endpoint_deleted' });
    expect(await test.redis.client.zcard(shard.key('watch'))).toBe(0);
  });
});

describe('retention', () => {
  const makeDue = async (kinds: string[]) => {
    for (const member of await test.redis.client.zrange(shard.key('expiry'), '0', '-1')) {
      if (kinds.includes(member[0]!)) await test.redis.client.zadd(shard.key('expiry'), '1', member);
    }
  };

  it('is scheduled by the last delivery of a bucket to end, and not before', async () => {
    const { number } = await test.publish(2);
    await test.settle(number);
    expect(await test.redis.client.zcard(shard.key('expiry'))).toBe(0);
    await test.settle(number + 1);
    expect(
      (await test.redis.client.zrange(shard.key('expiry'), '0', '-1')).map((member) => member[0]).sort(),
    ).toEqual(['b', 'd', 'e']);
    expect(await expire(shard)).toBe(0);
  });

  it('drops records, attempts, index entries and counts together', async () => {
    const { number } = await test.publish(
      2,
      { ownId: 'mine', correlationId: 'c' },
      { flags: FLAG.correlated },
    );
    for (const n of [number, number + 1]) await test.settle(n, { correlationId: 'c' });
    await makeDue(['b', 'd']);
    expect(await expire(shard)).toBe(2);
    await makeDue(['e']);
    await expire(shard);
    const left = (await test.redis.client.keys('*')).filter((key) => !key.includes(':deliveries-')).sort();
    expect(left).toEqual(EMPTY.map((name) => shard.key(name)));
  });

  it('keeps a correlation, its counts and its sequence as long as any of its events', async () => {
    const first = await test.publish(1, { correlationId: 'c' }, { flags: FLAG.correlated });
    await new Numbers(shard).take(200); // the next one lies in another bucket
    const second = await test.publish(1, { correlationId: 'c' }, { flags: FLAG.correlated });
    await test.settle(second.number, { correlationId: 'c' });
    await makeDue(['b', 'd']);
    while (await expire(shard));
    await makeDue(['e']);
    await expire(shard);
    expect(await test.redis.client.hgetall(shard.key(`k:${APP}:c`))).toMatchObject({
      seq: '2',
      kept: '1',
      0: '1',
    });
    await test.settle(first.number, { correlationId: 'c' });
    await makeDue(['b', 'd']);
    while (await expire(shard));
    await makeDue(['e']);
    await expire(shard);
    expect(await test.redis.client.exists(shard.key(`k:${APP}:c`))).toBe(0);
  });

  it('keeps a bucket in which a delivery was retried meanwhile', async () => {
    const { number } = await test.publish();
    await test.settle(number, { status: 'dead', reason: 'timeout' });
    await retryDelivery(shard, number, APP);
    await makeDue(['b', 'd', 'e']);
    await expire(shard);
    expect(await test.claim(number, 2, 0)).toMatchObject({ result: 'run' });
    await test.settle(number, { generation: 2, attempt: 2 });
    expect(await test.redis.client.zcard(shard.key('expiry'))).toBe(3);
  });
});
