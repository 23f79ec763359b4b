import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { badFields, DialectClient, headerNames, hexSignature, msUntilRetry } from './harness/dialect.ts';
import { type Loose, type ReceivedRequest, Receiver, type Stack, startStack } from './harness/index.ts';

const PATH = '/compat/flagship/v1/admin/webhooks';
/** So that tests need not wait for the documented delays; those have a test of their own. */
const QUICK = { defaults: { retry: { base_seconds: 0.01 } } };
const SECONDS = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/;

/** The document's own change of a flag, with numbers that no parser gives back as they were. */
const FLAG_UPDATED = `{"resource": {"type": "flag", "key": "feature_x"},
  "data": {"before": {"key":"feature_x","enabled":true,"rollout":50.0,"config":{"color":"red"}},
    "after":{"key":"feature_x","enabled":false,"rollout":9007199254740993},
    "changes":{"enabled":{"before":true,"after":false}}},
  "metadata":{"apiKeyId":"key-123","ipAddress":"192.168.1.100","requestId":"req-456"}}`;

let stack: Stack;
let receiver: Receiver;
let flagship: DialectClient;

beforeAll(async () => {
  stack = await startStack();
});

beforeEach(async () => {
  receiver = await Receiver.listen();
  flagship = await DialectClient.open(stack.client, PATH, QUICK);
});

/** A webhook for all that happens to flags. */
const webhook = (input: object = {}): Promise<Loose> =>
  flagship.webhook({ url: receiver.url(), events: ['flag.*'], ...input });

const publish = (more: object = {}) =>
  flagship.tenant.publish({ type: 'flag.updated', payload: { resource: { type: 'flag' } }, ...more });

/** The only delivery of an event that is published, when it has ended. */
async function delivered(event: object = {}): Promise<Loose> {
  const { tenant } = flagship;
  return tenant.ended(await tenant.send({ type: 'flag.updated', ...event }));
}

