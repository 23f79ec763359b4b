import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { badFields, DialectClient, headerNames, hexSignature, msUntilRetry } from './harness/dialect.ts';
import {
  type Loose,
  type ReceivedRequest,
  Receiver,
  type Stack,
  startStack,
  waitFor,
} from './harness/index.ts';

const PATH = '/compat/taskflow/api/webhooks';
/** So that tests need not wait for the documented delays; those have a test of their own. */
const QUICK = { defaults: { retry: { base_seconds: 0.01 } } };
const SECONDS = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/;

let stack: Stack;
let receiver: Receiver;
let taskflow: DialectClient;

beforeAll(async () => {
  stack = await startStack();
});

beforeEach(async () => {
  receiver = await Receiver.listen();
  taskflow = await DialectClient.open(stack.client, PATH, QUICK);
});

let names = 0;
/** A webhook for `job.completed`, under a name of its own. */
const webhook = (input: object = {}): Promise<Loose> =>
  taskflow.webhook({ name: `hook ${++names}`, url: receiver.url(), events: ['job.completed'], ...input });

/** The only delivery of an event that is published, when it has ended. */
async function delivered(event: object = {}): Promise<Loose> {
  const { tenant } = taskflow;
  return tenant.ended(await tenant.send({ type: 'job.completed', ...event }));
}

const publish = (type: string, more: object = {}) =>
  taskflow.tenant.publish({ type, payload: { n: 1 }, ...more });

