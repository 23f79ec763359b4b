import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { startTestRedis, type TestRedis } from '../testing.ts';
import { type AcceptedEvent, Barrier } from './barrier.ts';
import { connect, isUnavailable, whenReady } from './connection.ts';
import { Shards } from './shard.ts';

const KIND = 'wait';
let redis: TestRedis;
let shards: Shards;

beforeAll(async () => {
  redis = await startTestRedis();
  shards = new Shards(redis.client);
});

afterAll(() => redis.stop());

/** A connection as the API has one for it, and its id at Redis. */
async function connection() {
  const client = connect([redis.url], 'request', () => {});
  await whenReady(client, 20_000);
  return { client, id: Number(await client.call('CLIENT', 'ID')) };
}

const EVENT = { number: 0, createdAt: 0 };

it('when Redis goes away while it is waited for, it is as when Redis is away', async () => {
  const { client, id } = await connection();
  const barrier = new Barrier(client, KIND);
  let outcome: unknown = 'late';
  // It waits for 4 s: on a busy machine that can be over before anybody has looked.
  while (outcome === 'late') {
    let isOver = false;
    const confirming = barrier.confirm(shards.get(0), [EVENT]).then(String, (error) => error);
    void confirming.then(() => {
      isOver = true;
    });
    await vi.waitUntil(async () => isOver || (await isWaiting(id)), 60_000);
    // As a master that dies: the script was answered, WAIT was not.
    if (!isOver) await redis.client.call('CLIENT', 'KILL', 'ID', String(id));
    outcome = await confirming;
  }
  expect(isUnavailable(outcome)).toBe(true);
  barrier.close();
});

async function isWaiting(id: number): Promise<boolean> {
  return / cmd=wait /.test(String(await redis.client.call('CLIENT', 'LIST', 'ID', String(id))));
}

it('what is confirmed at once is waited for once, whatever its shard, and each is told of its own', async () => {
  const { client } = await connection();
  const barrier = new Barrier(client, KIND, 1);
  const waits = async () =>
    Number(/cmdstat_wait:calls=(\d+)/.exec(await redis.client.info('commandstats'))?.[1] ?? 0);
  const before = await waits();
  const all = (...events: AcceptedEvent[]) =>
    Promise.all([1, 2, 3].map((number) => barrier.confirm(shards.get(number), events)));
  await redis.client.hset(shards.get(2).key('e:0'), '5', '{"at":7}');
  const known = { number: 5, createdAt: 7 };
  const missing = { missing: new Set([5]) };
  expect(await all(known)).toEqual([missing, 'late', missing]); // there is no replica
  expect((await waits()) - before).toBe(1);
  // What comes meanwhile goes together in the next round.
  await redis.client.set('directory', '');
  const [first, second, third, entry] = await Promise.all([
    all(known),
    all(known),
    all(known, EVENT),
    barrier.confirmEntry('directory', 'app').catch((error: Error) => error.message),
  ]);
  expect([first, second]).toEqual([
    [missing, 'late', missing],
    [missing, 'late', missing],
  ]);
  expect(third[1]).toEqual({ missing: new Set([0]) });
  expect(entry).toContain('WRONGTYPE'); // and fails no other
  expect((await waits()) - before).toBeLessThanOrEqual(3);
  barrier.close();
});

it('with WAITAOF, what is confirmed is on the disk', async ({ skip }) => {
  const info = await redis.client.info('server');
  const [major, minor] = /redis_version:(\d+)\.(\d+)/.exec(info)!.slice(1).map(Number) as [number, number];
  if (major < 7 || (major === 7 && minor < 2)) skip(`Redis ${major}.${minor} has no WAITAOF, 7.2 has`);
  await redis.client.config('SET', 'appendonly', 'yes');
  const { client } = await connection();
  const barrier = new Barrier(client, 'waitaof');
  await redis.client.hset(shards.get(2).key('e:0'), '5', '{"at":7}');
  const confirm = (of: Barrier) =>
    Promise.all([1, 2].map((shard) => of.confirm(shards.get(shard), [{ number: 5, createdAt: 7 }])));
  await redis.client.config('SET', 'appendfsync', 'everysec');
  expect(await confirm(barrier)).toEqual([{ missing: new Set([5]) }, 'held']);
  await redis.client.config('SET', 'appendfsync', 'no');
  expect(await confirm(new Barrier(client, 'waitaof', 1))).toEqual([{ missing: new Set([5]) }, 'late']);
  barrier.close();
  await redis.client.config('SET', 'appendonly', 'no');
});
