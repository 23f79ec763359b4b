import { once } from 'node:events';
import { request } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { parseId, reasonNumber } from '@sealpost/core';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import {
  ApiClient,
  type AppProcess,
  type Loose,
  Receiver,
  type Stack,
  startStack,
  Tenant,
  untilEnded,
  verifySignature,
  waitFor,
} from './harness/index.ts';

vi.setConfig({ maxConcurrency: 20 });

const OUTBOX = '{sp:0}:outbox';
const OPERATORS = '/v1/apps/sealpost';

/** The operators' app with one endpoint at `/ops` of the receiver. */
async function makeOperators(stack: Stack, receiver: Receiver, endpoint: object = {}): Promise<Loose> {
  const made = await stack.client.put(OPERATORS, {});
  expect(made.status, made.text).toBe(201);
  const input = { url: receiver.url('/ops'), ...endpoint };
  const added = await stack.client.post(`${OPERATORS}/endpoints`, input);
  expect(added.status, added.text).toBe(201);
  return added.json;
}

/** Owner number of an app. */
async function numberOf(stack: Stack, app: string): Promise<number> {
  return Number((await stack.redis.client.hget('sp:apps', app))!.split(':')[1]);
}

/** An entry as the scripts write it, with a number of its own; `lane.closed` unless told otherwise. */
async function entryOf(stack: Stack, app: string, details: object = {}): Promise<Loose> {
  const i = await stack.redis.client.hincrby('{sp:0}:flow', 'ob', 1);
  const at = Date.now();
  return { i, t: 'lane.closed', a: await numberOf(stack, app), e: 0, at, since: at - 5000, ...details };
}

async function put(stack: Stack, ...entries: object[]): Promise<void> {
  await stack.redis.client.rpush(OUTBOX, ...entries.map((entry) => JSON.stringify(entry)));
}

const idOf = ({ i, at }: Loose): string => `op-0-${i}-${at.toString(36)}`;

async function outboxIsEmpty(stack: Stack): Promise<void> {
  await waitFor(async () => (await stack.redis.client.llen(OUTBOX)) === 0, {
    describe: 'the outbox to be empty',
  });
}

/** What came to a path about one app, parsed, in the order of arrival. */
function toldAt(receiver: Receiver, path: string, app: string): Loose[] {
  return receiver
    .to(path)
    .map(({ text }) => JSON.parse(text))
    .filter(({ data }) => data.app_id === app);
}

