import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { Keyring } from '@sealpost/core';
import type { Cluster } from 'ioredis';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { TestCluster } from '../test-cluster.ts';
import { RETENTION, record } from '../test-shard.ts';
import { startTestRedis } from '../testing.ts';
import { accept } from './accept.ts';
import { Barrier } from './barrier.ts';
import { checkDurability, checkServer } from './check-server.ts';
import { connect, isUnavailable, type RedisClient, whenReady } from './connection.ts';
import { type Admitted, enqueue } from './jobs.ts';
import { lookAtRedis } from './look.ts';
import { type Shard, Shards } from './shard.ts';
import { WriteProbe } from './write-probe.ts';

const keyring = Keyring.fromMasterKeys(randomBytes(32));
const APP = 1;
const AT = 1_700_000_000_000;
let cluster: TestCluster;
let client: RedisClient;
let shards: Shards;

beforeAll(async () => {
  cluster = await TestCluster.start({ appendonly: 'no', 'cluster-require-full-coverage': 'no' });
  client = await cluster.connect();
  shards = new Shards(client);
});

afterAll(() => cluster.stop());

const acceptOne = (shard: Shard, number: number) =>
  accept(shard, {
    app: APP,
    configVersion: 1,
    number,
    record: JSON.stringify({ a: 'app', n: APP, t: 'a.b', at: AT, k: 1 }),
    body: '{}',
    deliveries: [record({ event: number })],
    retention: RETENTION,
  });

/** A shard with an app, and enough of keys to be torn. */
async function filled(number: number): Promise<Shard> {
  const shard = shards.get(number);
  await client.hset(shard.key(`cfg:${APP}`), 'v', 1, 'app', '-', 'ep_x', '-');
  for (let i = 0; i < 6; i++) await acceptOne(shard, i * 1000);
  await enqueue(shard.queue, [job(number, 0)]);
  return shard;
}

const job = (shard: number, number: number): Admitted => {
  return { shard, number, generation: 1, app: 'a', eventType: 't', eventId: 'e', endpoint: null };
};

const failureOf = (promise: Promise<unknown>) =>
  promise.then(
    () => undefined,
    (error: Error) => error,
  );

it('while a shard moves to another master, scripts run on all of it or not at all, and say that they may be sent again', async () => {
  const shard = await filled(1);
  const keysOf = async () => {
    const slot = shard.slot;
    const masters = cluster.nodes.slice(0, 3);
    const counts = await Promise.all(masters.map((node) => node.client.cluster('COUNTKEYSINSLOT', slot)));
    return counts.reduce<number>((sum, count) => sum + Number(count), 0);
  };
  const before = await keysOf();
  let failed: (Error | undefined)[] = [];
  let torn = -1;
  await cluster.moveShard(1, async () => {
    failed = await Promise.all([
      failureOf(acceptOne(shard, 50_000)),
      failureOf(shard.run('pump', ['w', 50, 10_000, 1e9, 200, 200, 0, 1e9, 1e9, Date.now()])),
      failureOf(shard.probe()),
      failureOf(enqueue(shard.queue, [job(1, 1)])),
    ]);
    torn = await keysOf();
  });
  expect(failed.map(isUnavailable)).toEqual([true, true, true, true]);
  expect(torn).toBe(before);
  expect(await keysOf()).toBe(before);
  expect(await acceptOne(shard, 50_000)).toMatchObject({ result: 'accepted' });
});

it('what is confirmed is with a replica of the master that has it now, wherever it was accepted', async () => {
  const shard = await filled(2);
  const barrier = new Barrier(await cluster.connect(), 'wait');
  const events = [1000, 2000].map((number) => ({ number, createdAt: AT }));
  expect(await barrier.confirm(shard, events)).toBe('held');
  await cluster.moveShard(2); // unseen by the barrier's connection
  expect(await barrier.confirm(shard, events)).toBe('held');
  await cluster.moveShard(2);
  await client.hdel(shard.key('e:7'), '104'); // event 1000, as by a replica that took over without it
  expect(await barrier.confirm(shard, events)).toEqual({ missing: new Set([1000]) });
  const other = { number: 2000, createdAt: AT + 1 }; // a number given out anew
  expect(await barrier.confirm(shard, [other])).toEqual({ missing: new Set([2000]) });
});

it('a connection that has ended stays so, whenever its nodes have: what is sent over it fails', async () => {
  const worker = connect(cluster.urls, 'blocking', () => {}) as Cluster;
  await whenReady(worker, 10_000);
  for (const number of [0, 1, 2, 5]) await new Shards(worker).get(number).probe();
  const nodes = worker.nodes();
  expect(nodes.length).toBeGreaterThan(1);
  const all = Promise.all([worker, ...nodes].map((one) => once(one, 'end')));
  worker.disconnect();
  await all;
  await new Promise(setImmediate);
  expect(await failureOf(worker.get('sp:probe'))).toBeInstanceOf(Error);
});

it('a password in the URL of one node is for those that it tells of too', async () => {
  for (const { client: node } of cluster.nodes) {
    await node.config('SET', 'masterauth', 'a secret');
    await node.config('SET', 'requirepass', 'a secret');
  }
  try {
    const [one] = cluster.urls;
    const url = one!.replace('redis://', 'redis://:a%20secret@');
    const authenticated = await cluster.connect([url, url]);
    for (const number of [0, 1, 2, 5]) await new Shards(authenticated).get(number).probe();
  } finally {
    for (const { client: node } of cluster.nodes) await node.config('SET', 'requirepass', '');
  }
});

it('one node alone is refused as REDIS_URL, and so are several servers that are no cluster', async () => {
  const single = connect([cluster.urls[0]!], 'request', () => {});
  await whenReady(single, 10_000);
  await expect(checkServer(single, { keyring })).rejects.toThrow(/is a node of a Redis Cluster/);
  single.disconnect();
  const alone = await startTestRedis();
  const several = connect([alone.url, alone.url], 'request', () => {});
  await expect(whenReady(several, 1000)).rejects.toThrow(/cluster support disabled/);
  several.disconnect();
  await alone.stop();
});

it('with one master away and nobody to replace it, the others are served, and checked at a start', async () => {
  await filled(0);
  await filled(3);
  expect((await checkDurability(client, 'replica')).warnings).toEqual([]);
  const gone = await cluster.masterOf(3);
  for (const node of cluster.nodes.slice(3)) await node.process.kill('SIGKILL');
  await gone.process.kill('SIGKILL');
  const living = cluster.nodes.slice(0, 3).find((node) => node !== gone)!;
  await vi.waitFor(
    async () => expect(String(await living.client.cluster('NODES'))).toMatch(new RegExp(`${gone.id} .*fail`)),
    60_000,
  );
  const later = await cluster.connect();
  const warnings = await checkServer(later, { keyring });
  expect(warnings).toContainEqual(expect.stringContaining(`${gone.port} does not answer`));
  const probe = new WriteProbe(later);
  expect(await probe.trouble()).toBeUndefined();
  expect(await acceptOne(new Shards(later).get(0), 60_000)).toMatchObject({ result: 'accepted' });
  await client.sadd('sp:shards', '0', '3');
  expect(await lookAtRedis(new Shards(later))).toMatchObject({
    memoryBytes: expect.any(Number),
    open: { pending: expect.any(Number) },
  });
  const failure = await failureOf(acceptOne(new Shards(later).get(3), 60_000));
  expect(isUnavailable(failure)).toBe(true);
  expect(await probe.trouble()).toBeUndefined(); // by now the write to the dead one has failed as well
});
