import { createHmac } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  type Loose,
  type ReceivedRequest,
  Receiver,
  type Stack,
  startStack,
  Tenant,
  verifySignature,
} from './harness/index.ts';

let stack: Stack;
let receiver: Receiver;
let tenant: Tenant;

beforeAll(async () => {
  stack = await startStack();
});

beforeEach(async () => {
  receiver = await Receiver.listen(); // of its own: what an earlier test left under way must not be counted
  tenant = await Tenant.create(stack.client);
});

const SECRET = 'your-secret-token';

/** What a receiver runs: whether a request is genuine. */
type Verify = (body: Buffer, headers: Record<string, string>, secret: string, now?: number) => boolean;

/** A worked example of the documents: the profile, and the receiver's code. */
async function example(title: string): Promise<{ profile: object; verify: Verify }> {
  const text = await readFile(new URL('../docs/wire-formats.md', import.meta.url), 'utf8');
  const section = text.split(`### ${title}\n`)[1]!;
  const block = (language: string) => section.split(`\`\`\`${language}\n`)[1]!.split('```')[0]!;
  const { verify } = await import(`data:text/javascript,${encodeURIComponent(block('js'))}`);
  return { profile: JSON.parse(block('json')), verify };
}

const GITHUB = await example("GitHub's format");
const STRIPE = await example("Stripe's format");

const hex = (content: string | Buffer, secret = SECRET) =>
  createHmac('sha256', secret).update(content).digest('hex');

/** Publishes, and gives the event, its only delivery once it has ended, and its first request. */
async function deliver(event: object): Promise<{ event: Loose; delivery: Loose; request: ReceivedRequest }> {
  const published = await tenant.publish({ type: 'a.b', payload: 1, ...event });
  expect(published.deliveries).toHaveLength(1);
  const [request] = await receiver.waitForRequests(1);
  return { event: published, delivery: await tenant.ended(published.deliveries[0].id), request: request! };
}

/** The names of its headers, as they were on the wire. */
const namesOf = ({ rawHeaders }: ReceivedRequest) => rawHeaders.filter((_, i) => i % 2 === 0);

const seconds = (time: string) => `${time.slice(0, 19)}Z`;

