import { request as httpRequest } from 'node:http';
import { beforeAll, describe, expect, it } from 'vitest';
import { type Answer, type ApiClient, type Stack, startStack } from './harness/index.ts';

let stack: Stack;
let client: ApiClient;
let appKey: string;

beforeAll(async () => {
  stack = await startStack({ workers: 0, env: { SEALPOST_ALLOW_SUBNETS: undefined } });
  client = stack.client;
  await client.put('/v1/apps/shop', {});
  await client.put('/v1/apps/other', {});
  appKey = (await client.post('/v1/apps/shop/keys', {})).json.key;
});

type ProblemAnswer = Answer<{ code?: string; errors: { path: string }[] }>;

/** A problem with this status and code, which tells nothing of the inside. */
function expectProblem(answer: ProblemAnswer, status: number, code: string, path?: string): void {
  expect({ status: answer.status, code: answer.json?.code, text: answer.text }).toMatchObject({
    status,
    code,
  });
  expect(answer.headers.get('content-type')).toContain('application/problem+json');
  expect(answer.json).toMatchObject({
    type: `urn:sealpost:problem:${code}`,
    title: expect.any(String),
    status,
  });
  expect(answer.text).not.toMatch(/node_modules|\.ts:\d|at \w+ \(/);
  if (path !== undefined) expect(answer.json.errors.map((error) => error.path)).toContain(path);
}

const EVENT = { type: 'order.created', payload: {} };
const URL_OK = 'https://receiver.example/hook';

describe('a bad endpoint', () => {
  it.each<[string, object, string]>([
    ['an unknown field', { url: URL_OK, colour: 'red' }, 'colour'],
    ['no url', {}, 'url'],
    ['a URL that is no URL', { url: 'hook' }, 'url'],
    ['another scheme', { url: 'ftp://receiver.example/' }, 'url'],
    ['credentials in the URL', { url: 'https://me:pw@receiver.example/' }, 'url'],
    ['a blocked address', { url: 'http://127.0.0.1/' }, 'url'],
    ['a blocked address in hexadecimal', { url: 'http://0x7f000001/' }, 'url'],
    ['a blocked address as IPv6', { url: 'http://[::ffff:10.0.0.1]/' }, 'url'],
    ['localhost', { url: 'http://localhost:3000/' }, 'url'],
    ['a secret that is too short', { url: URL_OK, secret: 'whsec_c2hvcnQ=' }, 'secret'],
    ['a secret that is too long', { url: URL_OK, secret: 'x'.repeat(257) }, 'secret'],
    ['an empty secret', { url: URL_OK, secret: '' }, 'secret'],
    ['a hop-by-hop header', { url: URL_OK, headers: { Connection: 'close' } }, 'headers.Connection'],
    ['a host header', { url: URL_OK, headers: { host: 'evil' } }, 'headers.host'],
    [
      'a content-length header',
      { url: URL_OK, headers: { 'content-length': '1' } },
      'headers.content-length',
    ],
    ['a webhook- header', { url: URL_OK, headers: { 'Webhook-Id': 'x' } }, 'headers.Webhook-Id'],
    ['a header with a line break', { url: URL_OK, headers: { 'x-a': 'a\r\nb: c' } }, 'headers.x-a'],
    ['too many retries', { url: URL_OK, retry: { max_retries: 51 } }, 'retry.max_retries'],
    ['an unknown strategy', { url: URL_OK, retry: { strategy: 'never' } }, 'retry.strategy'],
    ['a timeout of 0', { url: URL_OK, timeout_seconds: 0 }, 'timeout_seconds'],
    ['a pattern that is none', { url: URL_OK, event_types: ['a..b'] }, 'event_types[0]'],
    ['a concurrency of 0', { url: URL_OK, max_concurrency: 0 }, 'max_concurrency'],
    ['ordered that is no boolean', { url: URL_OK, ordered: 'yes' }, 'ordered'],
    ['a rate limit without a period', { url: URL_OK, rate_limit: { limit: 1 } }, 'rate_limit.period_seconds'],
    [
      'a rate limit of nothing',
      { url: URL_OK, rate_limit: { limit: 0, period_seconds: 1 } },
      'rate_limit.limit',
    ],
    ['quiet hours without an end', { url: URL_OK, quiet_hours: { start_hour: 22 } }, 'quiet_hours.end_hour'],
    [
      'quiet hours that end as they begin',
      { url: URL_OK, quiet_hours: { start_hour: 8, end_hour: 8 } },
      'quiet_hours.end_hour',
    ],
    [
      'a time zone that is none',
      { url: URL_OK, quiet_hours: { start_hour: 22, end_hour: 8, timezone: 'Mars/Base' } },
      'quiet_hours.timezone',
    ],
    ['a filter that is no expression', { url: URL_OK, filter: 'payload.n >' }, 'filter'],
    [
      'a transform that calls what is not allowed',
      { url: URL_OK, transform: 'payload.a.matches("x")' },
      'transform',
    ],
    ['a wire profile that is none', { url: URL_OK, wire_profile: 'x' }, 'wire_profile'],
    [
      'a wire profile whose header would be another one as well',
      { url: URL_OK, wire_profile: { headers: { event: 'X-A\r\nX-B' } } },
      'wire_profile.headers.event',
    ],
  ])('%s', async (_, body, path) => {
    expectProblem(await client.post('/v1/apps/shop/endpoints', body), 422, 'validation_failed', path);
  });
});

describe('a bad event', () => {
  it.each<[string, object, string]>([
    ['no type', { payload: 1 }, 'type'],
    ['no payload', { type: 'a.b' }, 'payload'],
    ['a type with a space', { type: 'a b', payload: 1 }, 'type'],
    ['an id with a dot', { ...EVENT, id: 'a.b' }, 'id'],
    ['an id in the form of a generated one', { ...EVENT, id: 'evt_000000000001' }, 'id'],
    [
      'a webhook_url to a blocked address',
      { ...EVENT, webhook_url: 'http://169.254.169.254/' },
      'webhook_url',
    ],
    ['a webhook_secret without a webhook_url', { ...EVENT, webhook_secret: 'x' }, 'webhook_secret'],
    ['deliver_at that is no time', { ...EVENT, deliver_at: 'tomorrow' }, 'deliver_at'],
    ['deliver_at too far ahead', { ...EVENT, deliver_at: '9999-01-01T00:00:00Z' }, 'deliver_at'],
  ])('%s', async (_, body, path) => {
    expectProblem(await client.post('/v1/apps/shop/events', body), 422, 'validation_failed', path);
  });

  it('keys that mean something to JavaScript are plain unknown fields, or plain data', async () => {
    const evil = '{"type":"a.b","payload":{"__proto__":{"x":1}},"__proto__":{"admin":true}}';
    expectProblem(await client.post('/v1/apps/shop/events', evil), 422, 'validation_failed');
    expect(
      (await client.post('/v1/apps/shop/events', '{"type":"a.b","payload":{"__proto__":{"x":1}}}')).status,
    ).toBe(202);
  });

  it('deep nesting is data like any other', async () => {
    const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;
    expect((await client.post('/v1/apps/shop/events', `{"type":"a.b","payload":${deep}}`)).status).toBe(202);
  });
});

describe('a bad body', () => {
  const post = (body: string | Uint8Array, headers = {}) =>
    client.post('/v1/apps/shop/events', body, headers);
  const ofSize = (bytes: number) => {
    const [head, tail] = ['{"type":"a.b","payload":"', '"}'];
    return head + 'x'.repeat(bytes - head.length - tail.length) + tail;
  };

  it('1 MiB is taken, one byte more is not', async () => {
    expect((await post(ofSize(1024 * 1024))).status).toBe(202);
    expectProblem(await post(ofSize(1024 * 1024 + 1)), 413, 'payload_too_large');
  });

  it('one byte more is not taken without a content-length either', async () => {
    const status = await new Promise((resolve, reject) => {
      const request = httpRequest(`${client.url}/v1/apps/shop/events`, {
        method: 'POST',
        headers: { authorization: `Bearer ${stack.apiKey}`, 'content-type': 'application/json' },
      });
      request.on('response', (response) => resolve(response.statusCode));
      request.on('error', reject);
      request.end(ofSize(1024 * 1024 + 1));
    });
    expect(status).toBe(413);
  });

  it('broken JSON', async () => expectProblem(await post('{"type":'), 400, 'malformed_json'));
  it('no body', async () =>
    expectProblem(await client.post('/v1/apps/shop/events'), 422, 'validation_failed'));
  it('a list', async () => expectProblem(await post('[]'), 422, 'validation_failed'));
  it('another content type', async () => {
    expectProblem(await post('type=a', { 'content-type': 'text/plain' }), 415, 'unsupported_media_type');
  });
  it('another charset', async () => {
    const headers = { 'content-type': 'application/json; charset=latin1' };
    expectProblem(await post(JSON.stringify(EVENT), headers), 415, 'unsupported_media_type');
  });
  it('compressed', async () => {
    expectProblem(
      await post(JSON.stringify(EVENT), { 'content-encoding': 'gzip' }),
      415,
      'unsupported_content_encoding',
    );
  });
  it('invalid UTF-8', async () => {
    const bytes = Buffer.concat([
      Buffer.from('{"type":"a.b","payload":"'),
      Buffer.from([0xc3, 0x28]),
      Buffer.from('"}'),
    ]);
    expectProblem(await post(bytes), 400, 'invalid_utf8');
  });
});

describe('a bad query', () => {
  it.each([
    'page=0',
    'page=-1',
    'page=x',
    'limit=101',
    'limit=0',
    'status=gone',
    'since=yesterday',
    'foo=1',
    'page=1&page=2',
  ])('%s', async (query) =>
    expectProblem(await client.get(`/v1/apps/shop/deliveries?${query}`), 400, 'invalid_query'),
  );
  it('a page too deep', async () => {
    expectProblem(await client.get('/v1/apps/shop/deliveries?page=101&limit=100'), 400, 'page_too_deep');
  });
  it('a cursor of somebody’s own', async () => {
    expectProblem(await client.get('/v1/apps/shop/deliveries?cursor=abc'), 400, 'invalid_cursor');
  });
});

describe('a bad key', () => {
  it.each<[string, string | undefined]>([
    ['none', undefined],
    ['an unknown one', 'sk_nobody_knows_this_key'],
    ['one with odd characters', 'sk_\t??'],
  ])('%s', async (_, key) => {
    const answer = await client.withKey(key).get('/v1/apps/shop');
    expectProblem(answer, 401, 'unauthorized');
    expect(answer.headers.get('www-authenticate')).toBe('Bearer');
  });

  it('a key of another app, and of no app that exists', async () => {
    expectProblem(await client.withKey(appKey).get('/v1/apps/other'), 403, 'key_of_another_app');
    expectProblem(
      await client.withKey(appKey).post('/v1/apps/other/events', EVENT),
      403,
      'key_of_another_app',
    );
    expectProblem(await client.withKey(appKey).get('/v1/apps/nowhere'), 403, 'key_of_another_app');
  });

  it('an app key where an operator is needed', async () => {
    expectProblem(await client.withKey(appKey).get('/v1/apps'), 403, 'forbidden');
  });

  it('a revoked key counts no more, from the answer on, for publishing too', async () => {
    const { json } = await client.post('/v1/apps/shop/keys', {});
    const revoked = client.withKey(json.key);
    expect((await revoked.post('/v1/apps/shop/events', EVENT)).status).toBe(202);
    expect((await client.delete(`/v1/apps/shop/keys/${json.id}`)).status).toBe(204);
    expectProblem(await revoked.post('/v1/apps/shop/events', EVENT), 401, 'unauthorized');
    expectProblem(await revoked.get('/v1/apps/shop'), 401, 'unauthorized');
  });
});

describe('what is not there', () => {
  it.each([
    ['/v1/apps/nowhere', 'app_not_found'],
    ['/v1/apps/nowhere/deliveries', 'app_not_found'],
    ['/v1/apps/shop/endpoints/ep_000000000000', 'endpoint_not_found'],
    ['/v1/apps/shop/endpoints/ep_000000000000/deliveries', 'endpoint_not_found'],
    ['/v1/apps/shop/endpoints/ep_000000000000/stats', 'endpoint_not_found'],
    ['/v1/apps/shop/events/evt_zzzzzzzzzzzz', 'event_not_found'],
    ['/v1/apps/shop/deliveries/dlv_zzzzzzzzzzzz', 'delivery_not_found'],
    ['/v1/apps/shop/deliveries/garbage', 'delivery_not_found'],
    ['/v1/apps/shop/correlations/none', 'correlation_not_found'],
    ['/v1/nothing', 'route_not_found'],
  ])('%s', async (path, code) => expectProblem(await client.get(path), 404, code));

  it('another app’s delivery and event', async () => {
    const made = await client.post('/v1/apps/other/events', {
      ...EVENT,
      webhook_url: 'https://receiver.example/',
    });
    const { id, deliveries } = made.json;
    expectProblem(await client.get(`/v1/apps/shop/events/${id}`), 404, 'event_not_found');
    for (const path of ['', '/retry', '/cancel']) {
      const url = `/v1/apps/shop/deliveries/${deliveries[0].id}${path}`;
      expectProblem(await (path ? client.post(url) : client.get(url)), 404, 'delivery_not_found');
    }
  });

  it('a method that the route does not take', async () => {
    const answer = await client.request('DELETE', '/v1/apps');
    expectProblem(answer, 405, 'method_not_allowed');
    expect(answer.headers.get('allow')).toBe('GET');
  });

  it('a path that is no percent-encoding', async () => {
    expectProblem(await client.get('/v1/apps/%zz'), 400, 'malformed_request');
  });
});

it('an idempotency key that is none', async () => {
  const answer = await client.post('/v1/apps/shop/events', EVENT, { 'idempotency-key': 'x'.repeat(256) });
  expectProblem(answer, 400, 'invalid_idempotency_key');
});
