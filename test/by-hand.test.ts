import { parseId } from '@sealpost/core';
import { place } from '@sealpost/queue';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  inTurn,
  type Loose,
  Receiver,
  type Stack,
  startStack,
  Tenant,
  verifySignature,
  waitFor,
} from './harness/index.ts';

let stack: Stack;
let receiver: Receiver;
let tenant: Tenant;

beforeAll(async () => {
  stack = await startStack();
  receiver = await Receiver.listen();
});

beforeEach(async () => {
  receiver = await Receiver.listen(); // of its own: what an earlier test left under way must not be counted
  tenant = await Tenant.create(stack.client);
});

const retry = (id: string) => tenant.client.post(`${tenant.path}/deliveries/${id}/retry`);
const cancel = (id: string) => tenant.client.post(`${tenant.path}/deliveries/${id}/cancel`);
const failing = { base_seconds: 0.01, max_retries: 1 };
/** A retry that is due after the end of any test. */
const patient = { base_seconds: 1000 };

describe('a retry by hand', () => {
  it('of a dead delivery goes on with its attempts, and can make it delivered', async () => {
    receiver.respond('/mended', inTurn(500, 501, 200));
    const endpoint = await tenant.endpoint({ url: receiver.url('/mended'), retry: failing });
    const id = await tenant.send();
    await tenant.hasStatus(id, 'dead');
    const answer = await retry(id);
    expect([answer.status, answer.json.id], answer.text).toEqual([202, id]);
    const delivery = await tenant.hasStatus(id, 'delivered');
    expect(delivery).toMatchObject({ attempt_count: 3, last_status_code: 200, reason: null });
    expect(delivery.attempts.map((a: Loose) => [a.number, a.status_code])).toEqual([
      [1, 500],
      [2, 501],
      [3, 200],
    ]);
    const [first, , third] = receiver.to('/mended');
    expect([third!.text, third!.headers['webhook-id']]).toEqual([first!.text, first!.headers['webhook-id']]);
    verifySignature(third!, endpoint.secret);
  });

  it('has all its retries anew', async () => {
    receiver.respond('/broken', 500);
    await tenant.endpoint({ url: receiver.url('/broken'), retry: failing });
    const id = await tenant.send();
    await tenant.hasStatus(id, 'dead');
    await retry(id);
    await tenant.until(id, (d) => d.status === 'dead' && d.attempt_count === 4, 'be dead after 4 attempts');
    expect(receiver.to('/broken')).toHaveLength(4);
    await retry(id);
    await tenant.until(id, (d) => d.status === 'dead' && d.attempt_count === 6, 'be dead after 6 attempts');
  });

  it('sends a delivered one again, once', async () => {
    await tenant.endpoint({ url: receiver.url('/twice') });
    const id = await tenant.send();
    await tenant.hasStatus(id, 'delivered');
    await retry(id);
    await tenant.until(id, (d) => d.status === 'delivered' && d.attempt_count === 2, 'be delivered twice');
    expect(receiver.to('/twice')).toHaveLength(2);
  });

  it('sends one that was skipped while its endpoint was disabled', async () => {
    const { id: endpoint } = await tenant.endpoint({ url: receiver.url('/late'), enabled: false });
    const id = await tenant.send();
    await tenant.client.patch(`${tenant.path}/endpoints/${endpoint}`, { enabled: true });
    expect((await retry(id)).status).toBe(202);
    expect(await tenant.hasStatus(id, 'delivered')).toMatchObject({ attempt_count: 1, reason: null });
  });

  it('is refused while the delivery is under way, or waits for its retry', async () => {
    const { promise: answer, resolve: release } = Promise.withResolvers<number>();
    receiver.respond('/slow', () => answer);
    receiver.respond('/waits', 500);
    await tenant.endpoint({ url: receiver.url('/slow'), event_types: ['slow'] });
    await tenant.endpoint({ url: receiver.url('/waits'), event_types: ['waits'], retry: patient });
    const slow = await tenant.send({ type: 'slow' });
    const waits = await tenant.send({ type: 'waits' });
    await receiver.waitForRequests(1, { path: '/slow' });
    await tenant.hasStatus(waits, 'retrying');
    for (const id of [slow, waits]) {
      const refused = await retry(id);
      expect([refused.status, refused.json.code]).toEqual([409, 'delivery_not_retryable']);
    }
    release(200);
    await tenant.hasStatus(slow, 'delivered');
    expect(receiver.requests).toHaveLength(2);
    await cancel(waits); // no job is left to the tests below
  });

  it('is refused when the endpoint has been deleted', async () => {
    receiver.respond('/deleted', 500);
    const endpoint = await tenant.endpoint({ url: receiver.url('/deleted'), retry: { max_retries: 0 } });
    const id = await tenant.send();
    await tenant.hasStatus(id, 'dead');
    await tenant.client.delete(`${tenant.path}/endpoints/${endpoint.id}`);
    const refused = await retry(id);
    expect([refused.status, refused.json.code]).toEqual([409, 'delivery_not_retryable']);
    expect(await tenant.delivery(id)).toMatchObject({ status: 'dead', attempt_count: 1 });
  });

  it('is refused when the payload is no longer kept, which the event says too', async () => {
    await tenant.endpoint({ url: receiver.url('/kept') });
    const { id: event, deliveries } = await tenant.publish({ type: 'a', payload: { n: 1 } });
    const [{ id }] = deliveries;
    await tenant.hasStatus(id, 'delivered');
    const { bucket, field } = place(parseId('evt', event)!.number);
    await stack.redis.client.hdel(`{sp:0}:b:${bucket}`, field); // as the end of its retention does
    const refused = await retry(id);
    expect([refused.status, refused.json.code]).toEqual([410, 'payload_expired']);
    expect(await tenant.delivery(id)).toMatchObject({ status: 'delivered', attempt_count: 1 });
    const shown = await tenant.get(`/events/${event}`);
    expect(shown.json).toMatchObject({ id: event, payload: null, payload_expired: true });
  });

  it('of what does not exist, or belongs to another app, is not found', async () => {
    const other = await Tenant.create(stack.client);
    await other.endpoint({ url: receiver.url('/theirs') });
    const theirs = await other.send();
    await other.hasStatus(theirs, 'delivered');
    for (const id of ['dlv_000000000000', 'dlv_zz0000000001', 'nonsense', theirs]) {
      for (const answer of [await retry(id), await cancel(id)]) {
        expect([answer.status, answer.json.code], id).toEqual([404, 'delivery_not_found']);
      }
    }
    expect(receiver.to('/theirs')).toHaveLength(1);
  });
});

