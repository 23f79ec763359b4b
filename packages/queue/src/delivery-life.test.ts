import { formatId, jobId } from '@sealpost/core';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startTestRedis, type TestRedis } from '../testing.ts';
import { type Acceptance, accept } from './accept.ts';
import { cancelDelivery, retryDelivery } from './by-hand.ts';
import { claim } from './claim.ts';
import { type DeliveryRecord, decodeDelivery, FLAG } from './delivery-record.ts';
import { cancelDeleted, expire, reconcile } from './keep-house.ts';
import { place } from './keys.ts';
import { Numbers } from './numbers.ts';
import { type Settlement, settle } from './settle.ts';
import { type Shard, Shards } from './shard.ts';

const APP = 1;
const ENDPOINT = 2;
const RETENTION = { recordsMs: 60_000, bodiesMs: 30_000 };

let redis: TestRedis;
let shard: Shard;

beforeAll(async () => {
  redis = await startTestRedis();
  shard = new Shards(redis.client).get(0);
});
afterAll(() => redis.stop());
beforeEach(async () => {
  await redis.client.flushall();
  await redis.client.hset(shard.key(`cfg:${APP}`), 'v', 1, 'app', '-', formatId('ep', 0, ENDPOINT), '-');
});

function record(overrides: Partial<DeliveryRecord> = {}): DeliveryRecord {
  return {
    status: 'pending',
    flags: 0,
    generation: 1,
    attempts: 0,
    jobBase: 0,
    retryBase: 0,
    event: 0,
    app: APP,
    endpoint: ENDPOINT,
    createdAt: 1_700_000_000_000,
    dueAt: 1_700_000_000_000,
    statusCode: 0,
    reason: 'none',
    keyId: '0a0b0c0d',
    seal: Buffer.alloc(20, 7),
    ...overrides,
  };
}

async function publish(count = 1, overrides: Partial<Acceptance> = {}, of: Partial<DeliveryRecord> = {}) {
  const number = await new Numbers(shard).take(Math.max(1, count));
  const result = await accept(shard, {
    app: APP,
    configVersion: 1,
    number,
    record: JSON.stringify({
      a: 'app',
      n: APP,
      t: 'a.b',
      at: 1,
      k: count,
      i: overrides.ownId,
      c: overrides.correlationId,
    }),
    body: '{"x":1}',
    deliveries: Array.from({ length: count }, () => record({ event: number, ...of })),
    retention: RETENTION,
    ...overrides,
  });
  return { number, result };
}

async function stored(number: number): Promise<DeliveryRecord> {
  const { bucket, field } = place(number);
  return decodeDelivery((await redis.client.hgetBuffer(shard.key(`d:${bucket}`), field))!)!;
}

const settlement = (number: number, overrides: Partial<Settlement> = {}): Settlement => ({
  number,
  generation: 1,
  attempt: 1,
  status: 'delivered',
  reason: 'none',
  statusCode: 200,
  delayMs: 0,
  attemptRecord: '{"t":1,"d":2,"p":[0,0,0,1],"s":200}',
  retention: RETENTION,
  ...overrides,
});

const counts = async (owner: number) => redis.client.hgetall(shard.key(`c:${owner}`));
const watched = async (number: number) =>
  (await redis.client.zscore(shard.key('watch'), String(number))) !== null;

describe('accept', () => {
  it('stores an event once with a record, an index entry and a count for each delivery', async () => {
    const { number, result } = await publish(300);
    expect(result).toEqual({ result: 'accepted', sequence: 0 });
    expect(await stored(number + 299)).toEqual(record({ event: number }));
    expect(await redis.client.llen(shard.key(`x:${APP}`))).toBe(300);
    expect(await redis.client.lindex(shard.key(`x:${ENDPOINT}`), 0)).toBe(String(number + 299));
    expect(await counts(APP)).toEqual({ 0: '300' });
    const bodies = await Promise.all((await redis.client.keys('*b:*')).map((key) => redis.client.hlen(key)));
    expect(bodies).toEqual([1]);
  });

  it('stores nothing when the config that was matched is old', async () => {
    const { result } = await publish(1, { configVersion: 7 });
    expect(result).toEqual({ result: 'stale' });
    expect((await redis.client.keys('*')).sort()).toEqual([shard.key(`cfg:${APP}`), shard.key('n')]);
  });

  it('answers an own id that is known with its event', async () => {
    const first = await publish(1, { ownId: 'mine' });
    const second = await publish(1, { ownId: 'mine' });
    expect(second.result).toEqual({ result: 'duplicate', number: first.number });
    expect(await counts(APP)).toEqual({ 0: '1' });
  });

  it('changes nothing when it is sent again after a lost answer', async () => {
    const { number } = await publish(2, { correlationId: 'c' });
    const again = await publish(2, { number, correlationId: 'c' });
    expect(again.result).toEqual({ result: 'accepted', sequence: 1 });
    expect(await counts(APP)).toEqual({ 0: '2' });
    expect(await redis.client.llen(shard.key(`x:${APP}`))).toBe(2);
  });

  it('counts the events of a correlation id from 1', async () => {
    const sequences = [];
    for (const correlationId of ['a', 'a', 'b', 'a'])
      sequences.push((await publish(0, { correlationId })).result);
    expect(sequences.map((result) => 'sequence' in result && result.sequence)).toEqual([1, 2, 1, 3]);
  });
});

