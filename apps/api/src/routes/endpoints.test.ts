import { startTestRedis, type TestRedis } from '@sealpost/queue/testing';
import { openEndpoint } from '@sealpost/store';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type ConfigApi, dump, startConfigApi } from '../../testing/config-api.ts';

const URL = 'https://example.com/hook';
const ALL = '/v1/apps/acme/endpoints';
const LIMIT = { limit: 100, period_seconds: 1.5, over: 'skip' };
const NIGHT = { start_hour: 22, end_hour: 8, timezone: 'Europe/Berlin', during: 'hold' };

let redis: TestRedis;
let api: ConfigApi;
let other: ConfigApi;
const at = Date.parse('2026-01-31T12:00:00Z');
let clock = at;

beforeAll(async () => {
  redis = await startTestRedis();
  api = await startConfigApi(redis.client, { now: () => clock });
  other = await startConfigApi(redis.client, { now: () => clock });
});
afterAll(async () => {
  await Promise.all([api.stop(), other.stop()]);
  await redis.stop();
});
beforeEach(async () => {
  await redis.client.flushall();
  clock = at;
  await api.call('PUT', '/v1/apps/acme', {});
});

async function create(input: object = {}) {
  const { status, body } = await api.call('POST', ALL, { url: URL, ...input });
  expect(status).toBe(201);
  return body;
}

/** The stored headers, decrypted as the worker does it. */
async function storedHeaders(id: string) {
  const config = await other.configs.newest('acme');
  return openEndpoint(other.keyring, 'acme', config.endpoints.get(id)!).headers;
}

/** What its lane's hash holds. */
async function lane(id: string) {
  const config = await api.configs.newest('acme');
  const shard = api.shards.get(config.shard);
  return redis.client.hgetall(shard.key(`lane:${config.endpoints.get(id)!.number}`));
}