describe('webhooks', () => {
  it('are made by the documented request, and answered as documented, with the secret this once', async () => {
    const input = {
      url: 'https://your-domain.com/webhook',
      description: 'Notify on prod flag changes',
      events: ['flag.created', 'flag.updated', 'flag.deleted'],
      environments: ['prod'],
      max_retries: 3,
      timeout_seconds: 10,
    };
    const made = await flagship.post('', input);
    expect(made.status, made.text).toBe(201);
    expect(made.json).toEqual({
      id: expect.stringMatching(/^ep_/),
      ...input,
      enabled: true,
      secret: expect.stringMatching(/^whsec_/),
      created_at: expect.stringMatching(SECONDS),
      updated_at: made.json.created_at,
    });
    const { secret, ...shown } = made.json;
    expect(made.headers.get('location')).toBe(`${PATH}/${shown.id}`);
    const one = await flagship.get(`/${shown.id}`);
    expect([one.status, one.json]).toEqual([200, shown]);
    const all = await flagship.get();
    expect(all.json).toEqual({ data: [shown], pagination: { page: 1, limit: 100, total: 1 } });
    expect(one.text + all.text).not.toContain(secret);
    expect((await flagship.tenant.get(`/endpoints/${shown.id}`)).json.wire_profile).toBe('flagship');
  });

  it('have the documented defaults, also where null stands for them', async () => {
    flagship = await DialectClient.open(stack.client, PATH);
    const bare = { description: null, environments: null, max_retries: null, timeout_seconds: null };
    for (const input of [{}, bare]) {
      expect(await webhook(input)).toMatchObject({
        description: '',
        environments: [],
        max_retries: 3,
        timeout_seconds: 10,
        enabled: true,
      });
    }
  });

  it.each([
    ['url', { url: undefined }],
    ['url', { url: 'not a url' }],
    ['events', { events: undefined }],
    ['events', { events: [] }],
    ['events[0]', { events: ['flag updated'] }],
    ['environments[1]', { environments: ['prod', 'a b'] }],
    ['max_retries', { max_retries: -1 }],
    ['max_retries', { max_retries: 51 }],
    ['timeout_seconds', { timeout_seconds: 0 }],
    ['timeout_seconds', { timeout_seconds: 301 }],
    ['enabled', { enabled: 'yes' }],
    ['secret', { secret: 'whsec_abc123...' }],
    ['is_active', { is_active: true }],
  ])('are refused with a bad %s', async (path, change) => {
    const good = { url: receiver.url(), events: ['flag.created'] };
    const { id } = await flagship.webhook(good);
    for (const refused of [
      await flagship.post('', { ...good, ...change }),
      await flagship.put(`/${id}`, { ...good, ...change }),
    ]) {
      expect([refused.status, refused.json.code, badFields(refused)]).toEqual([
        422,
        'validation_failed',
        [path],
      ]);
    }
  });

  it('take 0 to 50 retries and 1 to 300 seconds', async () => {
    const least = { max_retries: 0, timeout_seconds: 1 };
    const most = { max_retries: 50, timeout_seconds: 300 };
    for (const input of [least, most]) expect(await webhook(input)).toMatchObject(input);
  });

  it('are replaced by PUT as documented', async () => {
    const made = await webhook({ environments: ['prod'], description: 'before' });
    const { id, secret, created_at } = made;
    const input = {
      url: receiver.url('/new'),
      description: 'Updated description',
      enabled: true,
      events: ['flag.updated'],
      environments: ['prod', 'staging'],
      max_retries: 5,
      timeout_seconds: 15,
    };
    const put = await flagship.put(`/${id}`, input);
    expect([put.status, put.json]).toEqual([
      200,
      { id, ...input, created_at, updated_at: expect.stringMatching(SECONDS) },
    ]);
    await publish({ environment: 'staging' });
    const [request] = await receiver.waitForRequests(1, { path: '/new' });
    expect(request!.headers['x-flagship-signature']).toBe(hexSignature(request!, secret));
  });

  it('take by PUT what GET showed, changed', async () => {
    const { id } = await webhook();
    const { json } = await flagship.get(`/${id}`);
    const { updated_at: _, ...rest } = { ...json, description: 'changed' };
    const answer = await flagship.put(`/${id}`, { ...json, description: 'changed', id: 'ep_other' });
    expect(answer.status, answer.text).toBe(200);
    expect(answer.json).toMatchObject(rest);
  });

  it('go back to the defaults where PUT leaves something out; what goflagship cannot say stays', async () => {
    flagship = await DialectClient.open(stack.client, PATH);
    const { id, secret } = await webhook({
      description: 'd',
      environments: ['prod'],
      max_retries: 9,
      timeout_seconds: 60,
      enabled: false,
    });
    const endpoint = `${flagship.tenant.path}/endpoints/${id}`;
    const own = { name: 'n', headers: { 'X-Own': '1' }, metadata: { team: 'a' }, max_concurrency: 2 };
    await stack.client.patch(endpoint, { ...own, retry: { max_retries: 9, jitter: 0.5 } });
    const put = await flagship.put(`/${id}`, { url: receiver.url(), events: ['flag.**'] });
    expect(put.json).toMatchObject({
      description: '',
      environments: [],
      max_retries: 3,
      timeout_seconds: 10,
      enabled: true,
    });
    expect((await stack.client.get(endpoint)).json).toMatchObject({
      ...own,
      headers: { 'X-Own': '[redacted]' },
      retry: { max_retries: 3, jitter: 0.5 },
    });
    await publish();
    const [request] = await receiver.waitForRequests(1);
    expect(request!.headers['x-own']).toBe('1');
    expect(request!.headers['x-flagship-signature']).toBe(hexSignature(request!, secret));
  });

  it('take a secret of the client, and another one by PUT', async () => {
    const { id, secret } = await webhook({ secret: 'my own' });
    expect(secret).toBe('my own');
    await publish();
    const [first] = await receiver.waitForRequests(1);
    expect(first!.headers['x-flagship-signature']).toBe(hexSignature(first!, 'my own'));
    const put = await flagship.put(`/${id}`, { url: receiver.url(), events: ['flag.*'], secret: 'another' });
    expect(put.text).not.toContain('another');
    await publish();
    const [, second] = await receiver.waitForRequests(2);
    expect(second!.headers['x-flagship-signature']).toBe(hexSignature(second!, 'another'));
  });

  it('are deleted, and get nothing more', async () => {
    const { id } = await webhook();
    const deleted = await flagship.delete(`/${id}`);
    expect([deleted.status, deleted.text]).toEqual([204, '']);
    for (const path of [`/${id}`, `/${id}/deliveries`]) {
      expect((await flagship.get(path)).json.code).toBe('endpoint_not_found');
    }
    expect((await publish()).deliveries).toEqual([]);
  });

  it('are as many as there are, listed in pages', async () => {
    for (let n = 0; n < 21; n++) await webhook();
    expect((await flagship.get()).json.data).toHaveLength(21);
    const page = (await flagship.get('?page=3&limit=10')).json;
    expect([page.data.length, page.pagination]).toEqual([1, { page: 3, limit: 10, total: 21 }]);
  });

  it("are the app's endpoints with goflagship's wire profile, and no others", async () => {
    const { tenant } = flagship;
    const standard = await tenant.endpoint({ url: receiver.url() });
    for (const [method, path, body] of [
      ['GET', '', undefined],
      ['PUT', '', { url: receiver.url(), events: ['a'] }],
      ['DELETE', '', undefined],
      ['GET', '/deliveries', undefined],
      ['POST', '/test', undefined],
    ] as const) {
      const answer = await flagship.client.request(method, `${PATH}/${standard.id}${path}`, body);
      expect([answer.status, answer.json.code], method).toEqual([404, 'endpoint_not_found']);
    }
    expect((await flagship.get()).json.data).toEqual([]);
    await stack.client.put(tenant.path, { wire_profile: 'flagship' });
    expect((await flagship.get()).json.data.map(({ id }: Loose) => id)).toEqual([standard.id]);
  });
});