describe('while the endpoint is disabled', () => {
  const enable = (endpoint: Loose) =>
    tenant.client.patch(`${tenant.path}/endpoints/${endpoint.id}`, { enabled: true });

  /** A dead delivery whose 410 has disabled its endpoint, retried by hand and so held in the lane. */
  async function held(path: string): Promise<{ endpoint: Loose; id: string }> {
    receiver.respond(path, inTurn(410, 200));
    const endpoint = await tenant.endpoint({ url: receiver.url(path) });
    const id = await tenant.send();
    await tenant.hasStatus(id, 'dead');
    expect((await retry(id)).status).toBe(202);
    const lane = `{sp:0}:lane:${parseId('ep', endpoint.id)!.number}`;
    await waitFor(() => stack.redis.client.hget(lane, 'q'), {
      describe: 'the delivery to be held in its lane',
    });
    return { endpoint, id };
  }

  it('a retry by hand waits, and goes out when it is enabled', async () => {
    const { endpoint, id } = await held('/held-retry');
    expect(receiver.requests).toHaveLength(1);
    await enable(endpoint);
    expect(await tenant.hasStatus(id, 'delivered')).toMatchObject({ attempt_count: 2 });
  });

  it('what is cancelled does not go out when it is enabled', async () => {
    const { endpoint, id } = await held('/held-cancel');
    expect((await cancel(id)).json).toMatchObject({ status: 'cancelled' });
    await enable(endpoint);
    await tenant.hasStatus(await tenant.send(), 'delivered');
    expect(await tenant.delivery(id)).toMatchObject({ status: 'cancelled', attempt_count: 1 });
    expect((await retry(id)).status).toBe(202);
    expect(await tenant.hasStatus(id, 'delivered')).toMatchObject({ attempt_count: 2 });
    expect(receiver.requests).toHaveLength(3);
  });

  it('what is cancelled and retried by hand goes out once', async () => {
    const { endpoint, id } = await held('/held-both');
    await cancel(id);
    await retry(id);
    await enable(endpoint);
    await tenant.hasStatus(id, 'delivered');
    await tenant.hasStatus(await tenant.send(), 'delivered');
    expect(await tenant.delivery(id)).toMatchObject({ attempt_count: 2 });
    expect(receiver.requests).toHaveLength(3);
  });
});