describe('claim and settle', () => {
  it('deliver: the attempt is recorded, the counts move, nothing is watched any more', async () => {
    const { number } = await publish();
    expect(await watched(number)).toBe(true);
    const claimed = await claim(shard, number, 1, 0);
    expect(claimed).toMatchObject({ result: 'run', configVersion: 1, sequence: undefined });
    expect(claimed.result === 'run' && claimed.body?.toString()).toBe('{"x":1}');
    const outcome = await settle(shard, settlement(number));
    const told = {
      status: 'delivered',
      reason: 'none',
      delayMs: 0,
      attempts: 1,
      statusCode: 200,
      changed: true,
    };
    expect(outcome).toEqual(told);
    expect(await counts(APP)).toEqual({ 0: '0', 2: '1' });
    expect(await counts(ENDPOINT)).toEqual({ 0: '0', 2: '1' });
    expect(await watched(number)).toBe(false);
    const { bucket, field } = place(number);
    expect(await redis.client.hget(shard.key(`t:${bucket}`), `${field}:1`)).toContain('"s":200');
  });

  it('count an attempt once, however often its settlement is sent', async () => {
    const { number } = await publish();
    const failed = settlement(number, {
      status: 'retrying',
      reason: 'http_status',
      statusCode: 500,
      delayMs: 9000,
    });
    await settle(shard, failed);
    const again = await settle(shard, failed);
    expect(again).toMatchObject({ status: 'retrying', reason: 'http_status', attempts: 1, changed: false });
    expect(again.delayMs).toBeGreaterThan(8000);
    expect(await counts(APP)).toEqual({ 0: '0', 1: '1' });
  });

  it('tell a re-run job the outcome that BullMQ did not hear, and post nothing', async () => {
    const { number } = await publish();
    await settle(shard, settlement(number, { status: 'retrying', reason: 'timeout', delayMs: 5000 }));
    expect(await claim(shard, number, 1, 0)).toMatchObject({
      result: 'settled',
      status: 'retrying',
      reason: 'timeout',
    });
    expect(await claim(shard, number, 1, 1)).toMatchObject({ result: 'run' });
    await settle(shard, settlement(number, { attempt: 2, status: 'dead', reason: 'retries_exhausted' }));
    expect(await claim(shard, number, 1, 1)).toMatchObject({ result: 'settled', status: 'dead' });
  });

  it('let a failed job that is retried in Bull Board make one attempt more', async () => {
    const { number } = await publish();
    await settle(shard, settlement(number, { status: 'dead', reason: 'retries_exhausted' }));
    expect(await claim(shard, number, 1, 1)).toMatchObject({ result: 'run' });
    expect(await settle(shard, settlement(number, { attempt: 2 }))).toMatchObject({
      status: 'delivered',
      attempts: 2,
    });
    expect(await counts(APP)).toEqual({ 0: '0', 2: '1', 3: '0' });
  });

  it('ignore a late failure, and take a late success', async () => {
    const { number } = await publish();
    await settle(shard, settlement(number, { status: 'retrying', reason: 'timeout', delayMs: 5000 }));
    const lateFailure = await settle(shard, settlement(number, { status: 'dead', reason: 'timeout' }));
    expect(lateFailure).toMatchObject({ status: 'retrying', changed: false });
    expect(await settle(shard, settlement(number))).toMatchObject({ status: 'delivered', changed: true });
    expect(await claim(shard, number, 1, 1)).toEqual({ result: 'gone' });
    expect(await settle(shard, settlement(number, { attempt: 2, status: 'dead' }))).toMatchObject({
      status: 'delivered',
      changed: false,
    });
  });

  it('leave a job of an older generation without work', async () => {
    const { number } = await publish();
    await settle(shard, settlement(number, { status: 'dead', reason: 'retries_exhausted' }));
    expect(await retryDelivery(shard, number, APP)).toEqual({ result: 'retry' });
    expect(await claim(shard, number, 1, 1)).toEqual({ result: 'gone' });
    expect(await claim(shard, number, 2, 0)).toMatchObject({
      result: 'run',
      delivery: { retryBase: 1, attempts: 1 },
    });
    expect(await shard.queue.getJob(jobId(formatId('dlv', 0, number), 2))).toBeDefined();
  });

  it('move the counts of a correlation id along', async () => {
    const { number } = await publish(2, { correlationId: 'w' }, { flags: FLAG.correlated });
    await settle(shard, settlement(number, { correlationId: 'w' }));
    expect(await redis.client.hgetall(shard.key(`k:${APP}:w`))).toMatchObject({ 0: '1', 2: '1', seq: '1' });
  });
});

