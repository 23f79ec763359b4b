import { type AttemptRecord, encodeDelivery, place, type Shard } from '@sealpost/queue';
import { startTestRedis, type TestRedis } from '@sealpost/queue/testing';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type ConfigApi, startConfigApi } from '../../testing/config-api.ts';

const ALL = '/v1/apps/acme/endpoints';

let redis: TestRedis;
let api: ConfigApi;
const at = Date.parse('2026-01-31T23:00:00Z');
let clock = at;
let endpoint: { id: string; [field: string]: unknown };
let shard: Shard;
let number: number;

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
  const { secret: _, ...made } = (await api.call('POST', ALL, { url: 'https://example.com/hook' })).body;
  endpoint = made;
  const config = await api.configs.newest('acme');
  shard = api.shards.get(config.shard);
  number = config.endpoints.get(endpoint.id)!.number;
});

const laneKey = () => shard.key(`lane:${number}`);
const post = (what: string) => api.call('POST', `${ALL}/${endpoint.id}/${what}`);

describe('pause and resume', () => {
  it('answer with the endpoint, and tell the lane', async () => {
    clock += 1000;
    const paused = await post('pause');
    expect(paused.status).toBe(200);
    expect(paused.body).toEqual({ ...endpoint, paused: true, updated_at: '2026-01-31T23:00:01.000Z' });
    expect(Object.keys(await redis.client.hgetall(laneKey()))).toEqual(['ps']);
    const resumed = await post('resume');
    expect(resumed.body).toEqual({ ...paused.body, paused: false });
    expect(await redis.client.hgetall(laneKey())).toEqual({});
  });

  it('do nothing the second time', async () => {
    const paused = await post('pause');
    const since = await redis.client.hget(laneKey(), 'ps');
    const { version } = await api.configs.newest('acme');
    clock += 1000;
    expect((await post('pause')).body).toEqual(paused.body);
    expect((await api.configs.newest('acme')).version).toBe(version);
    expect(await redis.client.hget(laneKey(), 'ps')).toBe(since);
    const resumed = await post('resume');
    const { version: after } = await api.configs.newest('acme');
    clock += 1000;
    expect((await post('resume')).body).toEqual(resumed.body);
    expect((await api.configs.newest('acme')).version).toBe(after);
  });

  it('open a lane that was closed, and leave a disabled endpoint disabled', async () => {
    await redis.client.hset(laneKey(), 'cl', '1');
    await post('pause');
    expect(await redis.client.hget(laneKey(), 'cl')).toBe('1');
    await post('resume');
    expect(await redis.client.hget(laneKey(), 'cl')).toBeNull();
    await redis.client.hset(laneKey(), { cl: '1', fs: '1' });
    const { version } = await api.configs.newest('acme');
    expect((await post('resume')).body).toMatchObject({ paused: false }); // and was not
    expect(await redis.client.hmget(laneKey(), 'cl', 'fs')).toEqual([null, null]);
    expect((await api.configs.newest('acme')).version).toBeGreaterThan(version);
    await api.call('PATCH', `${ALL}/${endpoint.id}`, { enabled: false });
    await post('pause');
    expect((await post('resume')).body).toMatchObject({ enabled: false, paused: false });
    expect(await redis.client.hget(laneKey(), 'off')).not.toBeNull();
  });

  it('stay through other changes, also a PUT', async () => {
    await post('pause');
    const put = await api.call('PUT', `${ALL}/${endpoint.id}`, { url: 'https://example.com/other' });
    expect(put.body.paused).toBe(true);
    expect(await redis.client.hget(laneKey(), 'ps')).not.toBeNull();
  });

  it('know no endpoint that is not there', async () => {
    for (const what of ['pause', 'resume']) {
      const { status, body } = await api.call('POST', `${ALL}/ep_000000000000/${what}`);
      expect([status, body.code]).toEqual([404, 'endpoint_not_found']);
    }
  });
});

