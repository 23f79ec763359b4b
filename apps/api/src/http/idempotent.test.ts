import { Keyring } from '@sealpost/core';
import { Shards } from '@sealpost/queue';
import { startTestRedis, type TestRedis } from '@sealpost/queue/testing';
import { Configs, ensureApp, Idempotency, moveApp } from '@sealpost/store';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { runOnce } from './idempotent.ts';
import type { Answer } from './route.ts';

const keyring = Keyring.fromMasterKeys(Buffer.alloc(32, 1));
const idempotency = new Idempotency(keyring);
const request = { app: 'shop', route: 'POST /x', key: 'k1', body: '{}' };

let redis: TestRedis;
let shards: Shards;
let configs: Configs;

beforeAll(async () => {
  redis = await startTestRedis();
  shards = new Shards(redis.client);
});
afterAll(() => redis.stop());
beforeEach(async () => {
  await redis.client.flushall();
  configs = new Configs({ shards, keyring, shardsForNewApps: 1 });
  await ensureApp(configs, keyring, 'shop', 1);
});

const move = () => moveApp({ shards, configs, now: Date.now, patienceMs: 0 }, 'shop', 1);
const answer = (json: string) => async (): Promise<Answer> => ({ status: 201, json });

it('a key that was used before its app was moved gives the answer of then', async () => {
  await runOnce({ configs, shards, idempotency }, request, answer('{"n":1}'));
  await move();
  const again = await runOnce({ configs, shards, idempotency }, request, answer('{"n":2}'));
  expect(again).toMatchObject({ json: '{"n":1}', headers: { 'idempotent-replayed': 'true' } });
});

it('a request that runs while its app is moved is in progress at its new home too, and answers there', async () => {
  const run = async (): Promise<Answer> => {
    await move();
    const other = runOnce({ configs, shards, idempotency }, request, answer('{"n":2}'));
    await expect(other).rejects.toMatchObject({ code: 'idempotency_in_progress' });
    return { status: 201, json: '{"n":1}' };
  };
  await runOnce({ configs, shards, idempotency }, request, run);
  const again = await runOnce({ configs, shards, idempotency }, request, answer('{"n":2}'));
  expect(again.json).toBe('{"n":1}');
});

it('a request that comes to the shard as its app leaves runs at the new home alone', async () => {
  const old = await configs.newest('shop');
  await move();
  // As one that had read the config just before.
  const reads = [old];
  const late = { newest: async (app: string) => reads.pop() ?? configs.newest(app) } as unknown as Configs;
  await runOnce({ configs: late, shards, idempotency }, request, answer('{"n":1}'));
  expect(await redis.client.keys('{sp:*}:i:*')).toEqual([expect.stringMatching(/^\{sp:1\}:/)]);
});