describe('a delivery has the body, headers and signature of', () => {
  const payload = {
    job_id: '550e8400',
    resource: { key: 'x' },
    data: { after: 1 },
    metadata: { requestId: 'r' },
  };

  it.each<[string, object, (event: Loose, delivery: string) => { body: object; headers: object }]>([
    [
      'flock',
      { correlation_id: 'workflow-123', attributes: { produced_by: 'bot', tags: ['critical'], version: 2 } },
      ({ id, created_at }) => {
        const timestamp = created_at.replace('Z', '000Z');
        return {
          body: {
            event: 'artifact.published',
            timestamp,
            artifact: {
              id,
              type: 'job.completed',
              payload,
              produced_by: 'bot',
              correlation_id: 'workflow-123',
              created_at: timestamp,
              tags: ['critical'],
              version: 2,
              sequence: 1,
            },
          },
          headers: { 'user-agent': 'Sealpost/0.1', 'X-Flock-Signature': '' },
        };
      },
    ],
    [
      'taskflow',
      { attributes: { request_id: 123 } },
      ({ created_at }, delivery) => ({
        body: { type: 'job.completed', request_id: 123, timestamp: seconds(created_at), payload },
        headers: {
          'X-TaskFlow-Signature': '',
          'X-TaskFlow-Event': 'job.completed',
          'X-TaskFlow-Delivery-ID': delivery,
        },
      }),
    ],
    [
      'aifai',
      {},
      ({ created_at }) => ({
        body: {
          event: 'notification',
          notification: payload,
          timestamp: seconds(created_at),
          platform: 'aifai',
        },
        headers: {
          'user-agent': 'AIFAI-Webhook/1.0',
          'X-AIFAI-Signature': '',
          'X-AIFAI-Event': 'notification',
        },
      }),
    ],
    [
      'flagship',
      { environment: 'prod' },
      ({ created_at }, delivery) => ({
        body: {
          event: 'job.completed',
          timestamp: seconds(created_at),
          environment: 'prod',
          resource: { key: 'x' },
          data: { after: 1 },
          metadata: { requestId: 'r' },
        },
        headers: {
          'X-Flagship-Signature': '',
          'X-Flagship-Event': 'job.completed',
          'X-Flagship-Delivery': delivery,
        },
      }),
    ],
  ])('%s', async (wire_profile, fields, expected) => {
    await tenant.endpoint({ url: receiver.url(), wire_profile, secret: SECRET });
    const { event, delivery, request } = await deliver({ type: 'job.completed', payload, ...fields });
    const { body, headers } = expected(event, delivery.id);
    // Members in the documented order, too.
    expect(request.text).toBe(JSON.stringify(body));
    verifySignature(request, Buffer.from(SECRET).toString('base64')); // Standard Webhooks, beside its own
    const shown = delivery.attempts[0].request.headers;
    for (const [name, text] of Object.entries(headers)) {
      const value = text === '' ? `sha256=${hex(request.body)}` : text;
      expect(request.headers[name.toLowerCase()], name).toBe(value);
      if (text === '') expect(shown[name]).toBe('[redacted]');
      else if (name !== 'user-agent') expect(shown[name]).toBe(value);
      if (name.startsWith('X-')) expect(namesOf(request)).toContain(name);
    }
    expect(JSON.stringify(delivery)).not.toContain(hex(request.body));
  });

  it("GitHub, as the example in the documents: profile and receiver's code", async () => {
    await tenant.endpoint({ url: receiver.url(), wire_profile: GITHUB.profile, secret: SECRET });
    const { delivery, request } = await deliver({ type: 'push', payload: { ref: 'refs/heads/main' } });
    expect(request.text).toBe('{"ref":"refs/heads/main"}');
    expect(request.headers).toMatchObject({
      'x-github-event': 'push',
      'x-github-delivery': delivery.id,
      'x-hub-signature-256': `sha256=${hex(request.body)}`,
      'user-agent': 'GitHub-Hookshot/sealpost',
    });
    const { body, headers } = request;
    expect(GITHUB.verify(body, headers, SECRET)).toBe(true);
    expect(GITHUB.verify(body, headers, 'another')).toBe(false);
    expect(GITHUB.verify(Buffer.from('{}'), headers, SECRET)).toBe(false);
    expect(GITHUB.verify(body, {}, SECRET)).toBe(false);
  });

  it('Stripe, as the example in the documents: time and signatures in one header, both in a rotation', async () => {
    const { id } = await tenant.endpoint({
      url: receiver.url(),
      wire_profile: STRIPE.profile,
      secret: SECRET,
    });
    const rotated = await stack.client.post(`${tenant.path}/endpoints/${id}/secret/rotate`, {
      secret: 'new-secret',
    });
    expect(rotated.status, rotated.text).toBe(200);
    const { request } = await deliver({ type: 'charge.succeeded', payload: { object: 'event' } });
    const { body, headers } = request;
    const time = headers['webhook-timestamp']!;
    expect(headers['stripe-signature']).toBe(
      `t=${time},v1=${hex(`${time}.${body}`, 'new-secret')},v1=${hex(`${time}.${body}`)}`,
    );
    expect(STRIPE.verify(body, headers, 'new-secret')).toBe(true);
    expect(STRIPE.verify(body, headers, SECRET)).toBe(true);
    expect(STRIPE.verify(body, headers, 'another')).toBe(false);
    expect(STRIPE.verify(Buffer.from('{}'), headers, SECRET)).toBe(false);
    expect(STRIPE.verify(body, {}, SECRET)).toBe(false);
    const at = Number(time) * 1000;
    expect(STRIPE.verify(body, headers, SECRET, at + 300_000)).toBe(true);
    expect(STRIPE.verify(body, headers, SECRET, at + 301_000)).toBe(false);
    const later = headers['stripe-signature']!.replace(`t=${time}`, `t=${Number(time) + 600}`);
    expect(STRIPE.verify(body, { 'stripe-signature': later }, SECRET, at + 600_000)).toBe(false);
  });
});

