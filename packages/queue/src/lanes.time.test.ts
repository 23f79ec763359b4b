import { setTimeout as delay } from 'node:timers/promises';
import { formatId } from '@sealpost/core';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { APP, ENDPOINT, numbersOf, RETENTION, TestShard } from '../test-shard.ts';
import { cancelDelivery, retryDelivery } from './by-hand.ts';
import { giveBackToken } from './claim.ts';
import { cancelDeleted } from './keep-house.ts';
import type { Turn } from './turn.ts';

const HOUR_MS = 3_600_000;
const NIGHT = '22-8 Europe/Berlin';

let test: TestShard;

beforeAll(async () => {
  test = await TestShard.start();
});
afterAll(() => test.stop());
beforeEach(() => test.reset());

/** Pumps until `done`, whenever a lane is to be woken. Returns when each delivery was admitted, by Redis' clock. */
async function pumpUntil(done: (numbers: number[]) => boolean): Promise<number[]> {
  const numbers: number[] = [];
  while (!done(numbers)) {
    const { admitted, wakeInMs } = await test.pump();
    numbers.push(...numbersOf(admitted));
    await delay(Math.min(wakeInMs ?? 5, 50));
  }
  return numbers;
}

describe('a rate limit', () => {
  /** Delivers all `numbers` as they are admitted; returns when the receiver had them. */
  async function deliverAll(count: number): Promise<number[]> {
    const starts: number[] = [];
    const { number, result } = await test.publish(count);
    const ready =
      result.result === 'accepted' ? result.admitted.flatMap((a, i) => (a ? [[number + i, 1]] : [])) : [];
    while (starts.length < count) {
      const next = ready.shift();
      if (next) {
        const [n, generation] = next as [number, number];
        const claimed = await test.claim(n, generation);
        const turns: Turn[] = 'admitted' in claimed ? [claimed] : [];
        if (claimed.result === 'run') {
          starts.push(await redisTime());
          turns.push(await test.succeed(n, { generation }));
        }
        ready.push(...turns.flatMap(({ admitted }) => admitted.map((a) => [a.number, a.generation])));
      } else {
        const { admitted, wakeInMs } = await test.pump();
        ready.push(...admitted.map((a) => [a.number, a.generation]));
        if (admitted.length === 0) await delay(Math.min(wakeInMs ?? 5, 20));
      }
    }
    return starts;
  }

  async function redisTime(): Promise<number> {
    const [seconds, micros] = (await test.redis.client.time()) as unknown as [string, string];
    return Number(seconds) * 1000 + Number(micros) / 1000;
  }

  it('is never exceeded in any period, and yet used', async () => {
    await test.configure({ lanes: { [ENDPOINT]: { rl: 20, rp: 500 } } });
    const starts = await deliverAll(60);
    for (let i = 20; i < starts.length; i++) expect(starts[i]! - starts[i - 20]!).toBeGreaterThanOrEqual(500);
    // 40 beyond the first period's at 40 a second.
    const took = starts.at(-1)! - starts[0]!;
    expect(took).toBeGreaterThan(1000);
    expect(took).toBeLessThan(5000); // and no more is said of a machine that is busy
  });

  it('is spread evenly when it allows one a second or more', async () => {
    await test.configure({ lanes: { [ENDPOINT]: { rl: 10, rp: 500 } } });
    const starts = await deliverAll(12);
    // One every 50 ms; two may come early.
    for (let i = 4; i < starts.length; i++) expect(starts[i]! - starts[i - 4]!).toBeGreaterThan(80);
  });

  it('may be used up at once when it is slower', async () => {
    await test.configure({ lanes: { [ENDPOINT]: { rl: 3, rp: HOUR_MS } } });
    const { number, result } = await test.publish(4);
    expect(result).toMatchObject({ admitted: [true, true, true, false] });
    const results = [];
    for (let i = 0; i < 3; i++) results.push((await test.claim(number + i)).result);
    expect(results).toEqual(['run', 'run', 'run']);
    const { wakeInMs } = await test.pump();
    expect(wakeInMs).toBeGreaterThan(HOUR_MS - 5000);
    expect(wakeInMs).toBeLessThan(HOUR_MS + 2000);
    expect(await test.redis.client.zcard(test.shard.key(`tok:${ENDPOINT}`))).toBe(3);
  });

  it('skips what is over it, if it is to', async () => {
    await test.configure({ lanes: { [ENDPOINT]: { rl: 2, rp: HOUR_MS, rs: 1 } } });
    const { number } = await test.publish(4);
    const results = [];
    for (let i = 0; i < 4; i++) results.push((await test.claim(number + i)).result);
    expect(results).toEqual(['run', 'run', 'skipped', 'skipped']);
    expect(await test.stored(number + 3)).toMatchObject({ status: 'skipped', reason: 'rate_limited' });
    expect(await test.lane()).toMatchObject({ n: '2' });
    expect(await test.flow()).toMatchObject({ in: 0 });
  });

  it.each(['skipped', 'dead'] as const)('has its token back when nothing was posted: %s', async (status) => {
    await test.configure({ lanes: { [ENDPOINT]: { rl: 1, rp: HOUR_MS } } });
    const { number } = await test.publish();
    expect(await test.claim(number)).toMatchObject({ result: 'run' });
    const ends = { status, reason: 'filter_failed', statusCode: 0, attemptRecord: '{"t":1}' } as const;
    expect(await test.settle(number, ends)).toMatchObject({ status, changed: true });
    expect(await test.settle(number, ends)).toMatchObject({ status, changed: true });
    expect(await test.settle(number, { ...ends, attemptRecord: '{"t":2}' })).toMatchObject({
      changed: false,
    });
    const next = await test.publish();
    expect(await test.claim(next.number)).toMatchObject({ result: 'run' });
  });

  it.each(['hold', 'skip'])(
    'has its token back when what was claimed is claimed again later: %s',
    async (over) => {
      await test.configure({
        lanes: { [ENDPOINT]: { rl: 1, rp: HOUR_MS, ...(over === 'skip' && { rs: 1 }) } },
      });
      const { number } = await test.publish();
      for (let i = 0; i < 3; i++) {
        expect(await test.claim(number)).toMatchObject({ result: 'run' });
        await giveBackToken(test.shard, ENDPOINT, number, 1);
      }
      expect(await test.claim(number)).toMatchObject({ result: 'run' });
    },
  );

  it('is not slowed down by what is skipped', async () => {
    await test.configure({ lanes: { [ENDPOINT]: { rl: 2, rp: 1000 } } });
    const ends = { status: 'skipped', reason: 'filtered', statusCode: 0, attemptRecord: undefined } as const;
    for (let i = 0; i < 20; i++) {
      const { number, result } = await test.publish();
      expect(result).toMatchObject({ admitted: [true] });
      expect(await test.claim(number)).toMatchObject({ result: 'run' });
      await test.settle(number, ends);
    }
    expect(await test.flow()).toMatchObject({ in: 0 });
  });

  it('does not skip an attempt for its own token when its job is claimed again', async () => {
    await test.configure({ lanes: { [ENDPOINT]: { rl: 1, rp: HOUR_MS, rs: 1 } } });
    const { number } = await test.publish(1);
    await test.claim(number);
    expect(await test.claim(number)).toMatchObject({ result: 'busy' });
    expect(await test.stored(number)).toMatchObject({ status: 'pending' });
  });

  it('admits no more than there are tokens', async () => {
    await test.configure({ lanes: { [ENDPOINT]: { rl: 3, rp: HOUR_MS } } });
    const { number } = await test.publish(10);
    expect(await test.lane()).toMatchObject({ n: '3', q: '7', u: '3' });
    for (let i = 0; i < 3; i++) {
      await test.claim(number + i);
      await test.succeed(number + i);
    }
    expect(await test.pump()).toMatchObject({ admitted: [] });
    expect(await test.lane()).toMatchObject({ q: '7' });
  });

  it('does not skip what has been attempted: its retry comes when the limit lets it', async () => {
    await test.configure({ lanes: { [ENDPOINT]: { rl: 1, rp: HOUR_MS, rs: 1 } } });
    const { number } = await test.publish(1);
    await test.claim(number);
    await test.fail(number);
    const again = await test.claim(number, 1, 1);
    expect(again).toMatchObject({ result: 'busy' });
    const { status, dueAt } = await test.stored(number);
    expect(status).toBe('retrying');
    expect(dueAt - Date.now()).toBeGreaterThan(HOUR_MS - 60_000);
    expect(await test.lane()).not.toHaveProperty('n');
    expect(await test.flow()).toMatchObject({ in: 0 });
  });

  it('counts retries and attempts from Bull Board as well', async () => {
    await test.configure({ lanes: { [ENDPOINT]: { rl: 2, rp: HOUR_MS } } });
    const { number } = await test.publish(1);
    await test.claim(number);
    await test.fail(number);
    expect(await test.claim(number, 1, 1)).toMatchObject({ result: 'run' });
    await test.settle(number, { attempt: 2, status: 'dead', reason: 'retries_exhausted' });
    expect(await test.claim(number, 1, 2)).toMatchObject({ result: 'held' });
    expect(await test.stored(number)).toMatchObject({ status: 'retrying', attempts: 2 });
  });

  it('counts an attempt when it was answered, and twice when its worker died with it', async () => {
    await test.configure({ lanes: { [ENDPOINT]: { rl: 9, rp: HOUR_MS } } });
    const { number } = await test.publish(1);
    await test.claim(number);
    await test.claim(number);
    const key = test.shard.key(`tok:${ENDPOINT}`);
    const scores = async () =>
      (await test.redis.client.zrange(key, '0', '-1', 'WITHSCORES')).map(Number).filter(Boolean);
    expect(await scores()).toHaveLength(2);
    expect(Math.min(...(await scores()))).toBeGreaterThan(Date.now() + 500);
    await test.succeed(number);
    expect(await scores()).toHaveLength(2);
    expect(Math.min(...(await scores()))).toBeLessThanOrEqual(Date.now() + 5);
  });

  it('ends with its log', async () => {
    await test.configure({ lanes: { [ENDPOINT]: { rl: 2, rp: HOUR_MS } } });
    const { number } = await test.publish(3);
    for (let i = 0; i < 3; i++) await test.claim(number + i);
    await test.configure({ lanes: { [ENDPOINT]: {} } });
    expect((await test.pump()).admitted).toMatchObject([{ number: number + 2 }]);
    expect(await test.redis.client.exists(test.shard.key(`tok:${ENDPOINT}`))).toBe(0);
  });
});

