import { DIRECTORY } from '@sealpost/queue';
import { startTestRedis, type TestRedis } from '@sealpost/queue/testing';
import { ensureApp } from '@sealpost/store';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type ConfigApi, startConfigApi } from '../../testing/config-api.ts';

const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';

let redis: TestRedis;
let api: ConfigApi;
let other: ConfigApi;
let clock = 0;

beforeAll(async () => {
  redis = await startTestRedis();
});
afterAll(() => redis.stop());
beforeEach(async () => {
  await redis.client.flushall();
  clock = Date.parse('2026-01-31T12:00:00Z');
  await Promise.all([api?.stop(), other?.stop()]);
  api = await startConfigApi(redis.client, { now: () => clock, shardsForNewApps: 3 });
  other = await startConfigApi(redis.client, { now: () => clock, shardsForNewApps: 3 });
});
afterAll(() => Promise.all([api.stop(), other.stop()]));

async function placeOf(app: string) {
  const [shard, number] = (await redis.client.hget(DIRECTORY.apps, app))!.split(':').map(Number);
  return api.shards.get(shard!).key(`cfg:${number}`);
}

describe('PUT /v1/apps/{app}', () => {
  it('creates with defaults, then replaces and keeps the time of creation', async () => {
    const created = await api.call('PUT', '/v1/apps/acme', {});
    expect(created.status).toBe(201);
    expect(created.headers.get('location')).toBe('/v1/apps/acme');
    const at = '2026-01-31T12:00:00.000Z';
    const defaults = {
      id: 'acme',
      name: null,
      wire_profile: 'standard',
      signing_secret: null,
      defaults: {},
      max_endpoints: null,
      disable_idle_endpoints: null,
      operational_events: false,
      metadata: {},
      created_at: at,
      updated_at: at,
    };
    expect(created.body).toEqual(defaults);
    clock += 1000;
    const settings = {
      name: 'Acme',
      wire_profile: 'raw',
      defaults: {
        retry: { max_retries: 7 },
        timeout_seconds: 5,
        rate_limit: { limit: 5, period_seconds: 60, over: 'skip' },
        quiet_hours: { start_hour: 22, end_hour: 8, timezone: 'Europe/Berlin', during: 'hold' },
      },
      max_endpoints: 3,
      disable_idle_endpoints: true,
      operational_events: true,
      metadata: { plan: 'big', constructor: 'x' },
    };
    const replaced = await api.call('PUT', '/v1/apps/acme', settings);
    expect(replaced.status).toBe(200);
    expect(replaced.body).toEqual({ ...defaults, ...settings, updated_at: '2026-01-31T12:00:01.000Z' });
    expect((await other.call('GET', '/v1/apps/acme')).body).toEqual(replaced.body);
    expect((await api.call('PUT', '/v1/apps/acme', {})).body.max_endpoints).toBeNull();
  });

  it('keeps the signing secret unless it is given, and never shows it', async () => {
    await api.call('PUT', '/v1/apps/acme', { signing_secret: SECRET });
    for (const body of [{}, { signing_secret: '[redacted]' }]) {
      expect((await api.call('PUT', '/v1/apps/acme', body)).body.signing_secret).toBe('[redacted]');
    }
    const removed = await api.call('PUT', '/v1/apps/acme', { signing_secret: null });
    expect(removed.body.signing_secret).toBeNull();
    const redacted = await api.call('PUT', '/v1/apps/acme', { signing_secret: '[redacted]' });
    expect(redacted.status).toBe(422);
    expect(redacted.body.errors[0].path).toBe('signing_secret');
  });

  it('refuses to remove a signing secret that endpoints depend on', async () => {
    await api.call('PUT', '/v1/apps/acme', { signing_secret: SECRET });
    const { body } = await api.call('POST', '/v1/apps/acme/endpoints', { url: 'https://example.com/' });
    expect((await api.call('PUT', '/v1/apps/acme', { signing_secret: null })).status).toBe(422);
    await api.call('DELETE', `/v1/apps/acme/endpoints/${body.id}`);
    expect((await api.call('PUT', '/v1/apps/acme', { signing_secret: null })).status).toBe(200);
  });

  it('refuses an id that is not one', async () => {
    for (const id of ['-a', 'a.b', 'a%20b', 'a'.repeat(65)]) {
      const { status, body } = await api.call('PUT', `/v1/apps/${id}`, {});
      expect([id, status, body.errors[0].path]).toEqual([id, 422, 'app']);
    }
  });

  it('makes one app of many at once, from several processes', async () => {
    const replies = await Promise.all(
      Array.from({ length: 20 }, (_, i) =>
        (i % 2 ? api : other).call('PUT', '/v1/apps/acme', { name: `n${i}` }),
      ),
    );
    expect(replies.filter(({ status }) => status === 201)).toHaveLength(1);
    expect(replies.filter(({ status }) => status === 200)).toHaveLength(19);
    const names = replies.map(({ body }) => body.name).sort();
    expect(names).toEqual(Array.from({ length: 20 }, (_, i) => `n${i}`).sort());
    expect((await api.call('GET', '/v1/apps')).body.pagination.total).toBe(1);
  });
});