describe('webhooks', () => {
  it('are made by the documented request, and shown without their secret', async () => {
    const made = await taskflow.post('', {
      name: 'My Integration',
      url: 'https://example.com/webhook',
      description: 'Notify my system about job completions',
      events: ['job.completed', 'job.failed'],
      headers: { 'X-Custom-Header': 'value' },
      secret_token: 'your-secret-token',
      retry_count: 3,
      timeout_seconds: 30,
    });
    expect(made.status, made.text).toBe(201);
    const { id } = made.json;
    expect(made.headers.get('location')).toBe(`${PATH}/${id}`);
    expect(made.json).toEqual({
      id: expect.stringMatching(/^ep_/),
      name: 'My Integration',
      url: 'https://example.com/webhook',
      description: 'Notify my system about job completions',
      events: ['job.completed', 'job.failed'],
      headers: { 'X-Custom-Header': '[redacted]' },
      has_secret: true,
      retry_count: 3,
      timeout_seconds: 30,
      is_active: true,
      created_at: expect.stringMatching(SECONDS),
      updated_at: made.json.created_at,
    });
    const one = await taskflow.get(`/${id}`);
    expect([one.status, one.json]).toEqual([200, made.json]);
    const all = await taskflow.get();
    expect(all.json).toEqual({ data: [made.json], pagination: { page: 1, limit: 100, total: 1 } });
    for (const { text } of [made, one, all]) expect(text).not.toContain('your-secret-token');
    expect(await taskflow.tenant.get(`/endpoints/${id}`)).toMatchObject({
      json: {
        wire_profile: 'taskflow',
        retry: { max_retries: 3 },
        event_types: ['job.completed', 'job.failed'],
      },
    });
  });

  it('have the documented defaults, also where null stands for them', async () => {
    const bare = {
      headers: null,
      description: null,
      secret_token: null,
      retry_count: null,
      timeout_seconds: null,
    };
    taskflow = await DialectClient.open(stack.client, PATH);
    for (const input of [{}, bare]) {
      expect(await webhook(input)).toMatchObject({
        description: '',
        headers: {},
        has_secret: false,
        retry_count: 3,
        timeout_seconds: 30,
        is_active: true,
      });
    }
  });

  it.each([
    ['name', { name: undefined }],
    ['name', { name: '' }],
    ['url', { url: undefined }],
    ['url', { url: 'ftp://example.com/' }],
    ['events', { events: undefined }],
    ['events', { events: [] }],
    ['events[1]', { events: ['a', 'b..c'] }],
    ['headers.Host', { headers: { Host: 'example.com' } }],
    ['secret_token', { secret_token: '' }],
    ['secret_token', { secret_token: 'x'.repeat(257) }],
    ['secret_token', { secret_token: '[redacted]' }],
    ['retry_count', { retry_count: -1 }],
    ['retry_count', { retry_count: 11 }],
    ['retry_count', { retry_count: 1.5 }],
    ['timeout_seconds', { timeout_seconds: 4 }],
    ['timeout_seconds', { timeout_seconds: 301 }],
    ['is_active', { is_active: null }],
    ['max_retries', { max_retries: 3 }],
  ])('are refused with a bad %s', async (path, change) => {
    const good = { name: 'x', url: 'https://example.com/', events: ['job.*'] };
    const refused = await taskflow.post('', { ...good, ...change });
    expect([refused.status, refused.json.code, badFields(refused)]).toEqual([
      422,
      'validation_failed',
      [path],
    ]);
    expect(refused.headers.get('content-type')).toContain('application/problem+json');
    expect((await taskflow.get()).json.pagination.total).toBe(0);

    const { id } = await taskflow.webhook(good);
    if (Object.values(change)[0] === undefined) return; // left out of a PATCH: unchanged
    const patched = await taskflow.patch(`/${id}`, change);
    expect([patched.status, badFields(patched)]).toEqual([422, [path]]);
  });

  it('take 0 to 10 retries and 5 to 300 seconds', async () => {
    expect(await webhook({ retry_count: 0, timeout_seconds: 5 })).toMatchObject({
      retry_count: 0,
      timeout_seconds: 5,
    });
    expect(await webhook({ retry_count: 10, timeout_seconds: 300 })).toMatchObject({
      retry_count: 10,
      timeout_seconds: 300,
    });
  });

  it('have unique names', async () => {
    const first = await webhook({ name: 'one' });
    const other = await webhook({ name: 'other' });
    const taken = [
      await taskflow.post('', { name: 'one', url: receiver.url(), events: ['a'] }),
      await taskflow.patch(`/${other.id}`, { name: 'one' }),
    ];
    for (const answer of taken) expect([answer.status, answer.json.code]).toEqual([409, 'name_taken']);
    expect((await taskflow.patch(`/${first.id}`, { name: 'one' })).status).toBe(200);
    await taskflow.delete(`/${first.id}`);
    expect((await taskflow.patch(`/${other.id}`, { name: 'one' })).json.name).toBe('one');
  });

  it('are changed by PATCH as documented: what is not given stays', async () => {
    const made = await webhook({
      description: 'd',
      headers: { 'X-A': '1' },
      retry_count: 7,
      secret_token: 's',
    });
    const events = ['job.completed', 'job.failed', 'request.created'];
    const changed = await taskflow.patch(`/${made.id}`, { events });
    expect(changed.json).toEqual({ ...made, events, updated_at: expect.stringMatching(SECONDS) });
    await publish('request.created');
    const [request] = await receiver.waitForRequests(1);
    expect(request!.headers['x-a']).toBe('1');
    expect(request!.headers['x-taskflow-signature']).toBe(hexSignature(request!, 's'));
  });

  it('go back to the defaults where PATCH says null', async () => {
    const { id } = await webhook({
      description: 'd',
      headers: { 'X-A': '1' },
      retry_count: 7,
      timeout_seconds: 60,
      secret_token: 's',
    });
    const change = {
      description: null,
      headers: null,
      retry_count: null,
      timeout_seconds: null,
      secret_token: null,
    };
    expect((await taskflow.patch(`/${id}`, change)).json).toMatchObject({
      description: '',
      headers: {},
      retry_count: 3,
      timeout_seconds: 30,
      has_secret: false,
    });
    for (const field of ['name', 'url', 'events']) {
      const refused = await taskflow.patch(`/${id}`, { [field]: null });
      expect([refused.status, badFields(refused)]).toEqual([422, [field]]);
    }
  });

  it("keep what Sealpost's own API says beside retry_count", async () => {
    const { id } = await webhook({ retry_count: 7 });
    const endpoint = `${taskflow.tenant.path}/endpoints/${id}`;
    await stack.client.patch(endpoint, { retry: { jitter: 0.5, max_retries: 2 }, metadata: { team: 'a' } });
    await taskflow.patch(`/${id}`, { retry_count: 4 });
    const changed = { retry: { jitter: 0.5, max_retries: 4 }, metadata: { team: 'a' } };
    expect((await stack.client.get(endpoint)).json).toMatchObject(changed);
    await taskflow.patch(`/${id}`, { retry_count: null });
    expect((await stack.client.get(endpoint)).json.retry).toMatchObject({ jitter: 0.5, max_retries: 3 });
  });

  it('are deleted, and get nothing more', async () => {
    const { id } = await webhook();
    const deleted = await taskflow.delete(`/${id}`);
    expect([deleted.status, deleted.text]).toEqual([204, '']);
    for (const path of [`/${id}`, `/${id}/deliveries`]) {
      expect((await taskflow.get(path)).json.code).toBe('endpoint_not_found');
    }
    expect((await taskflow.delete(`/${id}`)).status).toBe(404);
    expect((await publish('job.completed')).deliveries).toEqual([]);
  });

  it('are ten at most, also when made at once, unless the operator says otherwise', async () => {
    const make = (n: number) => ({ name: `w${n}`, url: receiver.url(), events: ['a'] });
    const made = await Promise.all(Array.from({ length: 13 }, (_, n) => taskflow.post('', make(n))));
    const refused = made.filter(({ status }) => status !== 201);
    expect(refused.map(({ status, json }) => [status, json.code])).toEqual(
      Array(3).fill([409, 'endpoint_limit_reached']),
    );
    expect((await taskflow.get()).json.data).toHaveLength(10);
    await stack.client.put(taskflow.tenant.path, { max_endpoints: 11 });
    expect((await taskflow.post('', make(20))).status).toBe(201);
    expect((await taskflow.post('', make(21))).json.code).toBe('endpoint_limit_reached');
  });

  it('are listed in pages', async () => {
    const made = [await webhook(), await webhook(), await webhook()];
    const first = await taskflow.get('?page=1&limit=2');
    expect(first.json.data.map(({ id }: Loose) => id)).toEqual([made[2].id, made[1].id]);
    expect(first.json.pagination).toMatchObject({ page: 1, limit: 2, total: 3 });
    expect((await taskflow.get('?page=2&limit=2')).json.data.map(({ id }: Loose) => id)).toEqual([
      made[0].id,
    ]);
    const second = await taskflow.get(`?limit=2&cursor=${first.json.pagination.cursor}`);
    expect(second.json.data.map(({ id }: Loose) => id)).toEqual([made[0].id]);
  });

  it("are the app's endpoints with TaskFlow's wire profile, and no others", async () => {
    const { tenant } = taskflow;
    const standard = await tenant.endpoint({ url: receiver.url(), name: 'standard' });
    for (const [method, path, body] of [
      ['GET', '', undefined],
      ['PATCH', '', { is_active: false }],
      ['DELETE', '', undefined],
      ['GET', '/deliveries', undefined],
      ['POST', '/test', { event_type: 'a', sample_data: 1 }],
    ] as const) {
      const answer = await taskflow.client.request(method, `${PATH}/${standard.id}${path}`, body);
      expect([answer.status, answer.json.code], method).toEqual([404, 'endpoint_not_found']);
    }
    expect((await taskflow.get()).json.data).toEqual([]);

    const own = await tenant.endpoint({ url: receiver.url(), wire_profile: 'taskflow' });
    await stack.client.put(tenant.path, { wire_profile: 'taskflow' });
    const listed = (await taskflow.get()).json.data.map(({ id }: Loose) => id);
    expect(listed).toEqual([own.id, standard.id]);
  });
});

