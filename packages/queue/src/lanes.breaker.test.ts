import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { APP, ENDPOINT, numbersOf, RETENTION, TestShard } from '../test-shard.ts';
import { cancelDelivery } from './by-hand.ts';

const ORIGIN = '0123456789ab';
const DAY_MS = 86_400_000;

let test: TestShard;

beforeAll(async () => {
  test = await TestShard.start();
});
afterAll(() => test.stop());
beforeEach(() => test.reset());

const failLongAgo = (lane: number | string = ENDPOINT) => test.setLane({ fs: Date.now() - 6000 }, lane);

/** Publishes `count` deliveries, and lets the first five fail so that the lane closes. Returns the first one's number. */
async function close(count: number): Promise<number> {
  const { number } = await test.publish(count);
  await failLongAgo();
  const admitted: number[] = [];
  for (let i = 0; i < 5; i++) admitted.push(...numbersOf((await test.fail(number + i)).admitted));
  // What was admitted meanwhile goes back: how much it is depends on how fast the failures came.
  for (const waiting of admitted) if (waiting >= number + 5) await test.claim(waiting);
  const lane = await test.lane();
  expect(lane).toHaveProperty('cl');
  expect(lane).not.toHaveProperty('n');
  return number;
}

/** The time for a probe has come. */
const makeProbeDue = () => test.setLane({ pa: 1, z: 1 });

/** Admits a probe and returns its number and generation. */
async function probe(): Promise<{ number: number; generation: number }> {
  await makeProbeDue();
  const { admitted } = await test.pump();
  expect(admitted).toHaveLength(1);
  const { number, generation } = admitted[0]!;
  return { number, generation };
}

describe('a lane closes', () => {
  it('when five deliveries have failed and none succeeded for five seconds', async () => {
    const { number } = await test.publish(10);
    await failLongAgo();
    for (let i = 0; i < 4; i++) await test.fail(number + i);
    expect(await test.lane()).not.toHaveProperty('cl');
    const { admitted } = await test.fail(number + 4);
    expect(await test.lane()).toMatchObject({ cl: expect.any(String), po: '30000' });
    expect(admitted).toEqual([]);
    expect(await test.outbox()).toMatchObject([
      { t: 'lane.closed', i: 1, a: APP, e: ENDPOINT, at: expect.any(Number), since: expect.any(Number) },
    ]);
  });

  it('not within the first five seconds', async () => {
    const { number } = await test.publish(10);
    for (let i = 0; i < 8; i++) await test.fail(number + i);
    expect(await test.lane()).not.toHaveProperty('cl');
  });

  it('not because of one delivery that fails again and again', async () => {
    const { number } = await test.publish(1);
    await failLongAgo();
    for (let attempt = 1; attempt <= 10; attempt++) {
      await test.claim(number, 1, attempt - 1);
      await test.fail(number, { attempt, delayMs: 1 });
    }
    expect(await test.lane()).toMatchObject({ fd: String(number) });
    expect(await test.lane()).not.toHaveProperty('cl');
  });

  it('not while others succeed', async () => {
    const { number } = await test.publish(20);
    await failLongAgo();
    for (let i = 0; i < 20; i++) {
      if (i % 4 === 3) await test.succeed(number + i);
      else await test.fail(number + i);
      expect(await test.lane()).not.toHaveProperty('cl');
    }
  });

  it('not because of answers that say that the receiver works', async () => {
    const { number } = await test.publish(10);
    await failLongAgo();
    for (let i = 0; i < 5; i++) await test.fail(number + i, {}, { sign: 'answer' });
    for (let i = 5; i < 10; i++) await test.fail(number + i, {}, { sign: 'overload' });
    expect(await test.lane()).not.toHaveProperty('cl');
  });
});