describe('a delivery', () => {
  it('is the documented payload, digit for digit, with the documented headers, signed', async () => {
    const { secret } = await webhook();
    const event = await flagship.tenant.publish(
      `{"type":"flag.updated","environment":"prod","payload":${FLAG_UPDATED}}`,
    );
    const [request] = (await receiver.waitForRequests(1)) as [ReceivedRequest];
    const timestamp = `${event.created_at.slice(0, 19)}Z`;
    const part = (from: string, to: string) =>
      FLAG_UPDATED.slice(FLAG_UPDATED.indexOf(from) + from.length, FLAG_UPDATED.lastIndexOf(to));
    const resource = part('"resource": ', ',\n  "data"');
    const data = part('"data": ', ',\n  "metadata"');
    const metadata = part('"metadata":', '}');
    expect(request.text).toBe(
      `{"event":"flag.updated","timestamp":"${timestamp}","environment":"prod",` +
        `"resource":${resource},"data":${data},"metadata":${metadata}}`,
    );
    expect(JSON.parse(request.text).data.changes).toEqual({ enabled: { before: true, after: false } });
    expect(headerNames(request)).toEqual([
      'X-Flagship-Delivery',
      'X-Flagship-Event',
      'X-Flagship-Signature',
      'content-type',
      'user-agent',
      'webhook-id',
      'webhook-signature',
      'webhook-timestamp',
    ]);
    expect(request.headers).toMatchObject({
      'content-type': 'application/json',
      'x-flagship-event': 'flag.updated',
      'x-flagship-delivery': event.deliveries[0].id,
      'x-flagship-signature': hexSignature(request, secret),
    });
  });

  it('comes for the events and the environments that are subscribed to', async () => {
    await webhook({ url: receiver.url('/created'), events: ['flag.created'] });
    await webhook({ url: receiver.url('/prod'), environments: ['prod'] });
    await webhook({ url: receiver.url('/both'), environments: ['prod', 'staging'] });
    await publish({ type: 'flag.created', environment: 'dev' });
    await publish({ type: 'flag.updated', environment: 'prod' });
    await publish({ type: 'flag.deleted', environment: 'staging' });
    await publish({ type: 'flag.deleted' });
    const total = (await flagship.tenant.get('/deliveries')).json.pagination.total;
    expect(total).toBe(4);
    await receiver.waitForRequests(4);
    const got = (path: string) =>
      receiver.to(path).map(({ text }) => {
        const { event, environment } = JSON.parse(text);
        return `${event} ${environment}`;
      });
    expect(got('/created')).toEqual(['flag.created dev']);
    expect(got('/prod')).toEqual(['flag.updated prod']);
    expect(got('/both').sort()).toEqual(['flag.deleted staging', 'flag.updated prod']);
  });

  it('does not come while the webhook is disabled', async () => {
    await webhook({ enabled: false });
    expect((await publish()).deliveries).toMatchObject([{ status: 'skipped' }]);
  });

  it.each([0, 2])('is tried again max_retries times, whatever is not 2xx: %i', async (max_retries) => {
    await webhook({ max_retries });
    receiver.respond((_, nth) => [302, 404, 500][nth - 1] ?? 200);
    const delivery = await delivered();
    expect(delivery).toMatchObject({ status: 'dead', attempt_count: max_retries + 1 });
  });

  it('waits 1, 2, 4 … seconds', async () => {
    flagship = await DialectClient.open(stack.client, PATH);
    const { id } = await webhook({ max_retries: 1 });
    expect((await flagship.tenant.get(`/endpoints/${id}`)).json).toMatchObject({
      timeout_seconds: 10,
      retry: { strategy: 'exponential', base_seconds: 1, factor: 2, jitter: 0, retry_on: 'non_2xx' },
      rate_limit: null,
    });
    receiver.respond(500);
    const { tenant } = flagship;
    const retrying = await tenant.hasStatus(await tenant.send({ type: 'flag.updated' }), 'retrying');
    expect(msUntilRetry(retrying)).toBeGreaterThan(900);
  });

  it('is ended by the timeout of its webhook', async () => {
    await webhook({ timeout_seconds: 1, max_retries: 0 });
    receiver.respond('hang');
    expect(await delivered()).toMatchObject({ status: 'dead', attempts: [{ error: 'timeout' }] });
  });

  it('is never dropped for being one of many: a thousand and more are kept', async () => {
    await webhook();
    const events = Array.from({ length: 600 }, (_, n) => ({ type: 'flag.created', payload: n }));
    const path = `${flagship.tenant.path}/events/batch`;
    await Promise.all([stack.client.post(path, { events }), stack.client.post(path, { events })]);
    await receiver.waitForRequests(1200);
  });
});