describe('a Redis that forgot', () => {
  it('never lets an event overwrite another that has its number', async () => {
    const { number } = await publish(2);
    expect((await publish(1, { number }, { createdAt: 5 })).result).toEqual({ result: 'taken' });
    // A number in the middle of another's fan-out is taken as well, though no event begins there.
    expect((await publish(1, { number: number + 1 })).result).toEqual({ result: 'taken' });
    expect(await stored(number + 1)).toEqual(record({ event: number }));
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
    const broken = await publish();
    const good = await publish();
    const { bucket, field } = place(broken.number);
    await redis.client.hset(shard.key(`d:${bucket}`), field, 'short');
    for (const { number } of [broken, good]) await redis.client.zadd(shard.key('watch'), '1', String(number));
    expect(await reconcile(shard)).toMatchObject({ found: 1 });
    expect(await claim(shard, broken.number, 1, 0)).toEqual({ result: 'gone' });
  });

  it('a record that is no JSON neither stops deletion nor retention', async () => {
    const { number } = await publish(1, { correlationId: 'c' }, { flags: FLAG.correlated });
    const { bucket, field } = place(number);
    await redis.client.hset(shard.key(`e:${bucket}`), field, '{"c":"\\ud800"}');
    await redis.client.hset(shard.key('doomed'), String(APP), 'app:0');
    while (await cancelDeleted(shard, RETENTION));
    expect(await stored(number)).toMatchObject({ status: 'cancelled' });
    await redis.client.zadd(shard.key('expiry'), '1', `d:${bucket}`, '1', `e:${bucket}`, '1', `b:${bucket}`);
    while (await expire(shard));
    expect(await redis.client.exists(shard.key(`e:${bucket}`))).toBe(0);
  });
});

describe('a held lane', () => {
  const hold = () => redis.client.hset(shard.key(`lane:${ENDPOINT}`), 'held', '1');
  const open = async () => {
    await redis.client.hdel(shard.key(`lane:${ENDPOINT}`), 'held');
    await redis.client.sadd(shard.key('ring'), String(ENDPOINT));
  };

  it('an old entry in its list gives no second job to what went another way', async () => {
    const { number } = await publish();
    await hold();
    await claim(shard, number, 1, 0);
    await cancelDelivery(shard, number, APP, 'cancelled_by_request', RETENTION);
    await open();
    expect(await retryDelivery(shard, number, APP)).toEqual({ result: 'retry' });
    expect(await claim(shard, number, 2, 0)).toMatchObject({ result: 'run' });
    expect(await reconcile(shard)).toMatchObject({ found: 0 });
    expect((await stored(number)).generation).toBe(2);
  });

  it('a job that was held and is run again once the lane is open runs once', async () => {
    const { number } = await publish();
    await hold();
    await claim(shard, number, 1, 0);
    await open();
    expect(await claim(shard, number, 1, 0)).toMatchObject({ result: 'run' });
    expect(await reconcile(shard)).toMatchObject({ found: 0 });
  });

  it('takes the delivery back without a job, and lets it go when it opens', async () => {
    const { number } = await publish();
    await redis.client.hset(shard.key(`lane:${ENDPOINT}`), 'held', '1');
    expect(await claim(shard, number, 1, 0)).toEqual({ result: 'held' });
    expect(await claim(shard, number, 1, 0)).toEqual({ result: 'held' }); // sent again
    expect(await redis.client.lrange(shard.key(`q:${ENDPOINT}`), 0, -1)).toEqual([String(number)]);
    expect(await watched(number)).toBe(false);
    expect(await reconcile(shard)).toMatchObject({ found: 0 });

    await redis.client.hdel(shard.key(`lane:${ENDPOINT}`), 'held');
    await redis.client.sadd(shard.key('ring'), String(ENDPOINT));
    expect(await reconcile(shard)).toMatchObject({ found: 1 });
    expect(await redis.client.exists(shard.key('ring'))).toBe(0);
    expect(await claim(shard, number, 2, 0)).toMatchObject({ result: 'run' });
  });
});