describe('a closed lane', () => {
  it('admits nothing: what was admitted before goes back, and what is new waits', async () => {
    const { number } = await test.publish(5);
    const late = (await test.publish(1)).number;
    await failLongAgo();
    await test.setLane({ w: 10 });
    expect(
      numbersOf((await test.claim(number)).result === 'run' ? (await test.fail(number)).admitted : []),
    ).toContain(late);
    for (let i = 1; i < 5; i++) await test.fail(number + i);
    expect(await test.claim(late)).toMatchObject({ result: 'held', admitted: [] });
    const { result } = await test.publish(1);
    expect(result).toMatchObject({ admitted: [false] });
    expect(await test.lane()).toMatchObject({ q: '2' });
    expect((await test.pump()).admitted).toEqual([]);
    expect(await test.flow()).toMatchObject({ in: 0 });
  });

  it('waits for its probe without anything to do meanwhile', async () => {
    await close(20);
    const { wakeInMs, more } = await test.pump();
    expect(more).toBe(false);
    expect(wakeInMs).toBeGreaterThan(29_000);
    expect(wakeInMs).toBeLessThan(30_001);
  });

  it('lets one probe through, and no second one beside it', async () => {
    await close(20);
    const { number, generation } = await probe();
    await makeProbeDue();
    expect((await test.pump()).admitted).toEqual([]);
    expect(await test.claim(number, generation)).toMatchObject({ result: 'run' });
    await test.detach(number, 'detach', 30_000, generation);
    expect(await test.lane()).toMatchObject({ pr: String(number) });
    expect((await test.pump()).admitted).toEqual([]);
  });

  it('takes a new delivery as its probe when nothing waits and the time has come', async () => {
    const { number } = await test.publish(5);
    await failLongAgo();
    for (let i = 0; i < 5; i++) await test.settle(number + i, dead);
    expect(await test.lane()).toMatchObject({ cl: expect.any(String) });
    const waiting = await test.publish();
    expect(waiting.result).toMatchObject({ admitted: [false] });
    await cancelDelivery(test.shard, waiting.number, APP, 'cancelled_by_request', RETENTION);
    await makeProbeDue();
    expect((await test.publish()).result).toMatchObject({ admitted: [true] });
    expect((await test.publish()).result).toMatchObject({ admitted: [false] });
  });

  it('takes a probe that failed to the end of the line, with all its retries', async () => {
    const first = await close(20);
    const { number, generation } = await probe();
    expect(number).toBe(first + 5);
    await test.claim(number, generation);
    const settled = await test.fail(number, { generation, attempt: 1 });
    expect(settled).toMatchObject({ status: 'retrying', attempts: 1, waits: true, admitted: [] });
    expect(await test.stored(number)).toMatchObject({
      status: 'retrying',
      attempts: 1,
      retryBase: 1,
      jobBase: 1,
      generation: generation + 1,
    });
    expect(await test.redis.client.lindex(test.shard.key(`q:${ENDPOINT}`), -1)).toBe(String(number));
    expect(await test.lane()).toMatchObject({ po: '60000' });
    expect((await probe()).number).toBe(number + 1);
  });

  it('spares a probe also when its policy has no retry left', async () => {
    await close(20);
    const { number, generation } = await probe();
    expect(await test.settle(number, { ...dead, generation })).toMatchObject({
      status: 'retrying',
      waits: true,
    });
  });

  it('probes after 30 s, doubling to 10 min, a quarter more or less', async () => {
    await close(40);
    const pauses = [];
    for (let i = 0; i < 7; i++) {
      const { number, generation } = await probe();
      await test.fail(number, { generation, random: i % 2 });
      const { pa } = await test.lane();
      pauses.push(Math.round((Number(pa) - Date.now()) / 1000));
    }
    expect(pauses).toEqual([45, 150, 180, 600, 450, 750, 450]);
  });

  it('opens with a small window when a probe succeeds', async () => {
    await close(40);
    const { number, generation } = await probe();
    await test.claim(number, generation);
    const { admitted } = await test.succeed(number, { generation });
    expect(admitted.length).toBeGreaterThanOrEqual(2);
    expect(admitted.length).toBeLessThanOrEqual(3);
    const lane = await test.lane();
    expect(lane).not.toHaveProperty('cl');
    expect(lane).not.toHaveProperty('fs');
    const told = await test.outbox();
    expect(told.map(({ t }) => t)).toEqual(['lane.closed', 'lane.opened', 'endpoint.recovered']);
    expect(told[1]).toMatchObject({ since: expect.any(Number), by: 'success' });
    expect(told[2]).toMatchObject({ since: expect.any(Number) });
  });

  it('opens when an attempt of before succeeds late', async () => {
    const { number } = await test.publish(20);
    await failLongAgo();
    await test.setLane({ w: 10 });
    for (let i = 0; i < 5; i++) await test.fail(number + i);
    expect(await test.lane()).toHaveProperty('cl');
    await test.succeed(number + 5);
    expect(await test.lane()).not.toHaveProperty('cl');
  });

  it('opens when the receiver answers a probe, whatever it says', async () => {
    await close(20);
    const { number, generation } = await probe();
    const settled = await test.fail(number, { generation }, { sign: 'answer' });
    expect(settled).toMatchObject({ waits: false, status: 'retrying' });
    const lane = await test.lane();
    expect(lane).not.toHaveProperty('cl');
    expect(lane).toHaveProperty('fs');
    expect((await test.outbox()).map(({ t }) => t)).toEqual(['lane.closed', 'lane.opened']);
  });

  it('opens when its endpoint is changed or resumed', async () => {
    await close(20);
    await test.configure({ reopen: [ENDPOINT] });
    expect(await test.lane()).not.toHaveProperty('cl');
    expect((await test.pump()).admitted).toHaveLength(2);
    expect((await test.outbox()).at(-1)).toMatchObject({ t: 'lane.opened', by: 'change' });
  });

  it('opens when it becomes ordered, for then it has no breaker', async () => {
    await close(20);
    await test.configure({ lanes: { [ENDPOINT]: { or: 1 } } });
    expect(await test.lane()).not.toHaveProperty('cl');
    expect((await test.pump()).admitted).toHaveLength(1);
  });

  it.each(['skipped', 'dead'] as const)(
    'probes with another one at once when nothing was posted: %s',
    async (status) => {
      await close(8);
      const { number, generation } = await probe();
      await test.claim(number, generation);
      const ends = { status, reason: 'filtered', statusCode: 0, attemptRecord: undefined } as const;
      const { admitted } = await test.settle(number, { ...ends, generation });
      expect(numbersOf(admitted)).toEqual([number + 1]);
      expect(await test.lane()).toMatchObject({ pr: String(number + 1), n: '1' });
    },
  );

  it('probes with another one when the probe is cancelled', async () => {
    await close(20);
    const { number } = await probe();
    await cancelDelivery(test.shard, number, APP, 'cancelled_by_request', RETENTION);
    expect((await test.pump()).admitted).toMatchObject([{ number: number + 1 }]);
  });
});