describe('POST', () => {
  it('answers with the whole endpoint, its secret and where it is', async () => {
    const { status, headers, body } = await api.call('POST', ALL, { url: URL });
    expect(status).toBe(201);
    expect(headers.get('location')).toBe(`${ALL}/${body.id}`);
    expect(headers.get('cache-control')).toBe('no-store');
    const { secret, ...endpoint } = body;
    expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
    expect(endpoint).toEqual({
      id: expect.stringMatching(/^ep_[0-9a-z]{12}$/),
      name: null,
      url: URL,
      description: '',
      event_types: [],
      environments: [],
      filter: null,
      transform: null,
      headers: {},
      wire_profile: 'standard',
      enabled: true,
      disabled_reason: null,
      paused: false,
      timeout_seconds: 30,
      retry: {
        strategy: 'exponential',
        base_seconds: 1,
        factor: 2,
        max_delay_seconds: 3600,
        max_retries: 3,
        jitter: 0,
        retry_on: 'non_2xx',
      },
      max_concurrency: 32,
      ordered: false,
      rate_limit: null,
      quiet_hours: null,
      metadata: {},
      created_at: '2026-01-31T12:00:00.000Z',
      updated_at: '2026-01-31T12:00:00.000Z',
    });
    expect((await other.call('GET', `${ALL}/${body.id}`)).body).toEqual(endpoint);
  });

  it("shows what counts: the endpoint's own settings over its app's, now and after the app has changed", async () => {
    const retry = { strategy: 'schedule', schedule_seconds: [1, 5], retry_on: 'transient' };
    await api.call('PUT', '/v1/apps/acme', { wire_profile: 'raw', defaults: { retry, timeout_seconds: 9 } });
    const { id, ...body } = await create({ retry: { max_retries: 1 } });
    expect(body).toMatchObject({
      wire_profile: 'raw',
      timeout_seconds: 9,
      retry: { ...retry, max_retries: 1 },
    });
    await api.call('PUT', '/v1/apps/acme', { defaults: { timeout_seconds: 4 } });
    const later = (await api.call('GET', `${ALL}/${id}`)).body;
    expect(later).toMatchObject({ wire_profile: 'standard', timeout_seconds: 4 });
    expect(later.retry).toMatchObject({ strategy: 'exponential', max_retries: 1 });
  });

  it('refuses a URL that may not be reached, a taken name and an unknown app', async () => {
    const local = await api.call('POST', ALL, { url: 'http://127.1/' });
    expect([local.status, local.body.errors[0].path]).toEqual([422, 'url']);
    await create({ name: 'a' });
    const taken = await api.call('POST', ALL, { url: URL, name: 'a' });
    expect([taken.status, taken.body.code]).toEqual([409, 'name_taken']);
    const nowhere = await api.call('POST', '/v1/apps/nobody/endpoints', { url: URL });
    expect([nowhere.status, nowhere.body.code]).toEqual([404, 'app_not_found']);
  });

  it('refuses redacted values, since nothing is stored', async () => {
    const { status, body } = await api.call('POST', ALL, { url: URL, headers: { 'x-key': '[redacted]' } });
    expect([status, body.errors[0].path]).toEqual([422, 'headers.x-key']);
    const secret = await api.call('POST', ALL, { url: URL, secret: '[redacted]' });
    expect([secret.status, secret.body.errors[0].path]).toEqual([422, 'secret']);
  });

  it('tells the lane what it must know, and nothing when all is as by default', async () => {
    const disabled = await create({ enabled: false });
    expect(disabled.enabled).toBe(false);
    expect(await lane(disabled.id)).toEqual({ off: expect.stringMatching(/^\d{13}$/) });
    expect(await lane((await create()).id)).toEqual({});
    const { id } = await create({ max_concurrency: 3, ordered: true, rate_limit: LIMIT });
    expect(await lane(id)).toEqual({ mc: '3', or: '1', rl: '100', rp: '1500', rs: '1' });
  });

  it('takes a limit and quiet hours from its app, unless it has its own, or none by null', async () => {
    const defaults = { rate_limit: LIMIT, quiet_hours: NIGHT };
    await api.call('PUT', '/v1/apps/acme', { defaults });
    const inheriting = await create();
    expect(inheriting).toMatchObject(defaults);
    expect(await lane(inheriting.id)).toMatchObject({ rl: '100', qh: '22-8 Europe/Berlin' });
    const none = await create({ rate_limit: null, quiet_hours: null });
    expect(none).toMatchObject({ rate_limit: null, quiet_hours: null });
    expect(await lane(none.id)).toEqual({});
    const own = await create({ rate_limit: { limit: 7, period_seconds: 60 } });
    expect(own.rate_limit).toEqual({ limit: 7, period_seconds: 60, over: 'hold' });
    expect(await lane(own.id)).toMatchObject({ rl: '7', rp: '60000', qh: '22-8 Europe/Berlin' });

    await api.call('PUT', '/v1/apps/acme', { defaults: { rate_limit: { limit: 9, period_seconds: 1 } } });
    const later = (await api.call('GET', `${ALL}/${inheriting.id}`)).body;
    expect([later.rate_limit.limit, later.quiet_hours]).toEqual([9, null]);
    expect(await lane(inheriting.id)).toEqual({ rl: '9', rp: '1000' });
    expect(await lane(none.id)).toEqual({});
    expect(await lane(own.id)).toEqual({ rl: '7', rp: '60000' });
  });
});

describe('GET', () => {
  it('lists newest first, page by page', async () => {
    const ids: string[] = [];
    for (let i = 0; i < 5; i++) ids.unshift((await create()).id);
    const first = (await api.call('GET', `${ALL}?limit=3`)).body;
    expect(first.data.map(({ id }: { id: string }) => id)).toEqual(ids.slice(0, 3));
    expect(first.pagination).toMatchObject({ page: 1, limit: 3, total: 5 });
    expect(first.data[0]).not.toHaveProperty('secret');
    const second = (await api.call('GET', `${ALL}?limit=3&cursor=${first.pagination.cursor}`)).body;
    expect(second.data.map(({ id }: { id: string }) => id)).toEqual(ids.slice(3));
  });

  it('knows no endpoint of another app, nor one that is none', async () => {
    await api.call('PUT', '/v1/apps/other', {});
    const { id } = await create();
    for (const path of [
      `other/endpoints/${id}`,
      'acme/endpoints/ep_000000000000',
      'acme/endpoints/__proto__',
    ]) {
      const { status, body } = await api.call('GET', `/v1/apps/${path}`);
      expect([path, status, body.code]).toEqual([path, 404, 'endpoint_not_found']);
    }
  });
});