describe('the reconciler', () => {
  const overdue = (number: number) => redis.client.zadd(shard.key('watch'), '1', String(number));

  it('gives a job to a delivery whose API died before it enqueued', async () => {
    const { number } = await publish();
    expect(await reconcile(shard)).toMatchObject({ found: 0 });
    await overdue(number);
    expect(await reconcile(shard)).toMatchObject({ found: 1 });
    const job = await shard.queue.getJob(jobId(formatId('dlv', 0, number), 1));
    expect(job?.data).toEqual({
      app: 'app',
      event: formatId('evt', 0, number),
      endpoint: formatId('ep', 0, ENDPOINT),
    });
    expect(await job?.getState()).toBe('waiting');
  });

  it('leaves a job that BullMQ still has to BullMQ', async () => {
    const { number } = await publish();
    await overdue(number);
    await reconcile(shard);
    await overdue(number);
    expect(await reconcile(shard)).toMatchObject({ found: 0 });
    expect(await watched(number)).toBe(true);
  });

  it('gives a new generation to an open delivery whose job is finished', async () => {
    const { number } = await publish();
    const id = jobId(formatId('dlv', 0, number), 1);
    await overdue(number);
    await reconcile(shard);
    await redis.client.hset(`${shard.jobPrefix}${id}`, 'finishedOn', '1');
    await overdue(number);
    expect(await reconcile(shard)).toMatchObject({ found: 1 });
    expect((await stored(number)).generation).toBe(2);
  });
});

describe('by hand', () => {
  it('cancel ends an open delivery, once, and only in its own app', async () => {
    const { number } = await publish();
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
    expect(await claim(shard, number, 1, 0)).toEqual({ result: 'gone' });
  });

  it('retry refuses what is under way, and what has no body any more', async () => {
    const { number } = await publish();
    expect(await retryDelivery(shard, number, APP)).toEqual({ result: 'open' });
    await settle(shard, settlement(number, { status: 'dead', reason: 'timeout' }));
    await redis.client.del(shard.key(`b:${place(number).bucket}`));
    expect(await retryDelivery(shard, number, APP)).toEqual({ result: 'expired' });
  });

  it('retry refuses when its endpoint or app is gone', async () => {
    const { number } = await publish();
    await settle(shard, settlement(number, { status: 'dead', reason: 'timeout' }));
    await redis.client.hdel(shard.key(`cfg:${APP}`), formatId('ep', 0, ENDPOINT));
    expect(await retryDelivery(shard, number, APP)).toEqual({ result: 'deleted' });
  });

  it('retry waits for the attempt that was under way when the delivery was cancelled', async () => {
    const { number } = await publish();
    await claim(shard, number, 1, 0);
    await cancelDelivery(shard, number, APP, 'cancelled_by_request', RETENTION);
    expect(await retryDelivery(shard, number, APP)).toEqual({ result: 'running' });
    await settle(shard, settlement(number, { status: 'dead', reason: 'timeout', statusCode: 0 }));
    expect(await retryDelivery(shard, number, APP)).toEqual({ result: 'retry' });
    expect(await claim(shard, number, 2, 0)).toMatchObject({ result: 'run', delivery: { attempts: 1 } });
  });

  it('retry waits for an attempt that Bull Board began', async () => {
    const { number } = await publish();
    await settle(shard, settlement(number, { status: 'dead', reason: 'timeout' }));
    expect(await claim(shard, number, 1, 1)).toMatchObject({ result: 'run' });
    expect(await retryDelivery(shard, number, APP)).toEqual({ result: 'running' });
  });

  it('retry waits for a promoted attempt that was cancelled under way', async () => {
    const { number } = await publish();
    await settle(shard, settlement(number, { status: 'retrying', reason: 'timeout', delayMs: 600_000 }));
    expect(await claim(shard, number, 1, 1)).toMatchObject({ result: 'run' });
    await cancelDelivery(shard, number, APP, 'cancelled_by_request', RETENTION);
    expect(await retryDelivery(shard, number, APP)).toEqual({ result: 'running' });
  });

  it('an attempt that fails after a cancel is still in the log', async () => {
    const { number } = await publish();
    await cancelDelivery(shard, number, APP, 'cancelled_by_request', RETENTION);
    const late = await settle(
      shard,
      settlement(number, { status: 'dead', reason: 'timeout', statusCode: 0 }),
    );
    expect(late).toMatchObject({ status: 'cancelled', changed: false });
    expect(await stored(number)).toMatchObject({
      status: 'cancelled',
      attempts: 1,
      reason: 'cancelled_by_request',
    });
  });

  it('deleting an owner cancels its whole backlog', async () => {
    const { number } = await publish(450);
    await redis.client.hset(shard.key('doomed'), String(ENDPOINT), 'endpoint:0');
    let rounds = 0;
    while (await cancelDeleted(shard, RETENTION)) rounds++;
    expect(rounds).toBe(3);
    expect(await counts(ENDPOINT)).toEqual({ 0: '0', 5: '450' });
    expect(await stored(number)).toMatchObject({ status: 'cancelled', reason: 'endpoint_deleted' });
    expect(await redis.client.zcard(shard.key('watch'))).toBe(0);
  });
});