describe('GET /v1/apps', () => {
  it('pages through all apps of all shards, newest first, with their number', async () => {
    for (let i = 0; i < 7; i++) {
      clock += 1000;
      await api.call('PUT', `/v1/apps/app${i}`, {});
    }
    await api.call('DELETE', '/v1/apps/app3');
    const ids = ['app6', 'app5', 'app4', 'app2', 'app1', 'app0'];
    const first = (await api.call('GET', '/v1/apps?limit=4')).body;
    expect(first.data.map(({ id }: { id: string }) => id)).toEqual(ids.slice(0, 4));
    expect(first.pagination).toEqual({ page: 1, limit: 4, total: 6, cursor: expect.any(String) });
    const second = (await other.call('GET', '/v1/apps?limit=4&page=2')).body;
    expect(second.data.map(({ id }: { id: string }) => id)).toEqual(ids.slice(4));
    const byCursor = (await other.call('GET', `/v1/apps?limit=4&cursor=${first.pagination.cursor}`)).body;
    expect(byCursor.data).toEqual(second.data);
  });

  it('leaves out an entry of the directory whose app is gone or was never made', async () => {
    await api.call('PUT', '/v1/apps/acme', {});
    await api.call('PUT', '/v1/apps/gone', {});
    await redis.client.hset(DIRECTORY.apps, 'unmade', '1:999');
    await api.configs.change('gone', () => ({ deleteApp: true }));
    const { body } = await other.call('GET', '/v1/apps');
    expect(body.data.map(({ id }: { id: string }) => id)).toEqual(['acme']);
    expect(body.pagination.total).toBe(1);
  });

  it('refuses a page past 10,000 entries', async () => {
    const { status, body } = await api.call('GET', '/v1/apps?page=101&limit=100');
    expect([status, body.code]).toEqual([400, 'page_too_deep']);
  });
});

describe('DELETE /v1/apps/{app}', () => {
  it('ends the app, its endpoints and its keys, and dooms its backlog', async () => {
    await api.call('PUT', '/v1/apps/acme', {});
    const { body } = await api.call('POST', '/v1/apps/acme/endpoints', { url: 'https://example.com/' });
    await api.call('POST', '/v1/apps/acme/keys', {});
    const config = await api.configs.newest('acme');
    expect((await api.call('DELETE', '/v1/apps/acme')).status).toBe(204);
    for (const path of ['', `/endpoints/${body.id}`, '/keys']) {
      expect((await other.call('GET', `/v1/apps/acme${path}`)).body.code).toBe('app_not_found');
    }
    expect((await api.call('DELETE', '/v1/apps/acme')).body.code).toBe('app_not_found');
    expect(await redis.client.hlen(DIRECTORY.keys)).toBe(0);
    expect(await redis.client.hlen(DIRECTORY.apps)).toBe(0);
    const doomed = await redis.client.hgetall(api.shards.get(config.shard).key('doomed'));
    expect(doomed).toEqual({ [config.number]: 'app:0' });
  });

  it('lets the name be used again, for an app with nothing of the former one', async () => {
    await api.call('PUT', '/v1/apps/acme', { name: 'old' });
    await api.call('POST', '/v1/apps/acme/endpoints', { url: 'https://example.com/' });
    const before = await other.configs.newest('acme');
    await api.call('DELETE', '/v1/apps/acme');
    expect((await other.call('PUT', '/v1/apps/acme', {})).status).toBe(201);
    expect((await api.call('GET', '/v1/apps/acme/endpoints')).body.pagination.total).toBe(0);
    expect((await api.configs.newest('acme')).number).not.toBe(before.number);
  });

  it('refuses the app default', async () => {
    await ensureApp(api.configs, api.keyring, 'default', clock);
    const { status, body } = await api.call('DELETE', '/v1/apps/default');
    expect([status, body.code]).toEqual([409, 'app_protected']);
    expect((await api.call('GET', '/v1/apps/default')).status).toBe(200);
  });
});

describe('ensureApp', () => {
  it('leaves an app that is there as it is', async () => {
    await api.call('PUT', '/v1/apps/default', { name: 'Mine' });
    const { version } = await api.configs.newest('default');
    await ensureApp(other.configs, other.keyring, 'default', clock);
    expect((await api.call('GET', '/v1/apps/default')).body.name).toBe('Mine');
    expect((await api.configs.newest('default')).version).toBe(version);
  });
});

describe('an app record changed in Redis', () => {
  it('is refused', async () => {
    await api.call('PUT', '/v1/apps/acme', { max_endpoints: 1 });
    const key = await placeOf('acme');
    const stored = (await redis.client.hget(key, 'app'))!;
    await redis.client.hset(key, 'app', stored.replace('"maxEndpoints":1', '"maxEndpoints":9'), 'v', 2);
    const { status, body } = await api.call('GET', '/v1/apps/acme');
    expect([status, body.code]).toEqual([503, 'config_invalid']);
  });

  it('is refused under another name', async () => {
    await api.call('PUT', '/v1/apps/acme', {});
    await api.call('PUT', '/v1/apps/victim', {});
    const stored = (await redis.client.hget(await placeOf('acme'), 'app'))!;
    await redis.client.hset(await placeOf('victim'), 'app', stored, 'v', 2);
    expect((await api.call('GET', '/v1/apps/victim')).body.code).toBe('config_invalid');
  });
});
