import { METRICS, type MetricSpec } from '@sealpost/telemetry';
import { beforeAll, describe, expect, it } from 'vitest';
import { ApiClient, inTurn, Receiver, type Stack, startStack, Tenant, waitFor } from './harness/index.ts';
import { amountOf, promtool, readMetrics } from './harness/prometheus-text.ts';

let stack: Stack;
let receiver: Receiver;
let tenant: Tenant;

beforeAll(async () => {
  stack = await startStack();
  receiver = await Receiver.listen();
  tenant = await Tenant.create(stack.client);
});

const apiText = async () => (await stack.client.get('/metrics')).text;
const workerText = async () => (await fetch(`${stack.workers[0]!.url}/metrics`)).text();
const apiMetrics = async () => readMetrics(await apiText());
const workerMetrics = async () => readMetrics(await workerText());
/** What the counters have grown by since the start of the test. */
async function since(read: () => Promise<ReturnType<typeof readMetrics>>) {
  const before = await read();
  return async (name: string, labels: Record<string, string> = {}) =>
    amountOf(await read(), name, labels) - amountOf(before, name, labels);
}

const PENDING = { status: 'pending' };
const EVENT = { type: 'order.created', payload: { n: 1 } };

describe('metrics', () => {
  it('are valid, complete, and name no app, endpoint or URL', async () => {
    receiver.respond('/valid', inTurn(500, 200));
    const endpoint = await tenant.endpoint({ url: receiver.url('/valid'), retry: { base_seconds: 0.05 } });
    await tenant.ended(await tenant.send());
    await stack.client.get('/no/such/route');
    for (const [role, text] of [
      ['api', await apiText()],
      ['worker', await workerText()],
    ] as const) {
      const families = readMetrics(text);
      await promtool(text);
      const expected = Object.values<MetricSpec>(METRICS).filter(({ of }) => of.includes(role));
      for (const { name, type, help } of expected) expect(families.get(name)).toMatchObject({ type, help });
      for (const name of families.keys()) expect(name).toMatch(/^sealpost_/);
      for (const secret of [tenant.app, endpoint.id, '127.0.0.1', String(receiver.port), '/valid'])
        expect(text).not.toContain(secret);
    }
    await stack.client.delete(`${tenant.path}/endpoints/${endpoint.id}`);
  });

  it('count what becomes of events and deliveries', async () => {
    receiver.respond('/fails-once', inTurn(500, 200));
    receiver.respond('/refuses', 400);
    const retry = { base_seconds: 0.05, retry_on: 'transient' };
    for (const path of ['/fails-once', '/refuses']) await tenant.endpoint({ url: receiver.url(path), retry });
    const disabled = await tenant.endpoint({ url: receiver.url('/disabled'), enabled: false });
    const [api, worker] = [await since(apiMetrics), await since(workerMetrics)];

    const { id, deliveries } = await tenant.publish({ ...EVENT, id: 'counted' });
    expect((await tenant.publish({ ...EVENT, id: 'counted' })).id).toBe(id);
    for (const delivery of deliveries) await tenant.ended(delivery.id);
    expect((await stack.client.post(`${tenant.path}/events`, { type: 'a b' })).status).toBe(422);
    const batch = {
      events: [
        { ...EVENT, type: 'nobody.wants' },
        { type: 1, payload: 1 },
      ],
    };
    await stack.client.post(`${tenant.path}/events/batch`, batch);
    expect((await stack.client.post('/compat/flock/artifacts', { nothing: 1 })).status).toBe(422);
    await fetch(stack.api.url + tenant.path, { method: 'PROPFIND' });

    expect(await api('sealpost_events_accepted_total')).toBe(2);
    expect(await api('sealpost_events_duplicate_total')).toBe(1);
    expect(await api('sealpost_events_refused_total', { code: 'validation_failed' })).toBe(3);
    expect(await api('sealpost_deliveries_created_total')).toBe(6);
    const skipped = { status: 'skipped', reason: 'endpoint_disabled' };
    expect(await api('sealpost_deliveries_total', skipped)).toBe(2);
    const route = '/v1/apps/:app/events';
    const published = { method: 'POST', route, status: '202' };
    expect(await api('sealpost_http_request_duration_seconds', published)).toBe(2);
    expect(await api('sealpost_http_request_duration_seconds', { route, status: '422' })).toBe(1);

    const unusual = { method: '_OTHER', route: '/v1/apps/:app', status: '405' };
    expect(await api('sealpost_http_request_duration_seconds', unusual)).toBe(1);

    await waitFor(async () => (await worker('sealpost_deliveries_total')) === 4, { describe: 'four to end' });
    expect(await worker('sealpost_attempts_total', { outcome: 'success', reason: 'none' })).toBe(2);
    expect(await worker('sealpost_attempts_total', { outcome: 'failure', reason: 'http_status' })).toBe(3);
    expect(await worker('sealpost_retries_total', { reason: 'http_status' })).toBe(1);
    expect(await worker('sealpost_deliveries_total', { status: 'delivered', reason: 'none' })).toBe(2);
    expect(await worker('sealpost_deliveries_total', { status: 'dead', reason: 'http_status' })).toBe(2);
    expect(await worker('sealpost_attempt_duration_seconds', { outcome: 'failure' })).toBe(3);
    expect(await worker('sealpost_delivery_latency_seconds')).toBe(2);
    expect(await worker('sealpost_first_attempt_delay_seconds')).toBe(4);
    await stack.client.delete(`${tenant.path}/endpoints/${disabled.id}`);
  });

  it('count what ends without an attempt', async () => {
    const other = await Tenant.create(stack.client);
    const limited = { limit: 1, period_seconds: 3600, over: 'skip' };
    await other.endpoint({ url: receiver.url('/limited'), rate_limit: limited, event_types: ['limited'] });
    const paused = await other.endpoint({ url: receiver.url('/paused'), event_types: ['paused'] });
    await stack.client.post(`${other.path}/endpoints/${paused.id}/pause`);
    const [api, worker] = [await since(apiMetrics), await since(workerMetrics)];
    for (let i = 0; i < 2; i++) await other.publish({ ...EVENT, type: 'limited' });
    const { deliveries } = await other.publish({ ...EVENT, type: 'paused' });
    await other.publish({ ...EVENT, type: 'paused' });
    await stack.client.post(`${other.path}/deliveries/${deliveries[0].id}/cancel`);
    await stack.client.delete(`${other.path}/endpoints/${paused.id}`);
    const ended = { describe: 'all to be counted' };
    await waitFor(async () => (await worker('sealpost_deliveries_total')) === 3, ended);
    expect(await worker('sealpost_deliveries_total', { status: 'skipped', reason: 'rate_limited' })).toBe(1);
    const deleted = { status: 'cancelled', reason: 'endpoint_deleted' };
    expect(await worker('sealpost_deliveries_total', deleted)).toBe(1);
    const byRequest = { status: 'cancelled', reason: 'cancelled_by_request' };
    expect(await api('sealpost_deliveries_total', byRequest)).toBe(1);
  });

  it('tell how much there is to do, and how old it is, the same everywhere', async () => {
    const other = await Tenant.create(stack.client);
    const held = Promise.withResolvers<number>();
    receiver.respond('/held', () => held.promise);
    await other.endpoint({ url: receiver.url('/held') });
    for (let i = 0; i < 6; i++) await other.publish(EVENT);
    const both = [apiMetrics, workerMetrics];
    const isSeen = async () => {
      const all = await Promise.all(both.map((read) => read()));
      return all.every((families) => amountOf(families, 'sealpost_deliveries_open', PENDING) === 6) && all;
    };
    const all = await waitFor(isSeen, { describe: 'the six to be seen' });
    for (const families of all) {
      expect(amountOf(families, 'sealpost_worker_slots')).toBe(20);
      expect(amountOf(families, 'sealpost_oldest_open_seconds')).toBeGreaterThan(0);
      expect(amountOf(families, 'sealpost_redis_memory_used_bytes')).toBeGreaterThan(100_000);
      expect(amountOf(families, 'sealpost_redis_round_trip_seconds')).toBeGreaterThan(0);
      expect(amountOf(families, 'sealpost_up_ready')).toBe(1);
    }
    const worker = await workerMetrics();
    expect(amountOf(worker, 'sealpost_deliveries_in_flight')).toBe(4); // a lane's first window
    await waitFor(async () => amountOf(await workerMetrics(), 'sealpost_deliveries_detached') > 0, {
      describe: 'those that last to be detached',
    });
    held.resolve(200);
    const nothing = async () => {
      const families = await workerMetrics();
      return amountOf(families, 'sealpost_deliveries_open') === 0 && families;
    };
    const after = await waitFor(nothing, { describe: 'nothing to be open' });
    expect(amountOf(after, 'sealpost_oldest_open_seconds')).toBe(0);
    expect(amountOf(after, 'sealpost_deliveries_in_flight')).toBe(0);
  });

  it("of the API need an operator's key, unless its settings say otherwise", async () => {
    const { key } = (await stack.client.post(`${tenant.path}/keys`, {})).json as { key: string };
    expect((await fetch(`${stack.api.url}/metrics`)).status).toBe(401);
    expect((await new ApiClient(stack.api.url, key).get('/metrics')).status).toBe(403);
    const answer = await stack.client.get('/metrics');
    expect(answer.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
    const open = await stack.addApi({ SEALPOST_METRICS_OPEN: 'true' });
    expect((await fetch(`${open.url}/metrics`)).status).toBe(200);
    await open.stop();
  });

  it('are told while Redis is away, but for those that only Redis knows', async () => {
    const own = await startStack();
    await own.redis.kill();
    const read = async () => readMetrics(await (await fetch(`${own.workers[0]!.url}/metrics`)).text());
    const families = await waitFor(
      async () => {
        const now = await read();
        return (
          amountOf(now, 'sealpost_up_ready') === 0 &&
          now.get('sealpost_worker_slots')!.samples.length === 0 &&
          now
        );
      },
      { describe: 'Redis to be missed' },
    );
    expect(families.get('sealpost_deliveries_open')!.samples).toEqual([]);
    expect(amountOf(families, 'sealpost_process_cpu_seconds_total')).toBeGreaterThan(0);
    const api = readMetrics((await own.client.get('/metrics')).text);
    expect(api.get('sealpost_oldest_open_seconds')!.samples).toEqual([]);
    await own.redis.restart();
    await waitFor(async () => amountOf(await read(), 'sealpost_worker_slots') === 20, {
      describe: 'Redis to be back',
    });
  });
});