const dead = {
  status: 'dead',
  reason: 'retries_exhausted',
  statusCode: 0,
  receiver: { sign: 'failure', durationMs: 1, holdMs: 0 },
} as const;

describe('an endpoint that only fails', () => {
  it('is to be disabled after so long', async () => {
    const { number } = await test.publish(3);
    await test.setLane({ fs: Date.now() - 1000 });
    expect(await test.fail(number, { disableAfterMs: 2000 })).toMatchObject({ disable: false });
    expect(await test.fail(number + 1, { disableAfterMs: 500 }, { sign: 'answer' })).toMatchObject({
      disable: true,
    });
    expect(await test.succeed(number + 2, { disableAfterMs: 500 })).toMatchObject({ disable: false });
  });

  it('tells of deliveries that are dead', async () => {
    const { number } = await test.publish();
    await test.settle(number, dead);
    expect(await test.outbox()).toMatchObject([{ t: 'delivery.dead', a: APP, e: ENDPOINT, d: number, n: 1 }]);
  });
});

describe('what a held lane holds for too long', () => {
  const age = (lane: number | string = ENDPOINT) => test.setLane({ xa: 1, z: 1 }, lane);

  it('expires, oldest first, in stretches, told once for each', async () => {
    const { number } = await test.publish(
      2500,
      {},
      { createdAt: Date.now() - DAY_MS, dueAt: Date.now() - DAY_MS },
    );
    await test.configure({ lanes: { [ENDPOINT]: { ps: 1 } } });
    await test.setLane({ ps: Date.now() - DAY_MS });
    await test.publish(3, {}, { createdAt: Date.now(), dueAt: Date.now() });
    await age();
    const maxAgeMs = 3_600_000;
    let rounds = 0;
    for (; rounds < 10; rounds++) {
      const { wakeInMs } = await test.pump({ maxAgeMs });
      if (wakeInMs! > 0) break;
    }
    expect(rounds).toBe(2); // 1000 each, and the third round ends it
    expect(await test.stored(number + 4)).toMatchObject({ status: 'dead', reason: 'expired' });
    expect(await test.lane()).toMatchObject({ q: '3', n: '4' });
    const told = await test.outbox();
    expect(told.map(({ count }) => count)).toEqual([1000, 1000, 496]);
    expect(told[0]).toMatchObject({ t: 'deliveries.expired', a: APP, e: ENDPOINT });
    expect(Number((await test.lane()).xa)).toBeGreaterThan(Date.now() + maxAgeMs - 5000);
  });

  it('counts from when it came, or was due, if the lane was held before', async () => {
    await test.configure({ lanes: { [ENDPOINT]: { off: 1 } } });
    await test.setLane({ off: Date.now() - 7 * DAY_MS });
    const { number } = await test.publish(1, {}, { createdAt: Date.now(), dueAt: Date.now() });
    await age();
    await test.pump();
    expect(await test.stored(number)).toMatchObject({ status: 'pending' });
    expect(Number((await test.lane()).xa)).toBeGreaterThan(Date.now() + 2 * DAY_MS);
  });

  it('leaves a closed lane closed, and its lists empty', async () => {
    const first = await close(20);
    for (let i = 0; i < 5; i++) {
      await cancelDelivery(test.shard, first + i, APP, 'cancelled_by_request', RETENTION);
    }
    await test.setLane({ cl: 1 });
    await age();
    await test.pump();
    expect(await test.lane()).toHaveProperty('cl'); // it still does not work
    expect(await test.lane()).not.toHaveProperty('q');
    expect(await test.redis.client.exists(test.shard.key(`q:${ENDPOINT}`))).toBe(0);
  });
});