describe('stats', () => {
  const stats = async () => {
    const { status, body } = await api.call('GET', `${ALL}/${endpoint.id}/stats`);
    expect(status).toBe(200);
    return body;
  };

  /** A delivery with this many attempts, the last of which took `ms`; without: its record is missing. */
  async function delivery(n: number, attempts: number, ms?: number) {
    const record = encodeDelivery({
      status: attempts > 0 ? 'delivered' : 'pending',
      flags: 0,
      generation: 1,
      attempts,
      jobBase: 0,
      retryBase: 0,
      event: n,
      app: 1,
      endpoint: number,
      createdAt: at,
      dueAt: at,
      statusCode: 200,
      reason: 'none',
      keyId: '00000000',
      seal: Buffer.alloc(20),
    });
    const { bucket, field } = place(n);
    await redis.client.hset(shard.key(`d:${bucket}`), field, record);
    await redis.client.lpush(shard.key(`x:${number}`), n);
    const attempt: AttemptRecord = { t: at, d: ms ?? 0, p: [-1, -1, -1, -1] };
    if (ms !== undefined) {
      await redis.client.hset(shard.key(`t:${bucket}`), `${field}:${attempts}`, JSON.stringify(attempt));
    }
  }

  it('of an endpoint that has had nothing', async () => {
    expect(await stats()).toEqual({
      counts: { pending: 0, retrying: 0, delivered: 0, dead: 0, skipped: 0, cancelled: 0 },
      success_rate: null,
      latency_ms: null,
      lane: {
        state: 'open',
        queued: 0,
        in_flight: 0,
        window: 4,
        max_concurrency: 32,
        held_until: null,
        failing_since: null,
        closed_since: null,
      },
    });
  });

  it('count by status, and say how many of those that ended by themselves were delivered', async () => {
    await redis.client.hset(shard.key(`c:${number}`), { 0: 1, 1: 2, 2: 9, 3: 3, 4: 5, 5: 6 });
    expect(await stats()).toMatchObject({
      counts: { pending: 1, retrying: 2, delivered: 9, dead: 3, skipped: 5, cancelled: 6 },
      success_rate: 0.75,
    });
  });

  it('measure the latest attempt of each of the newest deliveries that have one', async () => {
    for (let n = 1; n <= 100; n++) await delivery(n, (n % 3) + 1, n);
    await delivery(101, 0);
    await delivery(102, 1);
    await redis.client.lpush(shard.key(`x:${number}`), 999);
    expect((await stats()).latency_ms).toEqual({ p50: 50, p90: 90, p99: 99, sample: 100 });
    for (let n = 200; n < 700; n++) await delivery(n, 1, 7);
    for (let n = 700; n < 710; n++) await delivery(n, 0);
    expect((await stats()).latency_ms).toEqual({ p50: 7, p90: 7, p99: 7, sample: 500 });
  });

  it('tell how the lane stands', async () => {
    await api.call('PATCH', `${ALL}/${endpoint.id}`, {
      max_concurrency: 3,
      quiet_hours: { start_hour: 22, end_hour: 8 },
    });
    await redis.client.hset(laneKey(), { q: 5, n: 2, w: 16, fs: at - 60_000, cl: at - 1000, pa: at + 1000 });
    expect((await stats()).lane).toEqual({
      state: 'closed',
      queued: 5,
      in_flight: 2,
      window: 3,
      max_concurrency: 3,
      held_until: '2026-02-01T08:00:00.000Z',
      failing_since: '2026-01-31T22:59:00.000Z',
      closed_since: '2026-01-31T22:59:59.000Z',
    });
    await post('pause');
    expect((await stats()).lane.state).toBe('paused');
  });

  it('are of no endpoint that is not there', async () => {
    const { status, body } = await api.call('GET', `${ALL}/ep_000000000000/stats`);
    expect([status, body.code]).toEqual([404, 'endpoint_not_found']);
  });
});
