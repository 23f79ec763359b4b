import { startTestRedis, type TestRedis } from '@sealpost/queue/testing';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type ConfigApi, startConfigApi } from '../../testing/config-api.ts';

let redis: TestRedis;
let api: ConfigApi;
let endpoint: string;
const at = Date.parse('2026-01-31T23:00:00Z');

beforeAll(async () => {
  redis = await startTestRedis();
  api = await startConfigApi(redis.client, { now: () => at });
});
afterAll(async () => {
  await api.stop();
  await redis.stop();
});
beforeEach(async () => {
  await redis.client.flushall();
  await api.call('PUT', '/v1/apps/acme', {});
  endpoint = (await api.call('POST', '/v1/apps/acme/endpoints', { url: 'https://example.com/' })).body.id;
});

const replay = (body?: unknown, headers: Record<string, string> = {}) =>
  api.call('POST', `/v1/apps/acme/endpoints/${endpoint}/replay`, body, headers);

describe('a replay', () => {
  it('is of all that is dead, unless it is said otherwise; where it is stands in Location', async () => {
    const { status, headers, body } = await replay();
    expect([status, headers.get('location')]).toEqual([202, `/v1/apps/acme/replays/${body.id}`]);
    expect(body).toEqual({
      id: expect.stringMatching(/^rpl_/),
      endpoint_id: endpoint,
      status: ['dead'],
      since: null,
      until: null,
      event_types: [],
      state: 'running',
      failure: null,
      total: 0,
      scanned: 0,
      replayed: 0,
      unavailable: 0,
      refused: 0,
      created_at: '2026-01-31T23:00:00.000Z',
      ended_at: null,
    });
    const shown = await api.call('GET', headers.get('location')!);
    expect([shown.status, shown.body]).toEqual([200, body]);
  });

  it('is the only one of its endpoint that runs', async () => {
    const { id } = (await replay()).body;
    const { status, body } = await replay({ status: ['skipped'] });
    expect([status, body.code]).toEqual([409, 'replay_running']);
    expect(body.detail).toContain(id);
    endpoint = (await api.call('POST', '/v1/apps/acme/endpoints', { url: 'https://example.com/2' })).body.id;
    expect((await replay()).status).toBe(202);
  });

  // Here no answer is kept, as after a crash before it could be.
  it('is found by its Idempotency-Key when its answer was not kept', async () => {
    const once = { 'idempotency-key': 'once' };
    const first = await replay({}, once);
    const again = await replay({}, once);
    expect([again.status, again.body]).toEqual([202, first.body]);
    for (const [body, headers] of [
      [{}, { 'idempotency-key': 'twice' }],
      [{ status: ['skipped'] }, once],
      [{}, {}],
    ] as const) {
      expect((await replay(body, headers)).body.code).toBe('replay_running');
    }
    const [key] = await redis.client.keys('*:ri:*');
    expect(await redis.client.pttl(key!)).toBeGreaterThan(23.9 * 3_600_000);
  });

  it('says what it was asked for, in UTC, each status once', async () => {
    const asked = {
      status: ['dead', 'delivered', 'dead'],
      since: '2026-01-31T01:00:00+02:00',
      until: '2026-01-31T12:00:00Z',
      event_types: ['order.*', 'user.created'],
    };
    expect((await replay(asked)).body).toMatchObject({
      status: ['dead', 'delivered'],
      since: '2026-01-30T23:00:00.000Z',
      until: '2026-01-31T12:00:00.000Z',
      event_types: ['order.*', 'user.created'],
    });
  });

  it.each<[string, unknown, string]>([
    ['an open status', { status: ['pending'] }, 'status[0]'],
    ['no status', { status: [] }, 'status'],
    ['a time that is none', { since: 'yesterday' }, 'since'],
    ['a pattern that is none', { event_types: ['a..b'] }, 'event_types[0]'],
    [
      'an end that is not after the beginning',
      { since: '2026-01-02T00:00:00Z', until: '2026-01-02T01:00:00+01:00' },
      'until',
    ],
    ['an unknown field', { statuses: ['dead'] }, 'statuses'],
  ])('refuses %s', async (_, asked, path) => {
    const { status, body } = await replay(asked);
    expect([status, body.code, body.errors[0].path]).toEqual([422, 'validation_failed', path]);
    expect(await redis.client.keys('*rpl:*')).toEqual([]);
  });

  it('is of an endpoint of this app, and seen by this app alone', async () => {
    const { id } = (await replay()).body;
    await api.call('PUT', '/v1/apps/other', {});
    const foreign = await api.call('POST', `/v1/apps/other/endpoints/${endpoint}/replay`);
    expect([foreign.status, foreign.body.code]).toEqual([404, 'endpoint_not_found']);
    for (const path of [`/v1/apps/other/replays/${id}`, `/v1/apps/acme/replays/${endpoint}`]) {
      const { status, body } = await api.call('GET', path);
      expect([status, body.code]).toEqual([404, 'replay_not_found']);
    }
  });
});
