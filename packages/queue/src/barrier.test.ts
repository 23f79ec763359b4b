import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { startTestRedis, type TestRedis } from '../testing.ts';
import { Barrier } from './barrier.ts';
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

const blocked = () =>
  vi.waitFor(async () => expect(await redis.client.info('clients')).toContain('blocked_clients:1'), 5000);

it('when Redis goes away while it is waited for, it is as when Redis is away', async () => {
  const client = connect([redis.url], 'request', () => {});
  await whenReady(client, 5000);
  const barrier = new Barrier(client, KIND);
  const confirming = barrier
    .confirm(shards.get(0), [{ number: 0, createdAt: 0 }])
    .then(String, (error) => error);
  await blocked();
  // As a master that dies: the script was answered, WAIT was not.
  await redis.client.call('CLIENT', 'KILL', 'ID', String(await waitingClient()));
  expect(isUnavailable(await confirming)).toBe(true);
  barrier.close();
});

async function waitingClient(): Promise<number> {
  const list = String(await redis.client.call('CLIENT', 'LIST'));
  const line = list.split('\n').find((text) => text.includes('cmd=wait'));
  return Number(/\bid=(\d+)/.exec(line ?? '')?.[1]);
}