describe('a delivery', () => {
  it('is the documented payload, digit for digit, with the documented headers, signed', async () => {
    const hook = await webhook({
      secret_token: 'your-secret-token',
      headers: { 'X-Custom-Header': 'value' },
    });
    const payload = `{"job_id":"550e8400-e29b-41d4-a716-446655440000", "workflow_id":9007199254740993,"cost":1.10}`;
    const event = await taskflow.tenant.publish(
      `{"type":"job.completed","payload":${payload},"attributes":{"request_id":123}}`,
    );
    const [request] = (await receiver.waitForRequests(1)) as [ReceivedRequest];
    const timestamp = `${event.created_at.slice(0, 19)}Z`;
    expect(request.text).toBe(
      `{"type":"job.completed","request_id":123,"timestamp":"${timestamp}","payload":${payload}}`,
    );
    expect(request.method).toBe('POST');
    expect(headerNames(request)).toEqual([
      'X-TaskFlow-Delivery-ID',
      'X-TaskFlow-Event',
      'X-TaskFlow-Signature',
      'content-type',
      'user-agent',
      'webhook-id',
      'webhook-signature',
      'webhook-timestamp',
      'x-custom-header',
    ]);
    expect(request.headers).toMatchObject({
      'content-type': 'application/json',
      'x-taskflow-event': 'job.completed',
      'x-taskflow-delivery-id': event.deliveries[0].id,
      'x-taskflow-signature': hexSignature(request, 'your-secret-token'),
      'x-custom-header': 'value',
    });
    expect(event.deliveries[0].endpoint_id).toBe(hook.id);
  });

  it('has a request_id of null where the event has none', async () => {
    await webhook();
    await publish('job.completed');
    const [request] = await receiver.waitForRequests(1);
    expect(JSON.parse(request!.text)).toMatchObject({ request_id: null, payload: { n: 1 } });
  });

  it('comes for the events that are subscribed to, as long as the webhook is active', async () => {
    const { id } = await webhook({ events: ['job.*', 'request.status.changed'] });
    for (const type of ['job.started', 'request.created', 'request.status.changed']) await publish(type);
    await receiver.waitForRequests(2);
    const types = receiver.requests.map(({ headers }) => headers['x-taskflow-event']);
    expect(types.sort()).toEqual(['job.started', 'request.status.changed']);

    expect((await taskflow.patch(`/${id}`, { is_active: false })).json.is_active).toBe(false);
    expect((await publish('job.started')).deliveries[0].status).toBe('skipped');
    await taskflow.patch(`/${id}`, { is_active: true });
    await publish('job.failed');
    await receiver.waitForRequests(3);
    expect(receiver.requests.map(({ headers }) => headers['x-taskflow-event'])[2]).toBe('job.failed');
  });

  it('goes through the whole life that the document gives it: non-2xx is failed, and tried again', async () => {
    await webhook({ retry_count: 2 });
    receiver.respond((_, nth) => [404, 500, 204][nth - 1] ?? 200);
    const delivery = await delivered();
    expect(delivery).toMatchObject({ status: 'delivered', attempt_count: 3 });
    expect(delivery.attempts.map(({ status_code }: Loose) => status_code)).toEqual([404, 500, 204]);
  });

  it.each([0, 1])('is tried again retry_count times: %i', async (retry_count) => {
    await webhook({ retry_count });
    receiver.respond(500);
    expect(await delivered()).toMatchObject({ status: 'dead', attempt_count: retry_count + 1 });
  });

  it('waits 2, 4, 8 … seconds, at most 60, and at most an hour has 1,000', async () => {
    taskflow = await DialectClient.open(stack.client, PATH);
    const { id } = await webhook();
    expect((await taskflow.tenant.get(`/endpoints/${id}`)).json).toMatchObject({
      timeout_seconds: 30,
      retry: {
        strategy: 'exponential',
        base_seconds: 2,
        factor: 2,
        max_delay_seconds: 60,
        max_retries: 3,
        jitter: 0,
        retry_on: 'non_2xx',
      },
      rate_limit: { limit: 1000, period_seconds: 3600, over: 'hold' },
    });
    receiver.respond(500);
    const { tenant } = taskflow;
    const retrying = await tenant.hasStatus(await tenant.send({ type: 'job.completed' }), 'retrying');
    expect(msUntilRetry(retrying)).toBeGreaterThan(1900);
  });

  it('is ended by the timeout of its webhook', async () => {
    const { id } = await webhook({ timeout_seconds: 5, retry_count: 0 });
    receiver.respond('hang');
    await delivered();
    const [delivery] = (await taskflow.get(`/${id}/deliveries`)).json.data;
    expect(delivery).toMatchObject({ status: 'failed', response_status: null });
    expect(delivery.error_message).toMatch(/^timeout/);
  });

  it('beyond the 1,000 of an hour is held, not lost, and holds up no other webhook', async () => {
    const { id } = await webhook({ events: ['many'] });
    const events = Array.from({ length: 1000 }, (_, n) => ({ type: 'many', payload: n }));
    await stack.client.post(`${taskflow.tenant.path}/events/batch`, { events });
    for (let n = 0; n < 5; n++) await publish('many');
    const stats = async () => (await taskflow.tenant.get(`/endpoints/${id}/stats`)).json;
    const describe = '1,000 to be delivered and 5 to be held';
    await waitFor(
      async () => {
        const { counts, lane } = await stats();
        return counts.delivered === 1000 && lane.queued === 5 && lane.in_flight === 0;
      },
      { describe },
    );
    await webhook();
    expect(await delivered()).toMatchObject({ status: 'delivered' });
    expect((await stats()).counts).toMatchObject({ delivered: 1000, pending: 5 });
    expect(receiver.requests).toHaveLength(1001);
    expect((await taskflow.get(`/${id}/deliveries?status=pending`)).json.pagination.total).toBe(5);
  });
});

