import { createHmac, createPublicKey, generateKeyPairSync, verify } from 'node:crypto';
import { Webhook as StandardWebhook } from 'standardwebhooks';
import { Webhook as SvixWebhook } from 'svix';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type ReceivedRequest, Receiver, type Stack, startStack, Tenant } from './harness/index.ts';

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

/** Numbers, spaces and escapes that no parser gives back as they were. */
const EXACT = `{ "id" :9007199254740993,"neg":-9007199254740995, "big":123456789012345678901234567890,
  "price":1.10, "exp":1E+2, "tiny":1e-400,"zero":-0.0, "list":[ 1 ,\t2.0 ],
  "text":"h\u00e9llo \\u00e9 \\/ \\u2028 \u{1F600} \\ud83d\\ude00 \\u0000", "twice":1, "twice":2,
  "__proto__":{"a":1}, "\\u0061":true, "":null }`;

const DEEP = `${'['.repeat(5000)}1${']'.repeat(5000)}`;

function verifyByBoth(request: ReceivedRequest, secret: string): void {
  new StandardWebhook(secret).verify(request.text, request.headers, { jsonParse: false });
  new SvixWebhook(secret).verify(request.text, request.headers);
}

/** Svix' library has Standard Webhooks' inside; this one is by the specification alone. */
function signatureBySpecification({ headers, body }: ReceivedRequest, secret: string): string {
  const hmac = createHmac('sha256', Buffer.from(secret.replace('whsec_', ''), 'base64'));
  hmac.update(`${headers['webhook-id']}.${headers['webhook-timestamp']}.`).update(body);
  return `v1,${hmac.digest('base64')}`;
}

describe('the body', () => {
  it('is an envelope, signed so that the libraries of Standard Webhooks and Svix verify it', async () => {
    const endpoint = await tenant.endpoint({ url: receiver.url('/hook?token=a%20b') });
    const event = await tenant.publish({ type: 'order.created', payload: { n: 1 } });
    const [request] = await receiver.waitForRequests(1);
    verifyByBoth(request!, endpoint.secret);
    expect(request!.headers['webhook-signature']).toBe(signatureBySpecification(request!, endpoint.secret));
    expect(() => verifyByBoth({ ...request!, text: `${request!.text} ` }, endpoint.secret)).toThrow();
    expect(request).toMatchObject({
      method: 'POST',
      path: '/hook?token=a%20b',
      text: `{"type":"order.created","timestamp":"${event.created_at}","data":{"n":1}}`,
      headers: {
        'content-type': 'application/json',
        'user-agent': 'Sealpost/0.1',
        'webhook-id': event.id,
        'content-length': String(request!.body.length),
      },
    });
    const delivery = await tenant.ended(event.deliveries[0].id);
    expect(delivery).toMatchObject({
      status: 'delivered',
      reason: null,
      endpoint_id: endpoint.id,
      event_id: event.id,
      attempt_count: 1,
      last_status_code: 200,
      attempts: [{ number: 1, status_code: 200, error: null }],
    });
    expect(receiver.requests).toHaveLength(1);
  });

  it.each(['standard', 'raw'])('arrives digit for digit under %s, and is shown so', async (profile) => {
    const endpoint = await tenant.endpoint({ url: receiver.url('/exact'), wire_profile: profile });
    for (const payload of [EXACT, DEEP, '1.10', '"text"', 'null', 'false', '[]']) {
      receiver.clear();
      const event = await tenant.publish(`{"type":"a.b", "payload"  :\n ${payload} , "environment":"x"}`);
      const [request] = await receiver.waitForRequests(1);
      const head = `{"type":"a.b","timestamp":"${event.created_at}","data":`;
      expect(request!.text).toBe(profile === 'raw' ? payload : `${head}${payload}}`);
      verifyByBoth(request!, endpoint.secret);
      const shown = await tenant.get(`/events/${event.id}`);
      expect(shown.status).toBe(200);
      expect(shown.text).toContain(`"payload":${payload}`);
    }
  });

  it('is what counts of a payload that is given twice, the last one', async () => {
    await tenant.endpoint({ url: receiver.url(), wire_profile: 'raw' });
    await tenant.publish('{"payload":{"n":1},"type":"a","p\\u0061yload":{"n":2.0}}');
    const [request] = await receiver.waitForRequests(1);
    expect(request!.text).toBe('{"n":2.0}');
  });

  it('is the text itself under raw, when a string comes with another content type', async () => {
    const endpoint = await tenant.endpoint({ url: receiver.url('/raw'), wire_profile: 'raw' });
    await tenant.endpoint({ url: receiver.url('/standard') });
    await tenant.publish({
      type: 'note.added',
      payload: '<n>h\u00e9 \u{1F600}</n>\n',
      content_type: 'text/xml',
    });
    const [raw] = await receiver.waitForRequests(1, { path: '/raw' });
    expect([raw!.text, raw!.headers['content-type']]).toEqual(['<n>h\u00e9 \u{1F600}</n>\n', 'text/xml']);
    verifyByBoth(raw!, endpoint.secret);
    const [standard] = await receiver.waitForRequests(1, { path: '/standard' });
    expect(standard!.headers['content-type']).toBe('application/json');
    expect(JSON.parse(standard!.text).data).toBe('<n>h\u00e9 \u{1F600}</n>\n');
  });

  it('follows the profile of the endpoint, else of the event, else of the app', async () => {
    const rawApp = await Tenant.create(stack.client, { wire_profile: 'raw' });
    await rawApp.endpoint({ url: receiver.url('/app'), event_types: ['by.app'] });
    await rawApp.endpoint({
      url: receiver.url('/own'),
      event_types: ['by.endpoint'],
      wire_profile: 'standard',
    });
    await rawApp.publish({ type: 'by.app', payload: 1 });
    await rawApp.publish({ type: 'by.endpoint', payload: 2, wire_profile: 'raw' });
    expect((await receiver.waitForRequests(1, { path: '/app' }))[0]!.text).toBe('1');
    expect(JSON.parse((await receiver.waitForRequests(1, { path: '/own' }))[0]!.text).data).toBe(2);
    receiver.clear();
    await rawApp.publish({ type: 'by.app', payload: 3, wire_profile: 'standard' });
    expect(JSON.parse((await receiver.waitForRequests(1, { path: '/app' }))[0]!.text).data).toBe(3);
  });
});

