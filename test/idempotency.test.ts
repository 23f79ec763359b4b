import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Answer, type Loose, Receiver, type Stack, startStack, Tenant } from './harness/index.ts';

let stack: Stack;
let receiver: Receiver;
let tenant: Tenant;

beforeAll(async () => {
  stack = await startStack();
  receiver = await Receiver.listen();
});

beforeEach(async () => {
  receiver = await Receiver.listen(); // of its own: what an earlier test left under way must not be counted
  receiver.respond(200);
  tenant = await Tenant.create(stack.client);
});

const EVENT = { type: 'a', payload: { n: 1 } };

const publish = (key: string, event: object | string = EVENT, of = tenant): Promise<Answer<Loose>> =>
  of.client.post(`${of.path}/events`, event, { 'idempotency-key': key });

const totalOf = async (of: Tenant): Promise<number> => (await of.get('/deliveries')).json.pagination.total;

describe('an Idempotency-Key', () => {
  it('with the same body gets the same answer, and makes one event', async () => {
    await tenant.endpoint({ url: receiver.url() });
    const first = await publish('key-1');
    await tenant.hasStatus(first.json.deliveries[0].id, 'delivered');
    const second = await publish('key-1');
    expect([second.status, second.text]).toEqual([202, first.text]);
    expect(second.headers.get('location')).toBe(first.headers.get('location'));
    expect(await totalOf(tenant)).toBe(1);
    expect((await publish('key-2')).json.id).not.toBe(first.json.id);
  });

  it('with another body is refused', async () => {
    await publish('key-1');
    for (const other of [{ ...EVENT, payload: { n: 2 } }, `${JSON.stringify(EVENT)} `]) {
      const refused = await publish('key-1', other);
      expect([refused.status, refused.json.code]).toEqual([422, 'idempotency_key_reused']);
    }
  });

  it('is refused with 409 while its request is still running', async () => {
    const { promise: slow, resolve: release } = Promise.withResolvers<number>();
    receiver.respond('/slow', () => slow);
    await tenant.endpoint({ url: receiver.url('/slow') });
    const headers = { 'idempotency-key': 'key-1', prefer: 'wait=25' };
    const running = tenant.client.post(`${tenant.path}/events`, EVENT, headers);
    await receiver.waitForRequests(1);
    const refused = await publish('key-1');
    expect([refused.status, refused.json.code]).toEqual([409, 'idempotency_in_progress']);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    release(200);
    const first = await running;
    expect(first.json.deliveries[0].status).toBe('delivered');
    expect((await publish('key-1')).text).toBe(first.text);
    expect(receiver.requests).toHaveLength(1);
  });

  it('makes one event when many come at once', async () => {
    await tenant.endpoint({ url: receiver.url() });
    const answers = await Promise.all(Array.from({ length: 20 }, () => publish('key-1')));
    const taken = answers.filter(({ status }) => status === 202);
    expect(answers.every(({ status }) => status === 202 || status === 409)).toBe(true);
    expect(new Set(taken.map(({ text }) => text)).size).toBe(1);
    expect(await totalOf(tenant)).toBe(1);
  });

  it('counts in its own app, and for its own route', async () => {
    const other = await Tenant.create(stack.client);
    const first = await publish('key-1');
    const second = await publish('key-1', { ...EVENT, payload: 2 }, other);
    expect(second.status).toBe(202);
    expect(second.json.id).not.toBe(first.json.id);
    const made = await tenant.client.post(
      `${tenant.path}/endpoints`,
      { url: receiver.url() },
      { 'idempotency-key': 'key-1' },
    );
    expect(made.status, made.text).toBe(201);
  });

  it('counts for a batch as a whole', async () => {
    await tenant.endpoint({ url: receiver.url() });
    const send = () =>
      tenant.client.post(
        `${tenant.path}/events/batch`,
        { events: [EVENT, { type: '!' }, EVENT] },
        { 'idempotency-key': 'key-1' },
      );
    const first = await send();
    expect(first.status, first.text).toBe(202);
    expect((await send()).text).toBe(first.text);
    expect(await totalOf(tenant)).toBe(2);
  });

  it('makes one endpoint with one secret, which is not kept in the clear', async () => {
    const make = () =>
      tenant.client.post(
        `${tenant.path}/endpoints`,
        { url: receiver.url() },
        { 'idempotency-key': 'make-it' },
      );
    const first = await make();
    expect(first.status, first.text).toBe(201);
    expect((await make()).text).toBe(first.text);
    expect((await tenant.get('/endpoints')).json.pagination.total).toBe(1);
    const { client } = stack.redis;
    const kept = await client.keys('{sp:0}:i:*');
    for (const key of kept) expect(await client.get(key)).not.toContain(first.json.secret);
    expect(kept.length).toBeGreaterThan(0);
    expect(await client.ttl(kept[0]!)).toBeGreaterThan(0);
  });

  it('makes one attempt of two retries by hand', async () => {
    receiver.respond('/retried', 500);
    await tenant.endpoint({ url: receiver.url('/retried'), retry: { max_retries: 0 } });
    const id = await tenant.send();
    await tenant.hasStatus(id, 'dead');
    const retry = () =>
      tenant.client.post(`${tenant.path}/deliveries/${id}/retry`, undefined, { 'idempotency-key': 'again' });
    const first = await retry();
    expect(first.status, first.text).toBe(202);
    await tenant.until(id, (d) => d.status === 'dead' && d.attempt_count === 2, 'be dead again');
    const second = await retry();
    expect([second.status, second.text]).toEqual([202, first.text]);
    expect(await tenant.delivery(id)).toMatchObject({ status: 'dead', attempt_count: 2 });
  });

  it('is not taken by a request that is refused', async () => {
    expect((await publish('key-1', { type: 'a' })).status).toBe(422);
    expect((await publish('key-1')).status).toBe(202);
  });

  it.each(['', 'x'.repeat(256), 'a b', 'a\u00e9'])('is refused when it is malformed: %j', async (key) => {
    const answer = await publish(key);
    expect([answer.status, answer.json.code]).toEqual([400, 'invalid_idempotency_key']);
  });
});