describe('without a secret_token', () => {
  it('nothing is signed, and there is no secret to show', async () => {
    const { id, has_secret } = await webhook();
    expect(has_secret).toBe(false);
    await publish('job.completed');
    const [request] = await receiver.waitForRequests(1);
    expect(headerNames(request!)).toEqual([
      'X-TaskFlow-Delivery-ID',
      'X-TaskFlow-Event',
      'content-type',
      'user-agent',
      'webhook-id',
      'webhook-timestamp',
    ]);
    const secret = await taskflow.tenant.get(`/endpoints/${id}/secret`);
    expect([secret.status, secret.json]).toEqual([200, { secret: null }]);
  });

  it('a webhook gets one by PATCH, and loses it by null', async () => {
    const { id } = await webhook();
    expect((await taskflow.patch(`/${id}`, { secret_token: 'whole tëxt' })).json.has_secret).toBe(true);
    await publish('job.completed');
    const [signed] = await receiver.waitForRequests(1);
    expect(signed!.headers['x-taskflow-signature']).toBe(hexSignature(signed!, 'whole tëxt'));
    expect((await taskflow.patch(`/${id}`, { secret_token: null })).json.has_secret).toBe(false);
    expect((await taskflow.patch(`/${id}`, { description: 'still none' })).json.has_secret).toBe(false);
    await publish('job.completed');
    const [, unsigned] = await receiver.waitForRequests(2);
    expect(unsigned!.headers).not.toHaveProperty('x-taskflow-signature');
    expect(unsigned!.headers).not.toHaveProperty('webhook-signature');
  });

  it('rotation gives it its first one, and from then on it must have one', async () => {
    const { id } = await webhook();
    const endpoint = `${taskflow.tenant.path}/endpoints/${id}`;
    const rotated = await stack.client.post(`${endpoint}/secret/rotate`, {});
    expect(rotated.status, rotated.text).toBe(200);
    // Nothing was signed before, so nothing goes on signing.
    expect(Date.parse(rotated.json.previous_expires_at)).toBeLessThanOrEqual(Date.now());
    await publish('job.completed');
    const [request] = await receiver.waitForRequests(1);
    expect(request!.headers['x-taskflow-signature']).toBe(hexSignature(request!, rotated.json.secret));
    expect(request!.headers['webhook-signature']!.split(' ')).toHaveLength(1);
    expect((await taskflow.get(`/${id}`)).json.has_secret).toBe(true);
    // As anywhere else, null then means a new one.
    await stack.client.patch(endpoint, { secret: null });
    expect((await stack.client.get(`${endpoint}/secret`)).json.secret).toMatch(/^whsec_/);
  });

  it("its app's signing_secret signs, and may be taken away again", async () => {
    const { id } = await webhook();
    const { path } = taskflow.tenant;
    await stack.client.put(path, { ...QUICK, signing_secret: 'of the app' });
    expect((await taskflow.get(`/${id}`)).json.has_secret).toBe(true);
    await publish('job.completed');
    const [signed] = await receiver.waitForRequests(1);
    expect(signed!.headers['x-taskflow-signature']).toBe(hexSignature(signed!, 'of the app'));

    const dependent = await taskflow.tenant.endpoint({ url: receiver.url('/own'), event_types: ['x'] });
    const refused = await stack.client.put(path, { ...QUICK, signing_secret: null });
    expect(refused.json.detail).toContain(': 1 endpoints');
    await stack.client.delete(`${path}/endpoints/${dependent.id}`);
    expect((await stack.client.put(path, { ...QUICK, signing_secret: null })).status).toBe(200);
    await publish('job.completed');
    const [, unsigned] = await receiver.waitForRequests(2);
    expect(unsigned!.headers).not.toHaveProperty('x-taskflow-signature');
  });
});