describe('the signature', () => {
  it('is made with the bytes of a secret that is a text', async () => {
    await tenant.endpoint({ url: receiver.url(), secret: 'p\u00e4ssword' });
    await tenant.send();
    const [request] = await receiver.waitForRequests(1);
    const key = Buffer.from('p\u00e4ssword');
    new StandardWebhook(key, { format: 'raw' }).verify(request!.text, request!.headers);
    new SvixWebhook(key, { format: 'raw' }).verify(request!.text, request!.headers);
  });

  it('is ed25519 with a whsk_ secret, and node:crypto verifies it', async () => {
    const pair = generateKeyPairSync('ed25519');
    const seed = Buffer.from(pair.privateKey.export({ format: 'jwk' }).d!, 'base64url');
    const secret = `whsk_${seed.toString('base64')}`;
    const endpoint = await tenant.endpoint({ url: receiver.url(), secret });
    await tenant.send();
    const [{ text, headers }] = (await receiver.waitForRequests(1)) as [ReceivedRequest];
    const [version, signature] = headers['webhook-signature']!.split(',') as [string, string];
    const signed = Buffer.from(`${headers['webhook-id']}.${headers['webhook-timestamp']}.${text}`);
    expect(version).toBe('v1a');
    expect(verify(null, signed, pair.publicKey, Buffer.from(signature, 'base64'))).toBe(true);

    const shown = await tenant.get(`/endpoints/${endpoint.id}/secret`);
    const published = /"(whpk_[^"]+)"/.exec(shown.text)?.[1] ?? '';
    const x = Buffer.from(published.slice(5), 'base64').toString('base64url');
    const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' });
    expect(key.equals(pair.publicKey)).toBe(true);
  });

  it('has the time of the attempt', async () => {
    await tenant.endpoint({ url: receiver.url() });
    const before = Math.floor(Date.now() / 1000);
    await tenant.send();
    const [request] = await receiver.waitForRequests(1);
    const timestamp = Number(request!.headers['webhook-timestamp']);
    expect(timestamp).toBeGreaterThanOrEqual(before);
    expect(timestamp * 1000).toBeLessThanOrEqual(request!.at);
  });
});

