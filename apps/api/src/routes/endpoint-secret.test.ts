import { endpointInput, publicKeyOf } from '@sealpost/core';
import { startTestRedis, type TestRedis } from '@sealpost/queue/testing';
import { createEndpoint, openEndpoint } from '@sealpost/store';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type ConfigApi, startConfigApi } from '../../testing/config-api.ts';

const ALL = '/v1/apps/acme/endpoints';
const DAY = 86_400_000;
const ED25519 = `whsk_${Buffer.alloc(32, 5).toString('base64')}`;

let redis: TestRedis;
let api: ConfigApi;
const at = Date.parse('2026-01-31T12:00:00Z');
let clock = at;

beforeAll(async () => {
  redis = await startTestRedis();
  api = await startConfigApi(redis.client, { now: () => clock });
});
afterAll(async () => {
  await api.stop();
  await redis.stop();
});
beforeEach(async () => {
  await redis.client.flushall();
  clock = at;
  await api.call('PUT', '/v1/apps/acme', {});
});

async function create(input: object = {}): Promise<{ id: string; secret: string; public_key?: string }> {
  return (await api.call('POST', ALL, { url: 'https://example.com/', ...input })).body;
}

const rotate = (id: string, input?: object) => api.call('POST', `${ALL}/${id}/secret/rotate`, input);
const shown = async (id: string) => (await api.call('GET', `${ALL}/${id}/secret`)).body;

/** Secrets and when they end, as the worker reads them. */
async function stored(id: string) {
  const config = await api.configs.newest('acme');
  const { secrets } = openEndpoint(api.keyring, 'acme', config.endpoints.get(id)!);
  return secrets.map(({ value, expiresAt }) => [value, expiresAt && expiresAt - at]);
}

describe('the secret of an endpoint', () => {
  it('is the one that was given, or made, and is kept from caches', async () => {
    const given = await create({ secret: 'my secret' });
    expect(given.secret).toBe('my secret');
    const { status, headers, body } = await api.call('GET', `${ALL}/${given.id}/secret`);
    expect([status, headers.get('cache-control')]).toEqual([200, 'no-store']);
    expect(body).toEqual({ secret: 'my secret' });
    const made = await create();
    expect(await shown(made.id)).toEqual({ secret: made.secret });
  });

  it('comes with the public key that verifies it when it is an ed25519 key', async () => {
    const { id, public_key } = await create({ secret: ED25519 });
    expect(public_key).toBe(publicKeyOf(ED25519));
    expect(await shown(id)).toEqual({ secret: ED25519, public_key });
  });

  it("is the app's where the endpoint has none, and follows it", async () => {
    await api.call('PUT', '/v1/apps/acme', { signing_secret: 'app secret' });
    const { id, secret } = await create();
    expect(secret).toBe('app secret');
    expect(await stored(id)).toEqual([]);
    await api.call('PUT', '/v1/apps/acme', { signing_secret: 'new app secret' });
    expect(await shown(id)).toEqual({ secret: 'new app secret' });
  });

  it('is replaced at once, former ones included, when PATCH or PUT give one', async () => {
    const { id } = await create();
    await rotate(id, { secret: 'second' });
    await api.call('PATCH', `${ALL}/${id}`, { secret: 'third' });
    expect(await stored(id)).toEqual([['third', undefined]]);
    await api.call('PUT', `${ALL}/${id}`, { url: 'https://example.com/', secret: 'fourth' });
    expect(await stored(id)).toEqual([['fourth', undefined]]);
  });

  it("goes back by null to the app's, or to a new one", async () => {
    const { id } = await create({ secret: 'mine' });
    await api.call('PATCH', `${ALL}/${id}`, { secret: null });
    expect((await shown(id)).secret).toMatch(/^whsec_/);
    await api.call('PUT', '/v1/apps/acme', { signing_secret: 'app secret' });
    await api.call('PATCH', `${ALL}/${id}`, { secret: null });
    expect((await shown(id)).secret).toBe('app secret');
  });

  it('of an endpoint that does not exist is not found', async () => {
    for (const [method, path] of [
      ['GET', 'secret'],
      ['POST', 'secret/rotate'],
    ]) {
      const { body } = await api.call(method!, `${ALL}/ep_000000000000/${path}`);
      expect(body.code).toBe('endpoint_not_found');
    }
  });
});