describe('the delivery history', () => {
  it('shows each delivery, and what went wrong', async () => {
    const { id } = await webhook({ retry_count: 1 });
    const ok = await delivered();
    receiver.respond({ status: 503, body: 'no' });
    const dead = await delivered();
    const { status, json } = await taskflow.get(`/${id}/deliveries`);
    expect(status).toBe(200);
    expect(json).toEqual({
      data: [
        {
          id: dead.id,
          webhook_id: id,
          event_type: 'job.completed',
          status: 'failed',
          attempts: 2,
          response_status: 503,
          error_message: 'HTTP 503',
          duration_ms: dead.attempts[1].duration_ms,
          created_at: `${dead.created_at.slice(0, 19)}Z`,
          completed_at: `${dead.ended_at.slice(0, 19)}Z`,
          next_retry_at: null,
        },
        {
          id: ok.id,
          webhook_id: id,
          event_type: 'job.completed',
          status: 'success',
          attempts: 1,
          response_status: 200,
          error_message: null,
          duration_ms: ok.attempts[0].duration_ms,
          created_at: `${ok.created_at.slice(0, 19)}Z`,
          completed_at: `${ok.ended_at.slice(0, 19)}Z`,
          next_retry_at: null,
        },
      ],
      pagination: { page: 1, limit: 20, total: 2 },
    });
  });

  it('names what no HTTP answer tells', async () => {
    const { id } = await webhook({ retry_count: 0, url: 'http://127.0.0.1:1/' });
    await delivered();
    const [delivery] = (await taskflow.get(`/${id}/deliveries`)).json.data;
    expect(delivery).toMatchObject({
      response_status: null,
      error_message: 'connection_failed: ECONNREFUSED',
    });
  });

  it('is filtered by TaskFlow’s statuses, and cut into pages', async () => {
    taskflow = await DialectClient.open(stack.client, PATH);
    const { tenant } = taskflow;
    const { id } = await webhook({ retry_count: 1, events: ['a'] });
    const endpoint = `${tenant.path}/endpoints/${id}`;
    const send = () => tenant.send({ type: 'a' });
    const success = await send();
    await tenant.ended(success);
    receiver.respond(500);
    const retrying = await send();
    await tenant.hasStatus(retrying, 'retrying');
    const dead = await tenant.send({ type: 'a', retry: { max_retries: 0 } });
    await tenant.hasStatus(dead, 'dead');
    await stack.client.post(`${endpoint}/pause`);
    const pending = await send();
    const cancelled = await send();
    await stack.client.post(`${tenant.path}/deliveries/${cancelled}/cancel`);
    await taskflow.patch(`/${id}`, { is_active: false });
    const skipped = await send();

    const listed = async (query: string) => {
      const { status, json, text } = await taskflow.get(`/${id}/deliveries${query}`);
      expect(status, text).toBe(200);
      return json.data.map((delivery: Loose) => delivery.id);
    };
    expect(await listed('?status=success')).toEqual([success]);
    expect(await listed('?status=delivered')).toEqual([success]);
    expect(await listed('?status=pending')).toEqual([pending]);
    expect(await listed('?status=skipped')).toEqual([skipped]);
    expect(await listed('?status=cancelled')).toEqual([cancelled]);
    expect(await listed('?status=pending,success')).toEqual([pending, success]);
    expect(await listed('?status=failed&page=1')).toEqual([dead, retrying]);
    expect(await listed('?status=failed&page=2&limit=1')).toEqual([retrying]);
    expect(await listed('?page=2&limit=4')).toEqual([retrying, success]);

    const failed = (await taskflow.get(`/${id}/deliveries?status=failed&limit=1`)).json;
    expect(failed.pagination).toMatchObject({ page: 1, limit: 1, total: 2 });
    const [, again] = (await taskflow.get(`/${id}/deliveries?status=failed`)).json.data;
    expect(again).toMatchObject({ status: 'failed', completed_at: null, error_message: 'HTTP 500' });
    expect(again.next_retry_at).toMatch(SECONDS);
    const bad = await taskflow.get(`/${id}/deliveries?status=dead`);
    expect([bad.status, bad.json.code, badFields(bad)]).toEqual([400, 'invalid_query', ['status[0]']]);
  });
});