describe("an event's own id", () => {
  it('is its webhook-id, and makes one event however often it is published', async () => {
    await tenant.endpoint({ url: receiver.url() });
    const first = await tenant.publish({ ...EVENT, id: 'order-17_a' });
    expect(first.id).toBe('order-17_a');
    const [request] = await receiver.waitForRequests(1);
    expect(request!.headers['webhook-id']).toBe('order-17_a');
    await tenant.hasStatus(first.deliveries[0].id, 'delivered');

    const second = await tenant.publish({ type: 'other', payload: { n: 2 }, id: 'order-17_a' });
    expect(second).toMatchObject({ id: first.id, type: 'a', created_at: first.created_at });
    expect(second.deliveries.map((d: Loose) => d.id)).toEqual(first.deliveries.map((d: Loose) => d.id));
    expect(await totalOf(tenant)).toBe(1);
    const shown = await tenant.get('/events/order-17_a');
    expect(shown.json).toMatchObject({ id: 'order-17_a', type: 'a', payload: { n: 1 } });
  });

  it('makes one event when it is published many times at once, also in one batch', async () => {
    await tenant.endpoint({ url: receiver.url() });
    const event = { ...EVENT, id: 'same', correlation_id: 'c' };
    const single = Array.from({ length: 10 }, () => tenant.publish(event));
    const batch = tenant.client.post(`${tenant.path}/events/batch`, { events: [event, event, event] });
    const published = [
      ...(await Promise.all(single)),
      ...(await batch).json.results.map((r: Loose) => r.event),
    ];
    expect(new Set(published.map(({ deliveries }) => deliveries[0].id)).size).toBe(1);
    expect(new Set(published.map(({ sequence }) => sequence))).toEqual(new Set([1]));
    expect(await totalOf(tenant)).toBe(1);
  });

  it('is of its app alone', async () => {
    const other = await Tenant.create(stack.client);
    await tenant.endpoint({ url: receiver.url('/mine') });
    await other.endpoint({ url: receiver.url('/theirs') });
    await tenant.publish({ ...EVENT, id: 'same' });
    const theirs = await other.publish({ type: 'b', payload: 2, id: 'same' });
    expect(theirs.type).toBe('b');
    await receiver.waitForRequests(2);
    expect((await other.get('/events/same')).json.payload).toBe(2);
    expect((await tenant.get('/events/same')).json.payload).toEqual({ n: 1 });
  });

  it('that is known, of an event that is gone, is to be published again, and no mistake of the producer', async () => {
    await tenant.publish({ ...EVENT, id: 'gone' });
    const { client } = stack.redis;
    const all = await client.keys('{sp:0}:e:*');
    for (const key of all) {
      const records = Object.entries(await client.hgetall(key));
      for (const [field, record] of records) if (record.includes('"gone"')) await client.hdel(key, field);
    }
    const answer = await tenant.client.post(`${tenant.path}/events`, { ...EVENT, id: 'gone' });
    expect([answer.status, answer.json.code]).toEqual([503, 'queue_unavailable']);
    expect(answer.headers.get('retry-after')).toBe('1');
  });

  it('cannot have the form of a made one, nor other characters', async () => {
    const made = await tenant.publish(EVENT);
    for (const id of [made.id, '', 'a b', 'a.b', 'x'.repeat(65), 1, null]) {
      const answer = await tenant.client.post(`${tenant.path}/events`, { ...EVENT, id });
      expect(answer.status, JSON.stringify(id)).toBe(422);
      expect(answer.json.errors[0].path).toBe('id');
    }
  });

  it('of an event in another app is not found', async () => {
    const other = await Tenant.create(stack.client);
    const { id } = await other.publish(EVENT);
    for (const unknown of [id, 'never', 'evt_000000000000', '__proto__']) {
      const answer = await tenant.get(`/events/${unknown}`);
      expect([answer.status, answer.json.code], unknown).toEqual([404, 'event_not_found']);
    }
  });
});