describe("the lane of a webhook_url's origin", () => {
  const NAME = `${APP}.${ORIGIN}`;
  const publish = (count = 1) => test.publish(count, { lane: ORIGIN }, { endpoint: 0 });

  it('has a window of its own, and vanishes when it is idle', async () => {
    const { number } = await publish(6);
    expect(await test.lane(NAME)).toMatchObject({ n: '4', q: '2' });
    const other = await test.publish(1, { lane: 'ba9876543210' }, { endpoint: 0 });
    expect(other.result).toMatchObject({ admitted: [true] });
    for (let i = 0; i < 6; i++) {
      await test.claim(number + i);
      await test.succeed(number + i);
    }
    await test.succeed(other.number);
    expect(await test.laneKeys()).toEqual([]);
  });

  it('closes, and is forgotten an hour after its last delivery', async () => {
    const { number } = await publish(5);
    await failLongAgo(NAME);
    for (let i = 0; i < 5; i++) await test.settle(number + i, dead);
    expect(await test.lane(NAME)).toHaveProperty('cl');
    expect((await test.outbox()).find(({ t }) => t === 'lane.closed')).toMatchObject({ e: 0 });
    await test.setLane({ z: 1 }, NAME);
    await test.pump();
    expect(await test.laneKeys()).toEqual([]);
  });

  it('is forgotten when it had asked to be left alone, too', async () => {
    const { number } = await publish(2);
    await test.settle(number, { ...dead, receiver: { sign: 'overload', durationMs: 1, holdMs: 200 } });
    await test.succeed(number + 1);
    expect(await test.lane(NAME)).toMatchObject({ nb: expect.any(String) });
    await expect
      .poll(async () => {
        await test.pump();
        return test.laneKeys();
      })
      .toEqual([]);
  });
});