describe('a test', () => {
  it('is sent as documented, and answered when it was attempted', async () => {
    const { id } = await webhook({ events: ['other'], secret_token: 's' });
    const tested = await taskflow.post(
      `/${id}/test`,
      `{"event_type":"job.completed","sample_data":{"custom":"test data","n":1.50}}`,
    );
    expect(tested.status, tested.text).toBe(200);
    expect(tested.json).toMatchObject({
      success: true,
      webhook_id: id,
      event_type: 'job.completed',
      status: 'success',
      attempts: 1,
      response_status: 200,
      error_message: null,
    });
    const [request] = receiver.requests;
    expect(request!.text).toMatch(
      /^\{"type":"job.completed","request_id":null,"timestamp":"[^"]+","payload":\{"custom":"test data","n":1.50\}\}$/,
    );
    expect(request!.headers['x-taskflow-signature']).toBe(hexSignature(request!, 's'));
    expect(request!.headers['x-taskflow-delivery-id']).toBe(tested.json.id);
    const [listed] = (await taskflow.get(`/${id}/deliveries`)).json.data;
    expect(tested.json).toEqual({ ...listed, success: true });
  });

  it('tells of a failure and of what was not sent', async () => {
    const { id } = await webhook({ retry_count: 0 });
    receiver.respond(418);
    const failed = await taskflow.post(`/${id}/test`, { event_type: 'a' });
    expect(failed.json).toMatchObject({
      success: false,
      status: 'failed',
      response_status: 418,
      error_message: 'HTTP 418',
    });
    expect(JSON.parse(receiver.requests[0]!.text).payload).toEqual({});
    await taskflow.patch(`/${id}`, { is_active: false });
    const skipped = await taskflow.post(`/${id}/test`, { event_type: 'a' });
    expect(skipped.json).toMatchObject({
      success: false,
      status: 'skipped',
      attempts: 0,
      error_message: 'endpoint_disabled',
    });
    expect(receiver.requests).toHaveLength(1);
  });

  it('does not wait for ever', async () => {
    const { id } = await webhook();
    const { promise, resolve } = Promise.withResolvers<number>();
    receiver.respond(() => promise);
    const body = { event_type: 'a', sample_data: 1 };
    const waiting = await taskflow.post(`/${id}/test`, body, { prefer: 'wait=1' });
    expect(waiting.json).toMatchObject({ success: false, status: 'pending', duration_ms: null });
    resolve(200);
    expect(await taskflow.tenant.ended(waiting.json.id)).toMatchObject({ status: 'delivered' });
  });

  it('is refused with a bad event_type or unknown field', async () => {
    const { id } = await webhook();
    const refused = await taskflow.post(`/${id}/test`, { event_type: 'a b', payload: {} });
    expect([refused.status, badFields(refused).sort()]).toEqual([422, ['event_type', 'payload']]);
  });
});