describe('Retry-After', () => {
  it('holds the lane, retries included', async () => {
    const { number } = await test.publish(6);
    await test.fail(number, {}, { sign: 'overload', holdMs: 300 });
    expect((await test.pump()).admitted).toEqual([]);
    expect(await test.claim(number, 1, 1)).toMatchObject({ result: 'held', admitted: [] });
    for (let i = 1; i < 4; i++) expect(await test.claim(number + i)).toMatchObject({ result: 'held' });
    const { wakeInMs } = await test.pump();
    expect(wakeInMs).toBeGreaterThan(100);
    expect(wakeInMs).toBeLessThanOrEqual(300);
    // Returned ones come first.
    expect((await pumpUntil((numbers) => numbers.length > 0))[0]).toBe(number);
  });
});

describe('quiet hours', () => {
  it('hold, until their end', async () => {
    const now = Date.now();
    await test.configure({ lanes: { [ENDPOINT]: { qh: NIGHT, qf: now - 1000, qu: now + HOUR_MS } } });
    const { number, result } = await test.publish();
    expect(result).toMatchObject({ admitted: [false] });
    const { wakeInMs, admitted } = await test.pump();
    expect(admitted).toEqual([]);
    expect(wakeInMs).toBeGreaterThan(HOUR_MS - 5000);
    await test.setLane({ qu: now - 1, z: 1 });
    const { more } = await test.pump();
    expect(more).toBe(true); // its next period was looked up
    const lane = await test.lane();
    expect(Number(lane.qu)).toBeGreaterThan(Number(lane.qf));
    expect(Number(lane.qu)).toBeGreaterThan(now);
    expect(Number(lane.qu)).toBeLessThan(now + 49 * HOUR_MS);
    if (Number(lane.qf) > now) expect(numbersOf((await test.pump()).admitted)).toEqual([number]);
  });

  it('let everything pass before them', async () => {
    const now = Date.now();
    await test.configure({ lanes: { [ENDPOINT]: { qh: NIGHT, qf: now + HOUR_MS, qu: now + 2 * HOUR_MS } } });
    const { number, result } = await test.publish();
    expect(result).toMatchObject({ admitted: [true] });
    expect(await test.claim(number)).toMatchObject({ result: 'run' });
  });

  it('take back what was admitted before they began', async () => {
    const now = Date.now();
    await test.configure({ lanes: { [ENDPOINT]: { qh: NIGHT, qf: now + HOUR_MS, qu: now + 2 * HOUR_MS } } });
    const { number } = await test.publish();
    await test.setLane({ qf: now - 1 });
    expect(await test.claim(number)).toMatchObject({ result: 'held' });
    expect(await test.lane()).toMatchObject({ q: '1' });
  });

  it('skip what comes meanwhile, if they are to', async () => {
    const now = Date.now();
    await test.configure({ lanes: { [ENDPOINT]: { qh: NIGHT, qs: 1, qf: now - 1000, qu: now + HOUR_MS } } });
    const { number } = await test.publish();
    expect(await test.claim(number)).toMatchObject({ result: 'skipped', reason: 'quiet_hours' });
    expect(await test.stored(number)).toMatchObject({ status: 'skipped', reason: 'quiet_hours' });
  });

  it('let a retry that comes meanwhile wait for their end, if they are to skip', async () => {
    const now = Date.now();
    const { number } = await test.publish();
    await test.claim(number);
    await test.fail(number);
    await test.configure({ lanes: { [ENDPOINT]: { qh: NIGHT, qs: 1, qf: now - 1000, qu: now + HOUR_MS } } });
    expect(await test.claim(number, 1, 1)).toMatchObject({ result: 'busy' });
    expect(await test.stored(number)).toMatchObject({ status: 'retrying', dueAt: now + HOUR_MS });
  });

  it('that are not known hold until a worker has looked them up', async () => {
    const noon = new Date().getUTCHours() + 12;
    await test.configure({ lanes: { [ENDPOINT]: { qh: `${noon % 24}-${(noon + 1) % 24} UTC` } } });
    const { number, result } = await test.publish();
    expect(result).toMatchObject({ admitted: [false] });
    expect(await pumpUntil((numbers) => numbers.length > 0)).toEqual([number]);
  });

  it.each(['nonsense', '22-8 Mars/Base'])(
    'that nobody knows (%s) hold, and are asked for again',
    async (qh) => {
      await test.configure({ lanes: { [ENDPOINT]: { qh } } });
      await test.publish();
      expect(await test.pump()).toMatchObject({ more: false, admitted: [] });
      const { more, wakeInMs } = await test.pump();
      expect(more).toBe(false);
      expect(wakeInMs).toBeGreaterThan(500);
    },
  );

  it('ignore a period of other quiet hours', async () => {
    const now = Date.now();
    await test.configure({ lanes: { [ENDPOINT]: { qh: NIGHT, qf: now + HOUR_MS, qu: now + 2 * HOUR_MS } } });
    expect(await test.shard.run('quiet', [ENDPOINT, '1-2 UTC', 5, 6])).toBe(0);
    expect(await test.lane()).toMatchObject({ qf: String(now + HOUR_MS) });
  });
});