it("the endpoint's own headers are sent, and are not shown in the attempt", async () => {
  const headers = { 'X-Api-Key': 'very secret', Authorization: 'Bearer abc', 'User-Agent': 'Ours/1' };
  await tenant.endpoint({ url: receiver.url(), headers });
  const delivery = await tenant.ended(await tenant.send());
  const [request] = receiver.requests;
  expect(request!.headers).toMatchObject({
    'x-api-key': 'very secret',
    authorization: 'Bearer abc',
    'user-agent': 'Ours/1',
  });
  const text = JSON.stringify(delivery);
  expect(text).toContain('X-Api-Key');
  expect(text).not.toContain('very secret');
  expect(text).not.toContain('Bearer abc');
});

describe('webhook_url', () => {
  it('gets the event beside the subscribed endpoints, signed with webhook_secret', async () => {
    const endpoint = await tenant.endpoint({ url: receiver.url('/endpoint') });
    const event = await tenant.publish({
      type: 'a',
      payload: { n: 1 },
      webhook_url: receiver.url('/direct'),
      webhook_secret: `whsec_${Buffer.alloc(32, 5).toString('base64')}`,
    });
    expect(event.deliveries.map((d: { endpoint_id: string }) => d.endpoint_id)).toEqual([endpoint.id, null]);
    const [direct] = await receiver.waitForRequests(1, { path: '/direct' });
    verifyByBoth(direct!, `whsec_${Buffer.alloc(32, 5).toString('base64')}`);
    const [subscribed] = await receiver.waitForRequests(1, { path: '/endpoint' });
    verifyByBoth(subscribed!, endpoint.secret);
    expect(direct!.headers['webhook-id']).toBe(subscribed!.headers['webhook-id']);
    expect(await tenant.ended(event.deliveries[1].id)).toMatchObject({
      status: 'delivered',
      endpoint_id: null,
    });
  });

  it('is not signed without a secret, and with that of the app where it has one', async () => {
    const event = { type: 'a', payload: 1, webhook_url: receiver.url('/direct') };
    await tenant.publish(event);
    const [unsigned] = await receiver.waitForRequests(1);
    expect(unsigned!.headers).toHaveProperty('webhook-id');
    expect(unsigned!.headers).not.toHaveProperty('webhook-signature');

    const signing_secret = `whsec_${Buffer.alloc(32, 6).toString('base64')}`;
    const signing = await Tenant.create(stack.client, { signing_secret });
    await signing.publish(event);
    verifyByBoth((await receiver.waitForRequests(2))[1]!, signing_secret);
  });

  it('has the retry policy of the event', async () => {
    receiver.respond('/failing', 500);
    const retry = { base_seconds: 0.01, max_retries: 1 };
    const id = await tenant.send({ webhook_url: receiver.url('/failing'), retry });
    expect(await tenant.ended(id)).toMatchObject({ status: 'dead', attempt_count: 2 });
  });
});

describe('an endpoint gets', () => {
  const typesOf = (requests: ReceivedRequest[]) => requests.map(({ text }) => JSON.parse(text).type).sort();

  it('what it subscribes to: * is one segment, ** the rest', async () => {
    const patterns = { '/one': ['job.*'], '/rest': ['job.**'], '/names': ['job.done', 'a'], '/all': [] };
    for (const [path, event_types] of Object.entries(patterns)) {
      await tenant.endpoint({ url: receiver.url(path), event_types });
    }
    const types = ['a', 'job', 'job.done', 'job.step.done', 'jobs.done', 'job.done.x'];
    for (const type of types) await tenant.publish({ type, payload: 1 });
    const expected = {
      '/one': ['job.done'],
      '/rest': ['job.done', 'job.done.x', 'job.step.done'],
      '/names': ['a', 'job.done'],
      '/all': [...types].sort(),
    };
    const count = Object.values(expected).flat().length;
    await receiver.waitForRequests(count);
    const listed = await tenant.get('/deliveries?limit=100');
    expect(listed.json.pagination.total).toBe(count);
    for (const [path, list] of Object.entries(expected)) expect(typesOf(receiver.to(path))).toEqual(list);
  });

  it('the environments that it names, or all', async () => {
    const production = await tenant.endpoint({ url: receiver.url(), environments: ['production', 'eu'] });
    const all = await tenant.endpoint({ url: receiver.url() });
    const targets = async (environment?: string) => {
      const event = await tenant.publish({ type: 'a', payload: 1, ...(environment && { environment }) });
      return event.deliveries.map((d: { endpoint_id: string }) => d.endpoint_id);
    };
    expect(await targets('production')).toEqual([production.id, all.id]);
    expect(await targets('eu')).toEqual([production.id, all.id]);
    expect(await targets('staging')).toEqual([all.id]);
    expect(await targets()).toEqual([all.id]);
  });

  it('nothing while it is disabled: the delivery is skipped', async () => {
    await tenant.endpoint({ url: receiver.url('/disabled'), enabled: false });
    await tenant.endpoint({ url: receiver.url('/enabled') });
    const event = await tenant.publish({ type: 'a', payload: 1 });
    expect(event.deliveries[0].status).toBe('skipped');
    await tenant.ended(event.deliveries[1].id);
    expect(await tenant.delivery(event.deliveries[0].id)).toMatchObject({
      status: 'skipped',
      reason: 'endpoint_disabled',
      attempt_count: 0,
      attempts: [],
    });
    expect(receiver.to('/disabled')).toHaveLength(0);
  });

  it('its changed URL and headers from the next attempt on', async () => {
    const { id } = await tenant.endpoint({ url: receiver.url('/before') });
    await tenant.ended(await tenant.send());
    const changed = await tenant.client.patch(`${tenant.path}/endpoints/${id}`, {
      url: receiver.url('/after'),
      headers: { 'X-New': '1' },
    });
    expect(changed.status, changed.text).toBe(200);
    await tenant.send();
    const [request] = await receiver.waitForRequests(1, { path: '/after' });
    expect(request!.headers['x-new']).toBe('1');
    expect(receiver.to('/before')).toHaveLength(1);
  });
});