describe('the relay', () => {
  let stack: Stack;
  let second: AppProcess;
  let receiver: Receiver;
  let operators: Loose;
  let tenant: Tenant;

  beforeAll(async () => {
    stack = await startStack();
    second = await stack.addApi();
    receiver = await Receiver.listen();
    operators = await makeOperators(stack, receiver, { event_types: ['lane.*', 'delivery.*', 'endpoint.*'] });
  });

  const newTenant = async (settings: object = {}) => {
    tenant = await Tenant.create(stack.client, settings);
    return tenant;
  };
  const told = () => toldAt(receiver, '/ops', tenant.app);
  const untilTold = (count: number) =>
    waitFor(() => told().length >= count && told(), { describe: `${count} events about the app` });

  it('publishes an entry in the app sealpost, signed, with public ids and times, and removes it', async () => {
    await newTenant();
    const { id: endpoint } = await tenant.endpoint({ url: receiver.url('/shop') });
    const at = Date.UTC(2026, 10, 22, 10, 0, 0);
    const entry = await entryOf(stack, tenant.app, {
      e: parseId('ep', endpoint)!.number,
      at,
      since: at - 6000,
    });
    await put(stack, entry);
    const [event] = await untilTold(1);
    expect(event).toMatchObject({ type: 'lane.closed' });
    expect(event.data).toEqual({
      app_id: tenant.app,
      endpoint_id: endpoint,
      failing_since: '2026-11-22T09:59:54.000Z',
      closed_at: '2026-11-22T10:00:00.000Z',
    });
    const request = receiver.to('/ops').find(({ text }) => text.includes(tenant.app))!;
    expect(request.headers['webhook-id']).toBe(idOf(entry));
    verifySignature(request, operators.secret);
    await outboxIsEmpty(stack);
    expect(receiver.to('/shop')).toEqual([]); // it did not ask for them
  });

  it('tells of a dead delivery what it was, and nothing that it carried', async () => {
    await newTenant();
    const endpoint = await tenant.endpoint({ url: receiver.url('/fine') });
    const id = await tenant.send({ id: `own-${tenant.app}`, payload: { card: 'not-to-be-told' } });
    await tenant.hasStatus(id, 'delivered');
    const d = parseId('dlv', id)!.number;
    const e = parseId('ep', endpoint.id)!.number;
    const dead = { t: 'delivery.dead', e, d, r: reasonNumber('retries_exhausted'), n: 4 };
    await put(stack, await entryOf(stack, tenant.app, dead));
    const [event] = await untilTold(1);
    expect(event.data).toEqual({
      app_id: tenant.app,
      endpoint_id: endpoint.id,
      delivery_id: id,
      event_id: `own-${tenant.app}`,
      event_type: 'order.created',
      reason: 'retries_exhausted',
      attempt_count: 4,
      died_at: expect.stringMatching(/Z$/),
    });
    for (const { text } of receiver.to('/ops')) expect(text).not.toMatch(/not-to-be-told|whsec_/);
  });

  it('of two APIs publishes each of many entries once', async () => {
    await newTenant();
    const COUNT = 350;
    const entries: Loose[] = [];
    for (let n = 0; n < COUNT; n++) entries.push(await entryOf(stack, tenant.app, { at: Date.now() + n }));
    await put(stack, ...entries);
    await outboxIsEmpty(stack);
    await untilTold(COUNT);
    const ids = receiver.to('/ops').filter(({ text }) => text.includes(tenant.app));
    expect(new Set(ids.map(({ headers }) => headers['webhook-id']))).toEqual(new Set(entries.map(idOf)));
    const { json } = await stack.client.get(`${OPERATORS}/deliveries?event_id=${idOf(entries[0])}`);
    expect(json.data).toHaveLength(1);
    expect(told()).toHaveLength(COUNT);
  });

  it('an entry that comes again, as after a death before its removal, makes no second event', async () => {
    await newTenant();
    const entry = await entryOf(stack, tenant.app);
    await put(stack, entry);
    await untilTold(1);
    await put(stack, entry, entry);
    await outboxIsEmpty(stack);
    await put(stack, await entryOf(stack, tenant.app));
    await untilTold(2);
    expect(told()).toHaveLength(2);
  });

  it('an app that asked for them gets its own as well, under the same id', async () => {
    await newTenant({ operational_events: true });
    const endpoint = await tenant.endpoint({ url: receiver.url('/asked'), event_types: ['lane.*'] });
    const stranger = await Tenant.create(stack.client, { operational_events: true });
    await stranger.endpoint({ url: receiver.url('/stranger') });
    const entry = await entryOf(stack, tenant.app);
    await put(stack, entry);
    const [request] = await receiver.waitForRequests(1, { path: '/asked' });
    verifySignature(request!, endpoint.secret);
    expect(request!.headers['webhook-id']).toBe(idOf(entry));
    const [forOperators] = await untilTold(1);
    expect(forOperators.data).toEqual(JSON.parse(request!.text).data);
    await outboxIsEmpty(stack);
    expect(receiver.to('/stranger')).toEqual([]);
  });

  it('stores nothing for nobody: what no endpoint wants is only removed', async () => {
    await newTenant({ operational_events: true });
    await tenant.endpoint({ url: receiver.url('/orders'), event_types: ['order.*'] });
    const expired = await entryOf(stack, tenant.app, { t: 'deliveries.expired', count: 7 });
    await put(stack, expired);
    await outboxIsEmpty(stack);
    for (const path of [OPERATORS, tenant.path]) {
      expect((await stack.client.get(`${path}/events/${idOf(expired)}`)).status).toBe(404);
    }
    expect((await tenant.get('/deliveries')).json.pagination.total).toBe(0);
  });

  it('sees an endpoint that was made through another API just now', async () => {
    await newTenant({ operational_events: true }); // the first API has read its config
    const through = new ApiClient(second.url, stack.apiKey);
    await tenant.through(through).endpoint({ url: receiver.url('/new') });
    second.freeze();
    await put(stack, await entryOf(stack, tenant.app));
    await receiver.waitForRequests(1, { path: '/new' }).finally(() => second.thaw());
  });

  it('drops and logs what is malformed, and goes on with what stands behind it', async () => {
    await newTenant();
    const [whole, odd] = [await entryOf(stack, tenant.app), await entryOf(stack, tenant.app)];
    await stack.redis.client.rpush(
      OUTBOX,
      'no entry',
      Buffer.from([0xff, 0xfe]),
      JSON.stringify({ ...odd, t: 'order.created' }),
      JSON.stringify(whole),
    );
    expect(await untilTold(1)).toHaveLength(1);
    await outboxIsEmpty(stack);
    // What a process has printed comes a moment later.
    const logged = () =>
      [...stack.api.logs, ...second.logs].filter(({ msg }) => /malformed entry/.test(msg ?? ''));
    await waitFor(() => new Set(logged().map(({ entry }) => entry)).size === 3, {
      describe: 'three malformed entries to be logged',
    });
  });

  it('drops what is about an app that has been deleted', async () => {
    await newTenant({ operational_events: true });
    const entry = await entryOf(stack, tenant.app);
    await stack.client.delete(tenant.path);
    await put(stack, entry);
    await outboxIsEmpty(stack);
    expect((await stack.client.get(`${OPERATORS}/events/${idOf(entry)}`)).status).toBe(404);
  });

  it('makes no events about the app sealpost itself, even if asked to', async () => {
    expect((await stack.client.put(OPERATORS, { operational_events: true })).status).toBe(200);
    const entry = await entryOf(stack, 'sealpost');
    await put(stack, entry);
    await outboxIsEmpty(stack);
    expect((await stack.client.get(`${OPERATORS}/events/${idOf(entry)}`)).status).toBe(404);
    expect(toldAt(receiver, '/ops', 'sealpost')).toEqual([]);
  });
});