describe('deliver_at', () => {
  const at = (ms: number) => ({ createdAt: Date.now(), dueAt: Date.now() + ms });

  it('is waited for without being in the way of others', async () => {
    const { number, result } = await test.publish(1, {}, at(HOUR_MS));
    expect(result).toMatchObject({ admitted: [false] });
    expect(await test.lane()).toMatchObject({ sc: '1' });
    expect((await test.publish(1)).result).toMatchObject({ admitted: [true] });
    expect((await test.pump()).wakeInMs).toBeGreaterThan(HOUR_MS - 5000);
    expect(await test.isWatched(number)).toBe(false);
  });

  it('admits in order of the times, not before', async () => {
    const late = (await test.publish(1, {}, at(120))).number;
    const early = (await test.publish(1, {}, at(60))).number;
    expect((await test.pump()).admitted).toEqual([]);
    expect(await pumpUntil((numbers) => numbers.length > 1)).toEqual([early, late]);
    expect(Date.now()).toBeGreaterThanOrEqual((await test.stored(late)).dueAt);
    expect(await test.lane()).toEqual({ n: '2', ac: '2' });
  });

  it('that has passed is none', async () => {
    expect((await test.publish(1, {}, at(-1000))).result).toMatchObject({ admitted: [true] });
  });

  it('may be cancelled, and retried by hand at once', async () => {
    const { number } = await test.publish(1, {}, at(HOUR_MS));
    await cancelDelivery(test.shard, number, APP, 'cancelled_by_request', RETENTION);
    expect(await test.laneKeys()).toEqual([]);
    await retryDelivery(test.shard, number, APP);
    expect(await test.claim(number, 2)).toMatchObject({ result: 'run' });
  });

  it('comes in stretches when many have the same', async () => {
    await test.reset({ slots: 0 });
    await test.publish(2500, {}, at(HOUR_MS));
    const scheduled = test.shard.key(`s:${ENDPOINT}`);
    await test.redis.client.call('zunionstore', scheduled, '1', scheduled, 'WEIGHTS', '0');
    await test.setLane({ sd: 0, z: 1 });
    let pumps = 0;
    for (; (await test.lane()).sc !== undefined; pumps++) await test.pump({ slots: 1 });
    expect(pumps).toBe(3);
    expect(await test.lane()).toMatchObject({ q: '2499', n: '1' });
  });
});