describe('a cancelled delivery', () => {
  it('that was retrying makes no further attempt, until it is retried by hand', async () => {
    receiver.respond('/cancelled', inTurn(500, 200));
    await tenant.endpoint({ url: receiver.url('/cancelled'), retry: patient });
    const id = await tenant.send();
    await tenant.hasStatus(id, 'retrying');
    const answer = await cancel(id);
    expect(answer.status, answer.text).toBe(200);
    expect(answer.json).toMatchObject({ id, status: 'cancelled', reason: 'cancelled_by_request' });
    expect(answer.json.next_attempt_at).toBeNull();
    const jobs = () => stack.redis.client.keys(`{sp:0}:deliveries-0:${id}*`);
    await waitFor(async () => (await jobs()).length === 0, { describe: 'its job to be gone' });
    expect((await cancel(id)).json).toMatchObject({ status: 'cancelled' });

    await retry(id);
    expect(await tenant.hasStatus(id, 'delivered')).toMatchObject({ attempt_count: 2 });
  });

  it('whose attempt is under way is delivered when that succeeds', async () => {
    const { promise: answer, resolve: release } = Promise.withResolvers<number>();
    receiver.respond('/held', () => answer);
    await tenant.endpoint({ url: receiver.url('/held') });
    const id = await tenant.send();
    await receiver.waitForRequests(1);
    expect((await cancel(id)).json).toMatchObject({ status: 'cancelled' });
    release(200);
    expect(await tenant.hasStatus(id, 'delivered')).toMatchObject({ attempt_count: 1, reason: null });
  });

  it('cannot have ended before', async () => {
    await tenant.endpoint({ url: receiver.url('/done') });
    const id = await tenant.send();
    await tenant.hasStatus(id, 'delivered');
    const refused = await cancel(id);
    expect([refused.status, refused.json.code]).toEqual([409, 'delivery_not_cancellable']);
  });
});

describe('deleting cancels the backlog in the background:', () => {
  const BACKLOG = 250;

  async function makeBacklog(url: string): Promise<Loose> {
    const endpoint = await tenant.endpoint({ url, retry: patient });
    const events = Array.from({ length: BACKLOG }, (_, i) => ({ type: 'order.created', payload: i }));
    const answer = await tenant.client.post(`${tenant.path}/events/batch`, { events });
    expect(answer.status, answer.text).toBe(202);
    await counted('retrying', BACKLOG);
    return endpoint;
  }

  const counted = (status: string, count: number) =>
    waitFor(
      async () => (await tenant.get(`/deliveries?status=${status}&limit=1`)).json.pagination.total === count,
      { describe: `${count} deliveries to be ${status}` },
    );

  it('of an endpoint', async () => {
    receiver.respond('/backlog', 500);
    const endpoint = await makeBacklog(receiver.url('/backlog'));
    const deleted = await tenant.client.delete(`${tenant.path}/endpoints/${endpoint.id}`);
    expect(deleted.status).toBe(204);
    expect((await tenant.get(`/endpoints/${endpoint.id}`)).status).toBe(404);
    await counted('cancelled', BACKLOG);
    const { data } = (await tenant.get('/deliveries?limit=1')).json;
    expect(data[0]).toMatchObject({ status: 'cancelled', reason: 'endpoint_deleted', attempt_count: 1 });
    expect((await tenant.publish({ type: 'order.created', payload: 1 })).deliveries).toEqual([]);
    const left = { describe: 'BullMQ to have no delayed job left' };
    await waitFor(async () => (await stack.redis.client.zcard('{sp:0}:deliveries-0:delayed')) === 0, left);
    expect(receiver.requests).toHaveLength(BACKLOG);
  });

  it('of an app', async () => {
    receiver.respond('/app', 500);
    await tenant.endpoint({ url: receiver.url('/app'), retry: patient });
    const ids = await Promise.all(Array.from({ length: 20 }, () => tenant.send()));
    for (const id of ids) await tenant.hasStatus(id, 'retrying');
    const deleted = await tenant.client.delete(tenant.path);
    expect(deleted.status, deleted.text).toBe(204);
    expect((await tenant.get('')).status).toBe(404);
    expect((await tenant.get(`/deliveries/${ids[0]}`)).status).toBe(404);
    const left = { describe: 'BullMQ to have no delayed job left' };
    await waitFor(async () => (await stack.redis.client.zcard('{sp:0}:deliveries-0:delayed')) === 0, left);
  });
});