describe('the list of deliveries', () => {
  it('is as documented', async () => {
    const { id } = await webhook({ max_retries: 1 });
    const ok = await delivered();
    receiver.respond(503);
    const dead = await delivered();
    await flagship.put(`/${id}`, { url: receiver.url(), events: ['flag.*'], enabled: false });
    const skipped = await delivered();
    const second = (time: string) => `${time.slice(0, 19)}Z`;
    const { status, json } = await flagship.get(`/${id}/deliveries?page=1&limit=20`);
    expect(status).toBe(200);
    expect(json).toEqual({
      deliveries: [
        {
          id: skipped.id,
          event_type: 'flag.updated',
          timestamp: second(skipped.created_at),
          status_code: null,
          duration_ms: null,
          success: false,
          retry_count: 0,
        },
        {
          id: dead.id,
          event_type: 'flag.updated',
          timestamp: second(dead.attempts[1].started_at),
          status_code: 503,
          duration_ms: dead.attempts[1].duration_ms,
          success: false,
          retry_count: 1,
        },
        {
          id: ok.id,
          event_type: 'flag.updated',
          timestamp: second(ok.attempts[0].started_at),
          status_code: 200,
          duration_ms: ok.attempts[0].duration_ms,
          success: true,
          retry_count: 0,
        },
      ],
      pagination: { page: 1, limit: 20, total: 3 },
    });
    const page = (await flagship.get(`/${id}/deliveries?page=2&limit=1`)).json;
    expect(page.deliveries.map((delivery: Loose) => delivery.id)).toEqual([dead.id]);
    expect(page.pagination).toEqual({ page: 2, limit: 1, total: 3 });
    const deep = await flagship.get(`/${id}/deliveries?page=101&limit=100`);
    expect([deep.status, deep.json.code]).toEqual([400, 'page_too_deep']);
    expect(deep.json.detail).not.toContain('cursor');
  });
});