describe('pause and disabling', () => {
  it('admit nothing, and go on where they stopped', async () => {
    const { number } = await test.publish(6);
    await test.configure({ lanes: { [ENDPOINT]: { ps: 1 } } });
    const since = (await test.lane()).ps;
    expect(Math.abs(Number(since) - Date.now())).toBeLessThan(5000);
    await delay(2);
    await test.configure({ lanes: { [ENDPOINT]: { ps: 1, mc: 7, off: 1 } } });
    expect(await test.lane()).toMatchObject({ ps: since, mc: '7' });
    for (let i = 0; i < 4; i++) expect(await test.claim(number + i)).toMatchObject({ result: 'held' });
    expect((await test.publish()).result).toMatchObject({ admitted: [false] });
    expect((await test.pump()).admitted).toEqual([]);
    expect(await test.flow()).toMatchObject({ in: 0 });

    await test.configure({ lanes: { [ENDPOINT]: { off: 1 } } });
    expect((await test.pump()).admitted).toEqual([]);
    await test.configure({ lanes: { [ENDPOINT]: {} } });
    expect(numbersOf((await test.pump()).admitted)).toEqual([number, number + 1, number + 2, number + 3]);
  });

  it('let an attempt under way end', async () => {
    const { number } = await test.publish();
    await test.claim(number);
    await test.configure({ lanes: { [ENDPOINT]: { ps: 1 } } });
    expect(await test.succeed(number)).toMatchObject({ status: 'delivered' });
    expect(Object.keys(await test.lane())).toEqual(['ps']);
    await test.configure({ lanes: { [ENDPOINT]: {} } });
    expect(await test.laneKeys()).toEqual([]);
  });

  it('hold a retry that comes due', async () => {
    const { number } = await test.publish();
    await test.fail(number);
    await test.configure({ lanes: { [ENDPOINT]: { off: 1 } } });
    expect(await test.claim(number, 1, 1)).toMatchObject({ result: 'held' });
    expect(await test.stored(number)).toMatchObject({ status: 'retrying', generation: 2, jobBase: 1 });
  });
});