describe('retention', () => {
  const makeDue = async (kinds: string[]) => {
    for (const member of await redis.client.zrange(shard.key('expiry'), '0', '-1')) {
      if (kinds.includes(member[0]!)) await redis.client.zadd(shard.key('expiry'), '1', member);
    }
  };

  it('is scheduled by the last delivery of a bucket to end, and not before', async () => {
    const { number } = await publish(2);
    await settle(shard, settlement(number));
    expect(await redis.client.zcard(shard.key('expiry'))).toBe(0);
    await settle(shard, settlement(number + 1));
    expect(
      (await redis.client.zrange(shard.key('expiry'), '0', '-1')).map((member) => member[0]).sort(),
    ).toEqual(['b', 'd', 'e']);
    expect(await expire(shard)).toBe(0);
  });

  it('drops records, attempts, index entries and counts together', async () => {
    const { number } = await publish(2, { ownId: 'mine', correlationId: 'c' }, { flags: FLAG.correlated });
    for (const n of [number, number + 1]) await settle(shard, settlement(n, { correlationId: 'c' }));
    await makeDue(['b', 'd']);
    expect(await expire(shard)).toBe(2);
    await makeDue(['e']);
    await expire(shard);
    const left = (await redis.client.keys('*')).filter((key) => !key.includes(':deliveries-')).sort();
    expect(left).toEqual([shard.key(`cfg:${APP}`), shard.key('n')]);
  });

  it('keeps a correlation, its counts and its sequence as long as any of its events', async () => {
    const first = await publish(1, { correlationId: 'c' }, { flags: FLAG.correlated });
    await new Numbers(shard).take(200); // the next one lies in another bucket
    const second = await publish(1, { correlationId: 'c' }, { flags: FLAG.correlated });
    await settle(shard, settlement(second.number, { correlationId: 'c' }));
    await makeDue(['b', 'd']);
    while (await expire(shard));
    await makeDue(['e']);
    await expire(shard);
    expect(await redis.client.hgetall(shard.key(`k:${APP}:c`))).toMatchObject({
      seq: '2',
      kept: '1',
      0: '1',
    });
    await settle(shard, settlement(first.number, { correlationId: 'c' }));
    await makeDue(['b', 'd']);
    while (await expire(shard));
    await makeDue(['e']);
    await expire(shard);
    expect(await redis.client.exists(shard.key(`k:${APP}:c`))).toBe(0);
  });

  it('keeps a bucket in which a delivery was retried meanwhile', async () => {
    const { number } = await publish();
    await settle(shard, settlement(number, { status: 'dead', reason: 'timeout' }));
    await retryDelivery(shard, number, APP);
    await makeDue(['b', 'd', 'e']);
    await expire(shard);
    expect(await claim(shard, number, 2, 0)).toMatchObject({ result: 'run' });
    await settle(shard, settlement(number, { generation: 2, attempt: 2 }));
    expect(await redis.client.zcard(shard.key('expiry'))).toBe(3);
  });
});