it('in a rotation a single-signature header has the new secret’s; webhook-signature has both', async () => {
  const { id } = await tenant.endpoint({ url: receiver.url(), wire_profile: 'taskflow', secret: SECRET });
  await stack.client.post(`${tenant.path}/endpoints/${id}/secret/rotate`, { secret: 'new-secret' });
  const { request } = await deliver({});
  expect(request.headers['x-taskflow-signature']).toBe(`sha256=${hex(request.body, 'new-secret')}`);
  expect(request.headers['webhook-signature']!.split(' ')).toHaveLength(2);
});

it('the payload arrives digit for digit, also where its members are cut out of it', async () => {
  await tenant.endpoint({ url: receiver.url(), wire_profile: 'flagship' });
  const data = '{ "big":9007199254740993, "price":1.10,"exp":1E+2 }';
  await tenant.publish(`{"type":"flag.updated","payload":{"data": ${data} ,"metadata":[1.0]}}`);
  const [request] = await receiver.waitForRequests(1);
  expect(request!.text).toContain(`"environment":null,"resource":null,"data":${data},"metadata":[1.0]}`);
});

it("an endpoint's own headers do not reach the profile's, nor is anything sent twice", async () => {
  const headers = { 'x-aifai-signature': 'forged', 'X-Aifai-Event': 'forged', 'User-Agent': 'Ours/1' };
  await tenant.endpoint({ url: receiver.url(), wire_profile: 'aifai', secret: SECRET, headers });
  const { delivery, request } = await deliver({});
  expect(request.headers).toMatchObject({
    'x-aifai-signature': `sha256=${hex(request.body)}`,
    'x-aifai-event': 'notification',
    'user-agent': 'Ours/1',
  });
  const names = namesOf(request).map((name) => name.toLowerCase());
  expect(names).toHaveLength(new Set(names).size);
  expect(delivery.attempts[0].request.headers).toEqual({
    'content-type': 'application/json',
    'webhook-id': request.headers['webhook-id'],
    'webhook-timestamp': request.headers['webhook-timestamp'],
    'webhook-signature': '[redacted]',
    'X-AIFAI-Signature': '[redacted]',
    'X-AIFAI-Event': 'notification',
    'User-Agent': '[redacted]',
  });
});

it('without a secret there is no signature, and none is shown', async () => {
  const { delivery, request } = await deliver({ webhook_url: receiver.url(), wire_profile: 'flock' });
  expect(namesOf(request).filter((name) => /signature/i.test(name))).toEqual([]);
  expect(Object.keys(delivery.attempts[0].request.headers)).toEqual([
    'content-type',
    'webhook-id',
    'webhook-timestamp',
  ]);
});

it('the content type that is shown is the one that was sent', async () => {
  await tenant.endpoint({ url: receiver.url(), event_types: ['raw'], wire_profile: 'raw' });
  await tenant.endpoint({ url: receiver.url(), event_types: ['standard'] });
  for (const [type, expected] of [
    ['raw', 'text/plain'],
    ['standard', 'application/json'],
  ] as const) {
    receiver.clear();
    const { delivery, request } = await deliver({ type, payload: 'text', content_type: 'text/plain' });
    expect(request.headers['content-type']).toBe(expected);
    expect(delivery.attempts[0].request.headers['content-type']).toBe(expected);
  }
});