describe('a deleted endpoint', () => {
  it('leaves no lane, whatever is under way', async () => {
    const { number } = await test.publish(8);
    await test.publish(1, {}, { createdAt: Date.now(), dueAt: Date.now() + HOUR_MS });
    await test.claim(number);
    await test.claim(number + 1);
    await test.detach(number + 1, 'stuck');
    await test.configure({
      del: [formatId('ep', 0, ENDPOINT)],
      end: [ENDPOINT],
      doom: { [ENDPOINT]: 'endpoint' },
    });
    while (await cancelDeleted(test.shard, RETENTION));
    expect(await test.fail(number)).toMatchObject({ status: 'cancelled' });
    expect(await test.succeed(number + 1)).toMatchObject({ status: 'delivered' });
    await test.pump();
    expect(await test.laneKeys()).toEqual([]);
    expect(await test.flow()).toMatchObject({ in: 0 });
  });

  it('gets no lane by an attempt that ends before its backlog is cancelled', async () => {
    const { number } = await test.publish(1);
    await test.claim(number);
    await test.configure({ del: [formatId('ep', 0, ENDPOINT)], end: [ENDPOINT] });
    await test.fail(number, {}, { holdMs: 1000 });
    expect(await test.laneKeys()).toEqual([]);
  });
});