describe('PATCH', () => {
  const full = {
    name: 'a',
    description: 'd',
    event_types: ['job.*'],
    environments: ['production'],
    headers: { 'X-Key': 'v' },
    wire_profile: 'raw',
    timeout_seconds: 3,
    retry: { max_retries: 9 },
    max_concurrency: 5,
    rate_limit: LIMIT,
    quiet_hours: NIGHT,
    metadata: { a: 1 },
  };

  it('changes what is given and nothing else', async () => {
    const { secret, ...before } = await create(full);
    clock += 1000;
    const { status, body } = await api.call('PATCH', `${ALL}/${before.id}`, { description: 'new' });
    expect(status).toBe(200);
    expect(body).toEqual({ ...before, description: 'new', updated_at: '2026-01-31T12:00:01.000Z' });
    expect((await api.call('GET', `${ALL}/${before.id}/secret`)).body.secret).toBe(secret);
    expect(await storedHeaders(before.id)).toEqual({ 'X-Key': 'v' });
  });

  it('puts fields back to their defaults by null', async () => {
    const plain = await create();
    const { id } = await create(full);
    const nulls = Object.fromEntries(Object.keys(full).map((field) => [field, null]));
    const { body } = await api.call('PATCH', `${ALL}/${id}`, nulls);
    const { secret: _, ...expected } = { ...plain, id };
    expect(body).toEqual(expected);
  });

  it('keeps stored header values that come redacted, in any case of the name, and takes new ones', async () => {
    const { id } = await create({ headers: { 'X-Key': 'one', 'X-Other': 'two', 'X-Gone': 'three' } });
    const headers = { 'x-key': '[redacted]', 'X-Other': '[redacted]', 'X-New': 'four' };
    const { body } = await api.call('PATCH', `${ALL}/${id}`, { headers });
    expect(body.headers).toEqual({ 'x-key': '[redacted]', 'X-Other': '[redacted]', 'X-New': '[redacted]' });
    expect(await storedHeaders(id)).toEqual({ 'x-key': 'one', 'X-Other': 'two', 'X-New': 'four' });
    const unknown = await api.call('PATCH', `${ALL}/${id}`, { headers: { 'X-Gone': '[redacted]' } });
    expect([unknown.status, unknown.body.errors[0].path]).toEqual([422, 'headers.X-Gone']);
    expect(await storedHeaders(id)).toHaveProperty('X-New');
  });

  it('keeps its own name, and takes no other endpoint’s', async () => {
    await create({ name: 'a' });
    const { id } = await create({ name: 'b' });
    expect((await api.call('PATCH', `${ALL}/${id}`, { name: 'b' })).status).toBe(200);
    expect((await api.call('PATCH', `${ALL}/${id}`, { name: 'a' })).body.code).toBe('name_taken');
  });

  it('stops the lane when disabled and lets it go on when enabled, but touches it for nothing else', async () => {
    const { id } = await create();
    await api.call('PATCH', `${ALL}/${id}`, { enabled: false });
    expect(Object.keys(await lane(id))).toEqual(['off']);
    await api.call('PATCH', `${ALL}/${id}`, { enabled: true });
    expect(await lane(id)).toEqual({});
    const { shard, endpoints } = await api.configs.newest('acme');
    const key = api.shards.get(shard).key(`lane:${endpoints.get(id)!.number}`);
    await redis.client.hset(key, 'mc', '17');
    await api.call('PATCH', `${ALL}/${id}`, { enabled: true, description: 'new' });
    expect(await lane(id)).toEqual({ mc: '17' });
  });

  it('keeps a limit and quiet hours that are left out, and PUT without them takes those of the app again', async () => {
    await api.call('PUT', '/v1/apps/acme', { defaults: { rate_limit: LIMIT } });
    const { id } = await create({ rate_limit: null, quiet_hours: NIGHT });
    const patched = await api.call('PATCH', `${ALL}/${id}`, { description: 'new' });
    expect(patched.body).toMatchObject({ rate_limit: null, quiet_hours: NIGHT });
    const changed = await api.call('PATCH', `${ALL}/${id}`, { quiet_hours: null, ordered: true });
    expect(changed.body).toMatchObject({ rate_limit: null, quiet_hours: null, ordered: true });
    const put = await api.call('PUT', `${ALL}/${id}`, { url: URL });
    expect(put.body).toMatchObject({ rate_limit: LIMIT, quiet_hours: null, ordered: false });
  });

  it('opens a closed lane when its URL changes, and not for anything else', async () => {
    const { id } = await create();
    const { shard, endpoints } = await api.configs.newest('acme');
    const key = api.shards.get(shard).key(`lane:${endpoints.get(id)!.number}`);
    await redis.client.hset(key, 'cl', '1', 'fs', '1');
    await api.call('PATCH', `${ALL}/${id}`, { description: 'new', max_concurrency: 3 });
    expect(await lane(id)).toMatchObject({ cl: '1' });
    await api.call('PATCH', `${ALL}/${id}`, { url: 'https://example.com/other' });
    expect(await lane(id)).not.toHaveProperty('cl');
  });

  it('forgets why Sealpost disabled it once it is enabled', async () => {
    const { id } = await create();
    await api.configs.change('acme', (config) => {
      const endpoint = { ...config.endpoints.get(id)!, enabled: false, disabledReason: 'gone' };
      return { endpoints: { [id]: endpoint } };
    });
    const patched = await api.call('PATCH', `${ALL}/${id}`, { description: 'new' });
    expect(patched.body).toMatchObject({ enabled: false, disabled_reason: 'gone' });
    const enabled = await api.call('PATCH', `${ALL}/${id}`, { enabled: true });
    expect(enabled.body).toMatchObject({ enabled: true, disabled_reason: null });
  });
});