describe('the profile that counts', () => {
  it("is the endpoint's, else the event's, else the app's; by name or as an object", async () => {
    tenant = await Tenant.create(stack.client, { wire_profile: 'taskflow' });
    await tenant.endpoint({ url: receiver.url(), event_types: ['app', 'event'] });
    await tenant.endpoint({ url: receiver.url(), event_types: ['endpoint'], wire_profile: GITHUB.profile });
    expect((await deliver({ type: 'app' })).request.headers).toHaveProperty('x-taskflow-event', 'app');
    receiver.clear();
    const custom = { headers: { event: 'X-Mine' } };
    const { request } = await deliver({ type: 'event', wire_profile: custom });
    expect(request.headers).toHaveProperty('x-mine', 'event');
    expect(request.headers).not.toHaveProperty('x-taskflow-event');
    receiver.clear();
    const own = await deliver({ type: 'endpoint', wire_profile: 'flock' });
    expect(own.request.headers).toHaveProperty('x-github-event', 'endpoint');
  });

  it('is shown as it was given, by apps and endpoints', async () => {
    const put = await stack.client.put(tenant.path, { wire_profile: STRIPE.profile });
    expect(put.json.wire_profile).toEqual(STRIPE.profile);
    const endpoint = await tenant.endpoint({ url: receiver.url() });
    expect(endpoint.wire_profile).toEqual(STRIPE.profile);
    const path = `${tenant.path}/endpoints/${endpoint.id}`;
    expect((await stack.client.patch(path, { wire_profile: 'aifai' })).json.wire_profile).toBe('aifai');
    expect((await stack.client.patch(path, { wire_profile: null })).json.wire_profile).toEqual(
      STRIPE.profile,
    );
  });
});