describe('rotation', () => {
  it('makes a secret, and lets the former one sign for a day', async () => {
    const { id, secret } = await create();
    const { status, headers, body } = await rotate(id);
    expect([status, headers.get('cache-control')]).toEqual([200, 'no-store']);
    expect(body).toEqual({
      secret: expect.stringMatching(/^whsec_/),
      previous_expires_at: '2026-02-01T12:00:00.000Z',
    });
    expect(body.secret).not.toBe(secret);
    expect(await stored(id)).toEqual([
      [body.secret, undefined],
      [secret, DAY],
    ]);
    expect((await shown(id)).secret).toBe(body.secret);
  });

  it('ends the former secret at once with an overlap of 0', async () => {
    const { id } = await create();
    const { body } = await rotate(id, { secret: 'second', overlap_seconds: 0 });
    expect(body.previous_expires_at).toBe('2026-01-31T12:00:00.000Z');
    expect(await stored(id)).toEqual([['second', undefined]]);
  });

  it("lets the app's secret sign on where the endpoint had none of its own", async () => {
    await api.call('PUT', '/v1/apps/acme', { signing_secret: 'app secret' });
    const { id } = await create();
    await rotate(id, { secret: 'own', overlap_seconds: 60 });
    expect(await stored(id)).toEqual([
      ['own', undefined],
      ['app secret', 60_000],
    ]);
  });

  it('takes up to 30 days of overlap, and no more', async () => {
    const { id } = await create();
    expect((await rotate(id, { overlap_seconds: 30 * 86_400 })).status).toBe(200);
    for (const overlap_seconds of [30 * 86_400 + 1, -1]) {
      expect((await rotate(id, { overlap_seconds })).status).toBe(422);
    }
    expect((await rotate(id, { secret: 'whsec_AA==' })).body.errors[0].path).toBe('secret');
    expect((await rotate(id, { secret: '[redacted]' })).body.errors[0].path).toBe('secret');
  });

  it('drops an expired secret at the next change', async () => {
    const { id } = await create({ secret: 'first' });
    await rotate(id, { secret: 'second', overlap_seconds: 60 });
    clock += 59_999;
    await api.call('PATCH', `${ALL}/${id}`, { description: 'x' });
    expect(await stored(id)).toHaveLength(2);
    clock += 1;
    await api.call('PATCH', `${ALL}/${id}`, { description: 'y' });
    expect(await stored(id)).toEqual([['second', undefined]]);
  });

  it('keeps four former secrets, the newest', async () => {
    const { id } = await create({ secret: 's0' });
    for (let i = 1; i <= 7; i++) await rotate(id, { secret: `s${i}` });
    expect((await stored(id)).map(([secret]) => secret)).toEqual(['s7', 's6', 's5', 's4', 's3']);
  });

  it('sent twice with the same secret does no harm', async () => {
    const { id } = await create({ secret: 'first' });
    const once = await rotate(id, { secret: 'second' });
    clock += 1000;
    expect((await rotate(id, { secret: 'second' })).body).toEqual(once.body);
    expect(await stored(id)).toEqual([
      ['second', undefined],
      ['first', DAY],
    ]);
  });

  it('goes back to a former secret without listing it twice', async () => {
    const { id } = await create({ secret: 'first' });
    await rotate(id, { secret: 'second' });
    await rotate(id, { secret: 'first', overlap_seconds: 60 });
    expect(await stored(id)).toEqual([
      ['first', undefined],
      ['second', 60_000],
    ]);
  });
});

describe('a secret that is optional, as a dialect may have it', () => {
  /** Id of an endpoint that was made without one. */
  async function unsigned(): Promise<string> {
    const input = endpointInput.parse({ url: 'https://example.com/' });
    const { endpoint, secret } = await createEndpoint(api, 'acme', input, at, { secretOptional: true });
    expect(secret).toBeUndefined();
    return endpoint.id;
  }
  const isOptional = async (id: string) =>
    (await api.configs.newest('acme')).endpoints.get(id)!.secretOptional;

  it('stays so through changes of other things', async () => {
    const id = await unsigned();
    await api.call('PATCH', `${ALL}/${id}`, { description: 'x' });
    await api.call('PUT', `${ALL}/${id}`, { url: 'https://example.com/new' });
    expect([await shown(id), await stored(id), await isOptional(id)]).toEqual([{ secret: null }, [], true]);
  });

  it('is so no more once there is one', async () => {
    const [rotated, given, made] = [await unsigned(), await unsigned(), await unsigned()];
    expect((await rotate(rotated, { secret: 'new' })).body).toEqual({
      secret: 'new',
      previous_expires_at: new Date(at).toISOString(),
    });
    await api.call('PATCH', `${ALL}/${given}`, { secret: 'given' });
    await api.call('PATCH', `${ALL}/${made}`, { secret: null });
    expect([await shown(rotated), await shown(given)]).toEqual([{ secret: 'new' }, { secret: 'given' }]);
    expect((await shown(made)).secret).toMatch(/^whsec_/);
    for (const id of [rotated, given, made]) expect(await isOptional(id)).toBeUndefined();
  });

  it("does not keep the app's from being removed, and has that while it is there", async () => {
    const id = await unsigned();
    await api.call('PUT', '/v1/apps/acme', { signing_secret: 'of the app' });
    expect(await shown(id)).toEqual({ secret: 'of the app' });
    expect((await api.call('PUT', '/v1/apps/acme', { signing_secret: null })).status).toBe(200);
    expect(await shown(id)).toEqual({ secret: null });
  });
});
