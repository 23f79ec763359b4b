import { DIRECTORY } from '@sealpost/queue';
import { startTestRedis, type TestRedis } from '@sealpost/queue/testing';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { type ConfigApi, dump, startConfigApi } from '../../testing/config-api.ts';

let redis: TestRedis;
let api: ConfigApi;

beforeAll(async () => {
  redis = await startTestRedis();
  api = await startConfigApi(redis.client);
});
afterAll(async () => {
  await api.stop();
  await redis.stop();
});
beforeEach(async () => {
  await redis.client.flushall();
  await api.call('PUT', '/v1/apps/acme', {});
});

it('shows a key once, and stores only its hash, bound to its app', async () => {
  const { status, headers, body } = await api.call('POST', '/v1/apps/acme/keys', { name: 'ci' });
  expect(status).toBe(201);
  expect(headers.get('location')).toBe(`/v1/apps/acme/keys/${body.id}`);
  expect(headers.get('cache-control')).toBe('no-store');
  expect(body).toEqual({
    id: expect.stringMatching(/^key_/),
    name: 'ci',
    key: expect.stringMatching(/^sk_[\w-]{43}$/),
    created_at: expect.any(String),
  });
  const { key, ...listed } = body;
  const list = (await api.call('GET', '/v1/apps/acme/keys')).body;
  expect(list).toEqual({ data: [listed], pagination: { page: 1, limit: 20, total: 1 } });
  expect((await api.call('GET', `/v1/apps/acme/keys/${body.id}`)).body).toEqual(listed);
  const hash = api.keyring.hashApiKey(key);
  expect((await api.configs.newest('acme')).keys.has(hash)).toBe(true);
  expect(await redis.client.hget(DIRECTORY.keys, hash)).toBe('acme');
  expect(await dump(redis.client)).not.toContain(key.slice(3));
});

it('takes no body as no name', async () => {
  const { status, body } = await api.call('POST', '/v1/apps/acme/keys');
  expect([status, body.name]).toEqual([201, null]);
});

it('revokes a key at once', async () => {
  const { body } = await api.call('POST', '/v1/apps/acme/keys', {});
  const kept = (await api.call('POST', '/v1/apps/acme/keys', {})).body;
  expect((await api.call('DELETE', `/v1/apps/acme/keys/${body.id}`)).status).toBe(204);
  const list = (await api.call('GET', '/v1/apps/acme/keys')).body;
  expect(list.data.map(({ id }: { id: string }) => id)).toEqual([kept.id]);
  expect(await redis.client.hkeys(DIRECTORY.keys)).toEqual([api.keyring.hashApiKey(kept.key)]);
  expect((await api.call('DELETE', `/v1/apps/acme/keys/${body.id}`)).body.code).toBe('key_not_found');
});

it('knows no key of another app', async () => {
  await api.call('PUT', '/v1/apps/other', {});
  const { body } = await api.call('POST', '/v1/apps/acme/keys', {});
  for (const method of ['GET', 'DELETE']) {
    expect((await api.call(method, `/v1/apps/other/keys/${body.id}`)).body.code).toBe('key_not_found');
  }
  expect((await api.call('POST', '/v1/apps/nobody/keys', {})).body.code).toBe('app_not_found');
  expect(await redis.client.hlen(DIRECTORY.keys)).toBe(1);
});

it('refuses a key whose record somebody put into Redis', async () => {
  const { body } = await api.call('POST', '/v1/apps/acme/keys', {});
  const config = await api.configs.newest('acme');
  const key = api.shards.get(config.shard).key(`cfg:${config.number}`);
  const stored = (await redis.client.hget(key, `k:${api.keyring.hashApiKey(body.key)}`))!;
  await redis.client.hset(key, `k:${api.keyring.hashApiKey('sk_mine')}`, stored, 'v', config.version + 1);
  expect((await api.call('GET', '/v1/apps/acme/keys')).body.code).toBe('config_invalid');
});