describe('sequence', () => {
  it('counts the events of a correlation id in its app, from 1', async () => {
    const other = await Tenant.create(stack.client);
    const next = async (of: Tenant, correlation_id?: string) =>
      (await of.publish({ type: 'a', payload: 1, ...(correlation_id && { correlation_id }) })).sequence;
    expect([await next(tenant, 'flow 1'), await next(tenant, 'flow 1')]).toEqual([1, 2]);
    expect([await next(tenant, 'flow:2'), await next(other, 'flow 1'), await next(tenant)]).toEqual([
      1,
      1,
      null,
    ]);
    expect(await next(tenant, 'flow 1')).toBe(3);
  });

  it('has no gap and no double when many are published at once', async () => {
    const published = await Promise.all(
      Array.from({ length: 40 }, () => tenant.publish({ type: 'a', payload: 1, correlation_id: 'c' })),
    );
    const sequences = published.map(({ sequence }) => sequence).sort((a, b) => a - b);
    expect(sequences).toEqual(Array.from({ length: 40 }, (_, i) => i + 1));
  });
});

describe('a test delivery', () => {
  it.each(['payload', 'sample_data'])(
    'goes to this endpoint alone, subscribed or not, with its %s',
    async (name) => {
      await tenant.endpoint({ url: receiver.url('/other') });
      const endpoint = await tenant.endpoint({ url: receiver.url('/tested'), event_types: ['only.this'] });
      const path = `${tenant.path}/endpoints/${endpoint.id}/test`;
      const answer = await tenant.client.post(path, `{"event_type":"test.ping", "${name}": {"n":1.10} }`);
      expect(answer.status, answer.text).toBe(202);
      expect(answer.json).toMatchObject({ endpoint_id: endpoint.id, event_type: 'test.ping' });
      expect(await tenant.ended(answer.json.id)).toMatchObject({ status: 'delivered' });
      const [request] = receiver.requests;
      expect(request!.text).toContain('"data":{"n":1.10}}');
      verifyByBoth(request!, endpoint.secret);
      expect(receiver.requests).toHaveLength(1);
    },
  );

  it('to a disabled endpoint is skipped, and to one that is not there not found', async () => {
    const { id } = await tenant.endpoint({ url: receiver.url(), enabled: false });
    const test = (endpoint: string) =>
      tenant.client.post(`${tenant.path}/endpoints/${endpoint}/test`, { event_type: 'a', payload: 1 });
    expect((await test(id)).json).toMatchObject({ status: 'skipped', reason: 'endpoint_disabled' });
    const unknown = await test('ep_000000000000');
    expect([unknown.status, unknown.json.code]).toEqual([404, 'endpoint_not_found']);
  });

  it('needs a payload, and one only', async () => {
    const { id } = await tenant.endpoint({ url: receiver.url() });
    const path = `${tenant.path}/endpoints/${id}/test`;
    for (const body of [{ event_type: 'a' }, { event_type: 'a', payload: 1, sample_data: 1 }]) {
      const answer = await tenant.client.post(path, body);
      expect([answer.status, answer.json.code]).toEqual([422, 'validation_failed']);
    }
  });
});