describe('a test', () => {
  it('is a real delivery with every member of the envelope, answered when it was attempted', async () => {
    const { id, secret } = await webhook({ events: ['flag.created'], environments: ['prod'] });
    const tested = await flagship.post(`/${id}/test`);
    expect(tested.status, tested.text).toBe(200);
    const [request] = receiver.requests as [ReceivedRequest];
    expect(tested.json).toEqual({
      success: true,
      status_code: 200,
      duration_ms: expect.any(Number),
      delivery_id: request.headers['x-flagship-delivery'],
      event_type: 'webhook.test',
      timestamp: expect.stringMatching(SECONDS),
    });
    expect(request.headers['x-flagship-event']).toBe('webhook.test');
    expect(request.headers['x-flagship-signature']).toBe(hexSignature(request, secret));
    const body = JSON.parse(request.text);
    expect(Object.keys(body)).toEqual(['event', 'timestamp', 'environment', 'resource', 'data', 'metadata']);
    expect(body).toMatchObject({
      event: 'webhook.test',
      environment: 'prod',
      resource: { type: 'webhook', key: id },
      data: { before: { key: id, enabled: true }, after: { key: id, enabled: true }, changes: {} },
      metadata: { apiKeyId: 'test', requestId: 'test' },
    });
    const [listed] = (await flagship.get(`/${id}/deliveries`)).json.deliveries;
    expect(listed).toMatchObject({ id: tested.json.delivery_id, success: true });
  });

  it('tells of a failure, of no answer, and of what was not sent', async () => {
    const { id } = await webhook({ max_retries: 0 });
    receiver.respond(418);
    expect((await flagship.post(`/${id}/test`, {})).json).toMatchObject({ success: false, status_code: 418 });
    receiver.respond('reset');
    expect((await flagship.post(`/${id}/test`)).json).toMatchObject({ success: false, status_code: null });
    receiver.clear();
    await flagship.put(`/${id}`, { url: receiver.url(), events: ['a'], enabled: false });
    expect((await flagship.post(`/${id}/test`)).json).toMatchObject({ success: false, duration_ms: null });
    expect(receiver.requests).toEqual([]);
    const refused = await flagship.post(`/${id}/test`, { event_type: 'a' });
    expect([refused.status, badFields(refused)]).toEqual([422, ['event_type']]);
  });

  it('with an Idempotency-Key is sent once, as a webhook is made once', async () => {
    const key = { 'idempotency-key': 'k' };
    const body = { url: receiver.url(), events: ['flag.*'] };
    const made = [await flagship.post('', body, key), await flagship.post('', body, key)];
    expect(made[1]!.json).toEqual(made[0]!.json);
    const { id } = made[0]!.json;
    const tests = [
      await flagship.post(`/${id}/test`, undefined, key),
      await flagship.post(`/${id}/test`, undefined, key),
    ];
    expect(tests[1]!.json).toEqual(tests[0]!.json);
    expect(receiver.requests).toHaveLength(1);
  });
});

describe('who calls', () => {
  it('with an app’s key acts in its app, and can reach no other', async () => {
    const other = await DialectClient.open(stack.client, PATH);
    const { id } = await webhook();
    expect((await other.get()).json.data).toEqual([]);
    const put = { url: receiver.url(), events: ['a'] };
    for (const answer of [
      await other.get(`/${id}`),
      await other.put(`/${id}`, put),
      await other.delete(`/${id}`),
      await other.get(`/${id}/deliveries`),
      await other.post(`/${id}/test`),
    ]) {
      expect([answer.status, answer.json.code]).toEqual([404, 'endpoint_not_found']);
    }
    const foreign = await other.client.get(PATH, { 'Sealpost-App': flagship.tenant.app });
    expect([foreign.status, foreign.json.code]).toEqual([403, 'key_of_another_app']);
    expect((await stack.client.withKey(undefined).get(PATH)).status).toBe(401);
  });

  it('with an operator’s key acts in the app that Sealpost-App names, or in default', async () => {
    const { id } = await webhook();
    const named = await stack.client.get(PATH, { 'Sealpost-App': flagship.tenant.app });
    expect(named.json.data.map((hook: Loose) => hook.id)).toEqual([id]);
    const made = await stack.client.post(PATH, { url: receiver.url(), events: ['a'] });
    expect((await stack.client.get(`/v1/apps/default/endpoints/${made.json.id}`)).status).toBe(200);
    await stack.client.delete(`${PATH}/${made.json.id}`);
  });
});

it('the routes are described in OpenAPI', async () => {
  const { paths } = (await stack.client.get('/openapi.json')).json;
  const described = Object.entries<Loose>(paths).filter(([path]) => path.startsWith(PATH));
  const methods = described.map(([path, ofPath]) => [path.slice(PATH.length), Object.keys(ofPath)]);
  expect(Object.fromEntries(methods)).toEqual({
    '': ['post', 'get'],
    '/{endpoint}': ['get', 'put', 'delete'],
    '/{endpoint}/test': ['post'],
    '/{endpoint}/deliveries': ['get'],
  });
  for (const [, ofPath] of described) {
    for (const { tags } of Object.values<Loose>(ofPath)) expect(tags).toEqual(['goflagship compatibility']);
  }
});