describe('PUT', () => {
  it('resets what is left out, but keeps the secret and redacted header values', async () => {
    const { id, secret } = await create({
      name: 'a',
      description: 'd',
      event_types: ['a.b'],
      headers: { 'x-key': 'v', 'x-gone': 'w' },
      timeout_seconds: 3,
      retry: { max_retries: 9 },
      metadata: { a: 1 },
    });
    const put = { url: 'https://example.com/new', headers: { 'x-key': '[redacted]' } };
    const { status, body } = await api.call('PUT', `${ALL}/${id}`, put);
    expect(status).toBe(200);
    expect(body).toMatchObject({
      name: null,
      description: '',
      event_types: [],
      timeout_seconds: 30,
      metadata: {},
    });
    expect(body.url).toBe(put.url);
    expect(body.retry.max_retries).toBe(3);
    expect(await storedHeaders(id)).toEqual({ 'x-key': 'v' });
    expect((await api.call('GET', `${ALL}/${id}/secret`)).body.secret).toBe(secret);
  });

  it('makes no endpoint', async () => {
    const { status, body } = await api.call('PUT', `${ALL}/ep_000000000000`, { url: URL });
    expect([status, body.code]).toEqual([404, 'endpoint_not_found']);
  });
});

describe('DELETE', () => {
  it('takes effect at once and dooms the backlog', async () => {
    const { id } = await create({ name: 'a' });
    const { shard, endpoints } = await api.configs.newest('acme');
    const number = endpoints.get(id)!.number;
    const { status, body } = await api.call('DELETE', `${ALL}/${id}`);
    expect([status, body]).toEqual([204, '']);
    expect((await other.call('GET', `${ALL}/${id}`)).status).toBe(404);
    expect((await other.call('DELETE', `${ALL}/${id}`)).body.code).toBe('endpoint_not_found');
    expect(await redis.client.hgetall(api.shards.get(shard).key('doomed'))).toEqual({
      [number]: 'endpoint:0',
    });
    await create({ name: 'a' });
  });
});