describe('who calls', () => {
  it('with an app’s key acts in its app, and can reach no other', async () => {
    const other = await DialectClient.open(stack.client, PATH);
    const { id } = await webhook();
    expect((await other.get()).json.data).toEqual([]);
    for (const [method, path] of [
      ['GET', ''],
      ['PATCH', ''],
      ['DELETE', ''],
      ['GET', '/deliveries'],
      ['POST', '/test'],
    ] as const) {
      const body =
        method === 'PATCH' ? { is_active: false } : method === 'POST' ? { event_type: 'a' } : undefined;
      const answer = await other.client.request(method, `${PATH}/${id}${path}`, body);
      expect([answer.status, answer.json.code], method + path).toEqual([404, 'endpoint_not_found']);
    }
    const foreign = await other.client.get(PATH, { 'Sealpost-App': taskflow.tenant.app });
    expect([foreign.status, foreign.json.code]).toEqual([403, 'key_of_another_app']);
    const own = await taskflow.client.get(PATH, { 'Sealpost-App': taskflow.tenant.app });
    expect(own.json.data).toHaveLength(1);
    expect((await stack.client.withKey('wrong').get(PATH)).status).toBe(401);
    expect((await stack.client.withKey(undefined).get(PATH)).status).toBe(401);
  });

  it('with an operator’s key acts in the app that Sealpost-App names, or in default', async () => {
    const { id } = await webhook();
    const named = await stack.client.get(PATH, { 'Sealpost-App': taskflow.tenant.app });
    expect(named.json.data.map((hook: Loose) => hook.id)).toEqual([id]);
    const missing = await stack.client.get(PATH, { 'Sealpost-App': 'nobody' });
    expect([missing.status, missing.json.code]).toEqual([404, 'app_not_found']);
    const made = await stack.client.post(PATH, { name: 'd', url: receiver.url(), events: ['a'] });
    expect(made.status).toBe(201);
    expect((await stack.client.get(`/v1/apps/default/endpoints/${made.json.id}`)).status).toBe(200);
    await stack.client.delete(`${PATH}/${made.json.id}`);
  });

  it('with an Idempotency-Key is heard once', async () => {
    const key = { 'idempotency-key': 'k' };
    const body = { name: 'once', url: receiver.url(), events: ['a'] };
    const [first, second] = [await taskflow.post('', body, key), await taskflow.post('', body, key)];
    expect(second.json).toEqual(first.json);
    expect([second.headers.get('location'), second.headers.get('idempotent-replayed')]).toEqual([
      first.headers.get('location'),
      'true',
    ]);
    const test = `/${first.json.id}/test`;
    const tests = [
      await taskflow.post(test, { event_type: 'a' }, key),
      await taskflow.post(test, { event_type: 'a' }, key),
    ];
    expect(tests[1]!.json).toEqual(tests[0]!.json);
    expect(receiver.requests).toHaveLength(1);
    const reused = await taskflow.post('', { ...body, name: 'other' }, key);
    expect(reused.json.code).toBe('idempotency_key_reused');
  });
});

it('the routes are described in OpenAPI', async () => {
  const { paths } = (await stack.client.get('/openapi.json')).json;
  const described = Object.entries<Loose>(paths).filter(([path]) => path.startsWith(PATH));
  expect(
    Object.fromEntries(described.map(([path, methods]) => [path.slice(PATH.length), Object.keys(methods)])),
  ).toEqual({
    '': ['post', 'get'],
    '/{endpoint}': ['get', 'patch', 'delete'],
    '/{endpoint}/test': ['post'],
    '/{endpoint}/deliveries': ['get'],
  });
  for (const methods of described.map(([, methods]) => Object.values<Loose>(methods))) {
    for (const { tags, parameters } of methods) {
      expect(tags).toEqual(['TaskFlow compatibility']);
      expect(parameters).toContainEqual(expect.objectContaining({ in: 'header', name: 'Sealpost-App' }));
    }
  }
});