describe('the app sealpost', () => {
  let stack: Stack;
  let receiver: Receiver;
  let operators: Loose;

  beforeAll(async () => {
    stack = await startStack();
    receiver = await Receiver.listen();
    operators = await makeOperators(stack, receiver);
  });

  it.each([
    ['an event', '/events', JSON.stringify({ type: 'lane.closed', payload: {} }), 'application/json'],
    [
      'a batch',
      '/events/batch',
      JSON.stringify({ events: [{ type: 'lane.closed', payload: {} }] }),
      'application/json',
    ],
    ['a stream', '/events/batch', '{"type":"lane.closed","payload":{}}\n', 'application/x-ndjson'],
  ])('nobody publishes in it by HTTP: %s is refused', async (_what, path, body, type) => {
    const refused = await stack.client.post(OPERATORS + path, body, { 'content-type': type });
    expect([refused.status, refused.json?.code], refused.text).toEqual([403, 'forbidden']);
    expect(refused.json.detail).toContain('sealpost');
    expect((await stack.client.get(`${OPERATORS}/deliveries`)).json.pagination.total).toBe(0);
  });

  it('operators alone act in it: it has no keys, and those of other apps are refused', async () => {
    const none = await stack.client.post(`${OPERATORS}/keys`, {});
    expect([none.status, none.json.code]).toEqual([409, 'app_protected']);
    const tenant = await Tenant.create(stack.client);
    const { key } = (await tenant.client.post(`${tenant.path}/keys`, {})).json;
    const other = stack.client.withKey(key);
    expect((await other.put(OPERATORS, {})).json.code).toBe('forbidden');
    const endpoint = { url: receiver.url('/theirs') };
    expect((await other.post(`${OPERATORS}/endpoints`, endpoint)).json.code).toBe('key_of_another_app');
    expect((await other.get(`${OPERATORS}/deliveries`)).json.code).toBe('key_of_another_app');
  });

  it('an operator can send a test to its endpoint', async () => {
    const test = { event_type: 'lane.closed', payload: { test: true } };
    const sent = await stack.client.post(`${OPERATORS}/endpoints/${operators.id}/test`, test);
    expect(sent.status, sent.text).toBe(202);
    const [request] = await receiver.waitForRequests(1);
    expect(JSON.parse(request!.text)).toMatchObject({ type: 'lane.closed', data: { test: true } });
  });
});