describe('many at once, from two processes', () => {
  const codes = (replies: { status: number; body: { code?: string } }[]) =>
    Object.entries(Object.groupBy(replies, ({ status, body }) => `${status} ${body.code ?? ''}`))
      .map(([code, group]) => `${code.trim()}: ${group!.length}`)
      .sort();
  const each = (count: number, call: (process: ConfigApi, i: number) => ReturnType<ConfigApi['call']>) =>
    Promise.all(Array.from({ length: count }, (_, i) => call(i % 2 ? api : other, i)));

  it('50 creations leave as many endpoints as the app may have', async () => {
    await api.call('PUT', '/v1/apps/acme', { max_endpoints: 10 });
    const replies = await each(50, (process) => process.call('POST', ALL, { url: URL }));
    expect(codes(replies)).toEqual(['201: 10', '409 endpoint_limit_reached: 40']);
    expect((await api.call('GET', ALL)).body.pagination.total).toBe(10);
  });

  it('20 creations with one name leave one endpoint', async () => {
    const replies = await each(20, (process) => process.call('POST', ALL, { url: URL, name: 'a' }));
    expect(codes(replies)).toEqual(['201: 1', '409 name_taken: 19']);
  });

  it('changes of different fields, of endpoints and app, lose nothing', async () => {
    const ids = await Promise.all(Array.from({ length: 10 }, async () => (await create()).id));
    const replies = await each(50, (process, i) => {
      const path = `${ALL}/${ids[i % 10]}`;
      const kind = Math.floor(i / 10);
      if (kind === 0) return process.call('PATCH', path, { description: 'changed' });
      if (kind === 1) return process.call('PATCH', path, { metadata: { changed: true } });
      if (kind === 2) return process.call('PATCH', path, { name: `name ${i % 10}` });
      if (kind === 3) return process.call('POST', `${path}/secret/rotate`, { secret: `secret ${i % 10}` });
      return process.call('POST', '/v1/apps/acme/keys', {});
    });
    expect(codes(replies)).toEqual(['200: 40', '201: 10']);
    for (const [i, id] of ids.entries()) {
      const { body } = await api.call('GET', `${ALL}/${id}`);
      expect(body).toMatchObject({ description: 'changed', metadata: { changed: true }, name: `name ${i}` });
      expect((await api.call('GET', `${ALL}/${id}/secret`)).body.secret).toBe(`secret ${i}`);
    }
    expect((await api.call('GET', '/v1/apps/acme/keys')).body.pagination.total).toBe(10);
  });
});

describe('what stands in Redis', () => {
  it('has no secret and no header value in the clear', async () => {
    const values = ['first-secret', 'rotated-secret', 'header-value', 'app-secret'];
    await api.call('PUT', '/v1/apps/acme', { signing_secret: values[3] });
    const { id } = await create({ secret: values[0], headers: { 'X-Key': values[2] } });
    await api.call('POST', `${ALL}/${id}/secret/rotate`, { secret: values[1] });
    const generated = (await api.call('POST', `${ALL}/${id}/secret/rotate`)).body.secret;
    const text = await dump(redis.client);
    expect(text).toContain('X-Key');
    for (const value of [...values, generated, generated.slice('whsec_'.length)]) {
      for (const encoding of ['utf8', 'base64', 'base64url', 'hex'] as const) {
        const form = Buffer.from(value).toString(encoding).replace(/=+$/, '');
        expect(text.includes(form), `${value} as ${encoding}`).toBe(false);
      }
    }
  });

  const tampered = async (change: (stored: string, all: Record<string, string>) => string) => {
    const { id } = await create({ headers: { 'x-key': 'v' } });
    const { shard, number, version } = await api.configs.newest('acme');
    const key = api.shards.get(shard).key(`cfg:${number}`);
    const all = await redis.client.hgetall(key);
    await redis.client.hset(key, id, change(all[id]!, all), 'v', version + 1);
    const { status, body } = await api.call('GET', `${ALL}/${id}`);
    return [status, body.code];
  };

  it('is refused with another URL', async () => {
    const answer = await tampered((stored) => stored.replace('example.com', 'evil.example'));
    expect(answer).toEqual([503, 'config_invalid']);
  });

  it('is refused with a MAC of nothing', async () => {
    expect(await tampered((stored) => stored.slice(stored.indexOf('{')))).toEqual([503, 'config_invalid']);
  });

  it("is refused in another endpoint's place", async () => {
    const { id } = await create({ url: 'https://other.example/' });
    expect(await tampered((_stored, all) => all[id]!)).toEqual([503, 'config_invalid']);
  });
});