describe('retries, timeouts and limits', () => {
  const policy = { factor: 2, jitter: 0, max_delay_seconds: 3600, max_retries: 3 };
  const exponential = { ...policy, strategy: 'exponential', base_seconds: 1, retry_on: 'non_2xx' };
  const taskflow = {
    timeout_seconds: 30,
    rate_limit: { limit: 1000, period_seconds: 3600, over: 'hold' },
    retry: { ...exponential, base_seconds: 2, max_delay_seconds: 60 },
  };

  it.each([
    ['standard', { timeout_seconds: 30, rate_limit: null, retry: exponential }],
    ['flock', { timeout_seconds: 30, rate_limit: null, retry: exponential }],
    ['taskflow', taskflow],
    [
      'aifai',
      {
        timeout_seconds: 10,
        rate_limit: null,
        retry: { ...policy, strategy: 'linear', base_seconds: 1, retry_on: '5xx_429' },
      },
    ],
    ['flagship', { timeout_seconds: 10, rate_limit: null, retry: exponential }],
  ])('of %s are the documented ones, from the app or of the endpoint', async (wire_profile, expected) => {
    const own = await tenant.endpoint({ url: receiver.url(), wire_profile });
    expect((await tenant.get(`/endpoints/${own.id}`)).json).toMatchObject(expected);
    await stack.client.put(tenant.path, { wire_profile });
    expect(await tenant.endpoint({ url: receiver.url() })).toMatchObject(expected);
  });

  it("give way to the app's, and these to the endpoint's", async () => {
    const defaults = {
      retry: { max_retries: 5 },
      timeout_seconds: 12,
      rate_limit: { limit: 7, period_seconds: 1 },
    };
    await stack.client.put(tenant.path, { wire_profile: 'taskflow', defaults });
    const { id, ...endpoint } = await tenant.endpoint({ url: receiver.url() });
    expect(endpoint).toMatchObject({
      timeout_seconds: 12,
      rate_limit: { limit: 7 },
      retry: { ...taskflow.retry, max_retries: 5 },
    });
    const changed = await stack.client.patch(`${tenant.path}/endpoints/${id}`, {
      retry: { base_seconds: 4 },
      timeout_seconds: 6,
      rate_limit: null,
    });
    expect(changed.json).toMatchObject({
      timeout_seconds: 6,
      rate_limit: null,
      retry: { ...taskflow.retry, max_retries: 5, base_seconds: 4 },
    });
  });

  /** Seconds from the end of the first attempt to the next one; undefined: there is none. */
  async function firstDelay(event: object): Promise<number | undefined> {
    const id = await tenant.send(event);
    const delivery = await tenant.until(id, ({ attempts }) => attempts.length > 0, 'be attempted');
    if (delivery.next_attempt_at === null) return undefined;
    const [attempt] = delivery.attempts;
    return (
      (Date.parse(delivery.next_attempt_at) - Date.parse(attempt.started_at) - attempt.duration_ms) / 1000
    );
  }

  it.each([
    ['flock', 1],
    ['taskflow', 2],
    ['aifai', 1],
    ['flagship', 1],
  ])(
    'of %s count for the delivery, also of an event: %i s to the first retry',
    async (wire_profile, delay) => {
      receiver.respond(503);
      const found = await firstDelay({ webhook_url: receiver.url(), wire_profile });
      expect(found).toBeGreaterThan(delay - 0.1);
      expect(found).toBeLessThan(delay + 10);
    },
  );

  it.each([
    [400, false],
    [404, false],
    [408, false],
    [425, false],
    [429, true],
    [500, true],
    [503, true],
  ])('of aifai: after a %i, retried: %s', async (status, retried) => {
    receiver.respond(status);
    await tenant.endpoint({ url: receiver.url(), wire_profile: 'aifai' });
    const id = await tenant.send();
    const delivery = await tenant.until(id, ({ attempts }) => attempts.length > 0, 'be attempted');
    expect(delivery).toMatchObject({ status: retried ? 'retrying' : 'dead', attempt_count: 1 });
  });

  it('of an endpoint may say retry_on 5xx_429 by themselves', async () => {
    receiver.respond(408);
    const retry = { retry_on: '5xx_429', base_seconds: 0.01 };
    const endpoint = await tenant.endpoint({ url: receiver.url(), retry });
    expect(endpoint.retry.retry_on).toBe('5xx_429');
    expect(await tenant.ended(await tenant.send())).toMatchObject({ status: 'dead', attempt_count: 1 });
  });

  it("of taskflow: the app's change reaches the lanes that there are", async () => {
    const { id } = await tenant.endpoint({ url: receiver.url() });
    await tenant.ended(await tenant.send());
    await stack.client.put(tenant.path, {
      wire_profile: 'taskflow',
      defaults: { rate_limit: { limit: 1, period_seconds: 3600 } },
    });
    await tenant.ended(await tenant.send());
    const held = await tenant.send();
    await stack.client.put(tenant.path, { wire_profile: 'taskflow' });
    expect((await tenant.get(`/endpoints/${id}`)).json.rate_limit).toEqual(taskflow.rate_limit);
    expect(await tenant.ended(held)).toMatchObject({ status: 'delivered' });
  });

  it('of taskflow: 10 endpoints, counted by profile, unless the app says otherwise', async () => {
    const create = (wire_profile: unknown) =>
      stack.client.post(`${tenant.path}/endpoints`, { url: receiver.url(), wire_profile });
    const other = await tenant.endpoint({ url: receiver.url() });
    for (let i = 0; i < 10; i++) expect((await create('taskflow')).status).toBe(201);
    const full = await create('taskflow');
    expect([full.status, full.json.code]).toEqual([409, 'endpoint_limit_reached']);
    expect((await create('raw')).status).toBe(201);
    const path = `${tenant.path}/endpoints/${other.id}`;
    const moved = await stack.client.patch(path, { wire_profile: 'taskflow' });
    expect([moved.status, moved.json.code]).toEqual([409, 'endpoint_limit_reached']);
    expect((await stack.client.patch(path, { name: 'other' })).status).toBe(200);
    await stack.client.put(tenant.path, { max_endpoints: 13 });
    expect((await create('taskflow')).status).toBe(201);
    expect((await create('raw')).status).toBe(409);
    expect((await stack.client.patch(path, { wire_profile: 'taskflow' })).status).toBe(200);
  });
});

it('the reference has the profiles, and all policies', async () => {
  const { components } = (await stack.client.get('/openapi.json')).json as Loose;
  const [names, custom] = components.schemas.WireProfile.anyOf;
  expect(names.enum).toEqual(['standard', 'raw', 'flock', 'taskflow', 'aifai', 'flagship']);
  expect(custom.properties.signature.anyOf[1].required).toEqual(['encoding', 'content', 'value']);
  expect(components.schemas.RetryPolicy.properties.retry_on.enum).toContain('5xx_429');
  expect(components.schemas.RetryPolicyInput.properties.retry_on.enum).toContain('5xx_429');
});