// Each has a system of its own; they wait most of the time, and so do those that follow.
describe.concurrent('what goes wrong meanwhile:', () => {
  it('before there is an app sealpost, entries are removed and nothing is stored', async () => {
    const stack = await startStack({ workers: 0 });
    await put(stack, await entryOf(stack, 'default'));
    await outboxIsEmpty(stack);
    expect((await stack.client.get(OPERATORS)).status).toBe(404);
    expect(await stack.redis.client.get('{sp:0}:n')).toBeNull();
  });

  it('an API that dies after storing the event leaves the entry, and another makes no second event of it', async () => {
    const fault = { SEALPOST_FAULT_POINT: 'after-accept' };
    const stack = await startStack({ workers: 0, apiEnv: fault });
    await makeOperators(stack, await Receiver.listen());
    const entry = await entryOf(stack, 'default');
    await put(stack, entry);
    expect(await untilEnded(stack.api)).toMatchObject({ signal: 'SIGKILL' });
    expect(await stack.redis.client.llen(OUTBOX)).toBe(1);

    const { url } = await stack.addApi({ SEALPOST_FAULT_POINT: undefined });
    await outboxIsEmpty(stack);
    const next = new ApiClient(url, stack.apiKey);
    const { json } = await next.get(`${OPERATORS}/deliveries`);
    expect(json.data.map((delivery: Loose) => delivery.event_id)).toEqual([idOf(entry)]);
  });

  it('while Redis takes no writes the entry stays, and is published once it does', async () => {
    const stack = await startStack();
    const receiver = await Receiver.listen();
    await makeOperators(stack, receiver);
    const entry = await entryOf(stack, 'default');
    stack.api.freeze();
    await put(stack, entry);
    await stack.redis.client.config('SET', 'maxmemory', '1mb');
    stack.api.thaw();
    const waits = () => stack.api.logs.some(({ msg }) => /wait in the outbox/.test(msg ?? ''));
    await waitFor(waits, { describe: 'the API to say that it must wait' });
    expect(await stack.redis.client.llen(OUTBOX)).toBe(1);
    await stack.redis.client.config('SET', 'maxmemory', '0');
    await receiver.waitForRequests(1);
    await outboxIsEmpty(stack);
    expect((await stack.client.get(`${OPERATORS}/deliveries`)).json.pagination.total).toBe(1);
  });

  it('entries that cannot be published yet stay, and hold up nothing that stands behind them', async () => {
    const stack = await startStack();
    const receiver = await Receiver.listen();
    await makeOperators(stack, receiver);
    const [broken, whole] = [await Tenant.create(stack.client), await Tenant.create(stack.client)];
    const config = `{sp:0}:cfg:${await numberOf(stack, broken.app)}`;
    const record = (await stack.redis.client.hget(config, 'app'))!;
    const ofAnotherKey = record.replace(/^[0-9a-f]{8}/, 'ffffffff');
    expect(ofAnotherKey).not.toBe(record);
    await stack.redis.client.hset(config, 'app', ofAnotherKey);
    const [entry, COUNT] = [await entryOf(stack, broken.app), 250];
    const stuck = Array.from({ length: COUNT }, (_, n) => ({ ...entry, at: entry.at + n }));
    const others = [await entryOf(stack, whole.app), await entryOf(stack, whole.app)];
    await put(stack, others[0]!, ...stuck, others[1]!);
    const told = ({ app }: Tenant) => toldAt(receiver, '/ops', app);
    await waitFor(() => told(whole).length === 2, { describe: 'both entries of the whole app to be told' });
    await waitFor(async () => (await stack.redis.client.llen(OUTBOX)) === COUNT, {
      describe: 'only what cannot be published to be left',
    });
    const waits = () => stack.api.logs.some(({ msg }) => /wait in the outbox/.test(msg ?? ''));
    await waitFor(waits, { describe: 'the API to say that some must wait' });
    await stack.redis.client.hset(config, 'app', record);
    await outboxIsEmpty(stack);
    await waitFor(() => told(broken).length === COUNT, { describe: 'the others to be told' });
    expect(told(whole)).toHaveLength(2);
  });

  it('what was dropped since the outbox was full is logged, once', async () => {
    const stack = await startStack({ workers: 0 });
    await stack.redis.client.set('{sp:0}:outbox:lost', '7');
    const lost = () => stack.api.logs.filter(({ msg }) => /outbox was full/.test(msg ?? ''));
    await waitFor(() => lost().length > 0, { describe: 'the loss to be logged' });
    expect(lost()[0]).toMatchObject({ level: 40, shard: 0, lost: 7 });
    expect(await stack.redis.client.exists('{sp:0}:outbox:lost')).toBe(0);
  });

  it('an API that drains relays no more, and ends', async () => {
    const stack = await startStack({ workers: 0 });
    const receiver = await Receiver.listen();
    await makeOperators(stack, receiver);
    // A request that is not over yet keeps the API alive while it drains.
    const stream = request(`${stack.api.url}/v1/apps/default/events/batch`, {
      method: 'POST',
      agent: false, // which would keep the connection
      headers: { authorization: `Bearer ${stack.apiKey}`, 'content-type': 'application/x-ndjson' },
    });
    stream.on('response', (response) => response.resume()).write('{"type":"a.b","payload":1}\n');
    await once(stream, 'response');
    const stopped = stack.api.stop();
    const draining = () => stack.api.logs.some(({ msg }) => msg === 'draining');
    await waitFor(draining, { describe: 'the API to drain' });
    await put(stack, await entryOf(stack, 'default'));
    // That nothing happens is the subject: twice the time in which it would.
    await delay(3000);
    expect(stack.api.process.exit).toBeUndefined();
    stream.end();
    expect(await stopped).toMatchObject({ code: 0 });
    expect(await stack.redis.client.llen(OUTBOX)).toBe(1);
    await stack.addApi();
    await outboxIsEmpty(stack);
  });
});

