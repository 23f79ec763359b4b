import { Keyring } from '@sealpost/core';
import { Shards } from '@sealpost/queue';
import { startTestRedis, type TestRedis } from '@sealpost/queue/testing';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { Idempotency } from './idempotency.ts';

let redis: TestRedis;

beforeAll(async () => {
  redis = await startTestRedis();
});
afterAll(() => redis.stop());

const REQUEST = { app: 'default', owner: 1, route: 'POST /x', key: 'one', body: '{}' };

it('a request whose first step was sent twice, since its answer was lost, is not taken for another that runs', async () => {
  const idempotency = new Idempotency(Keyring.fromMasterKeys(Buffer.alloc(32, 1)));
  const shard = new Shards(redis.client).get(0);
  const set = redis.client.set.bind(redis.client) as (...args: unknown[]) => Promise<'OK'>;
  vi.spyOn(redis.client, 'set').mockImplementationOnce((...args: unknown[]) =>
    set(...args).then(() => set(...args)),
  );
  expect(await idempotency.begin(shard, REQUEST)).toEqual({ state: 'begun' });
  await expect(idempotency.begin(shard, REQUEST)).rejects.toMatchObject({ code: 'idempotency_in_progress' });
});