describe.concurrent('tells that', () => {
  let stack: Stack;
  let receiver: Receiver;

  beforeAll(async () => {
    stack = await startStack();
    receiver = await Receiver.listen();
    await makeOperators(stack, receiver);
  });

  const atOnce = { retry: { retry_on: 'transient', max_retries: 0 } };
  /** The first event of a type about an app. */
  const first = (app: string, type: string): Promise<Loose> =>
    waitFor(() => toldAt(receiver, '/ops', app).find((event) => event.type === type), {
      describe: `${type} about ${app}`,
    });
  const countOf = (app: string, type: string) =>
    toldAt(receiver, '/ops', app).filter((event) => event.type === type).length;

  it('a delivery is dead', async () => {
    const tenant = await Tenant.create(stack.client);
    receiver.respond('/refuses', 400);
    const endpoint = await tenant.endpoint({ url: receiver.url('/refuses'), ...atOnce });
    const { id: event, deliveries } = await tenant.publish({ type: 'order.created', payload: { n: 1 } });
    const delivery = await tenant.hasStatus(deliveries[0].id, 'dead');
    const { data } = await first(tenant.app, 'delivery.dead');
    expect(data).toEqual({
      app_id: tenant.app,
      endpoint_id: endpoint.id,
      delivery_id: delivery.id,
      event_id: event,
      event_type: 'order.created',
      reason: delivery.reason,
      attempt_count: 1,
      died_at: delivery.ended_at,
    });
    expect(countOf(tenant.app, 'delivery.dead')).toBe(1);
  });

  it('a delivery to a webhook_url is dead', async () => {
    const tenant = await Tenant.create(stack.client);
    receiver.respond('/once-refused', 400);
    const id = await tenant.send({ webhook_url: receiver.url('/once-refused'), ...atOnce });
    const { data } = await first(tenant.app, 'delivery.dead');
    expect(data).toMatchObject({ endpoint_id: null, delivery_id: id, attempt_count: 1 });
  });

  it('an endpoint was disabled by a 410', async () => {
    const tenant = await Tenant.create(stack.client);
    receiver.respond('/gone', 410);
    const endpoint = await tenant.endpoint({ url: receiver.url('/gone') });
    await tenant.send();
    const { data } = await first(tenant.app, 'endpoint.disabled');
    const disabled_at = expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
    expect(data).toEqual({ app_id: tenant.app, endpoint_id: endpoint.id, reason: 'gone', disabled_at });
    expect(countOf(tenant.app, 'endpoint.disabled')).toBe(1);
  });

  it('a lane closed, opened, and its endpoint recovered', async () => {
    const tenant = await Tenant.create(stack.client);
    receiver.respond('/down', 500);
    const retry = { strategy: 'schedule', schedule_seconds: [1], max_retries: 50 };
    const endpoint = await tenant.endpoint({ url: receiver.url('/down'), retry });
    const begun = Date.now();
    const ids = await Promise.all(Array.from({ length: 8 }, () => tenant.send()));

    const closed = await first(tenant.app, 'lane.closed');
    const { failing_since: failingSince, closed_at: closedAt } = closed.data;
    expect(closed.data).toMatchObject({ app_id: tenant.app, endpoint_id: endpoint.id });
    expect(Date.parse(failingSince)).toBeGreaterThanOrEqual(begun);
    expect(Date.parse(closedAt) - Date.parse(failingSince)).toBeGreaterThanOrEqual(5000);

    const url = receiver.url('/up');
    const patched = await tenant.client.patch(`${tenant.path}/endpoints/${endpoint.id}`, { url });
    expect(patched.status, patched.text).toBe(200);
    const opened = await first(tenant.app, 'lane.opened');
    expect(opened.data).toEqual({
      app_id: tenant.app,
      endpoint_id: endpoint.id,
      closed_since: closedAt,
      opened_at: expect.any(String),
      by: 'change',
    });
    const recovered = await first(tenant.app, 'endpoint.recovered');
    expect(recovered.data).toEqual({
      app_id: tenant.app,
      endpoint_id: endpoint.id,
      failing_since: failingSince,
      recovered_at: expect.any(String),
    });
    for (const id of ids) await tenant.hasStatus(id, 'delivered');
    for (const type of ['lane.closed', 'lane.opened', 'endpoint.recovered']) {
      expect(countOf(tenant.app, type), type).toBe(1);
    }
  });

  it('a delivery is dead, to an app whose endpoint refuses that too, without end to it', async () => {
    const tenant = await Tenant.create(stack.client, { operational_events: true });
    receiver.respond('/refuses-all', 400);
    await tenant.endpoint({ url: receiver.url('/refuses-all'), ...atOnce });
    await tenant.publish({ type: 'order.created', payload: { n: 1 } });
    const requests = await receiver.waitForRequests(2, { path: '/refuses-all' });
    expect(JSON.parse(requests[1]!.text)).toMatchObject({
      type: 'delivery.dead',
      data: { event_type: 'order.created' },
    });
    // The operators hear of both deaths; the app, of its own event's alone.
    await waitFor(() => countOf(tenant.app, 'delivery.dead') === 2, { describe: 'both to be told' });
    await outboxIsEmpty(stack);
    expect((await tenant.get('/deliveries')).json.pagination.total).toBe(2);
    expect(receiver.to('/refuses-all')).toHaveLength(2);
  });
});
