import { once } from 'node:events';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { startTestRedis, type TestRedis } from '@sealpost/queue/testing';
import { ensureApp } from '@sealpost/store';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { BODY_LIMIT, type HttpApi, OPERATOR_KEY, startHttpApi } from '../testing/http-api.ts';
import { defineRoute, type Route } from './http/route.ts';

let redis: TestRedis;
let api: HttpApi;
/** What the route that keeps things has kept. */
let kept: unknown[] = [];
let fail: () => void = () => {};

const thing = z.strictObject({ name: z.string() });
const answers = { 200: { description: 'It.' } };

function routes(): Route[] {
  return [
    defineRoute({
      method: 'get',
      path: '/open',
      tag: 'T',
      summary: 'open',
      access: { open: 'a test' },
      answers,
      handle: async () => ({ status: 200, body: { open: true } }),
    }),
    defineRoute({
      method: 'get',
      path: '/v1/apps/:app/things',
      tag: 'T',
      summary: 'list',
      access: 'app',
      answers,
      handle: async ({ caller }) => ({ status: 200, body: { kind: caller.kind } }),
    }),
    defineRoute({
      method: 'post',
      path: '/v1/apps/:app/things',
      tag: 'T',
      summary: 'keep',
      access: 'app',
      body: thing,
      streams: 'application/x-ndjson',
      answers,
      handle: async ({ body, rawBody }) => {
        fail();
        kept.push(body);
        return { status: 201, headers: { location: `/things/${kept.length}` }, json: rawBody };
      },
    }),
    defineRoute({
      method: 'post',
      path: '/v1/apps/:app/events',
      tag: 'T',
      summary: 'publish',
      access: 'app',
      body: thing,
      answers,
      handle: async ({ params, query, body }) => {
        fail();
        return { status: 202, body: { ...params, query, body } };
      },
    }),
    defineRoute({
      method: 'post',
      path: '/compat/things',
      tag: 'T',
      summary: 'keep, in the app of who calls',
      access: 'caller',
      body: thing,
      answers,
      handle: async ({ params, body }) => {
        kept.push(body);
        return { status: 201, body: { app: params.app, nth: kept.length } };
      },
    }),
    defineRoute({
      method: 'get',
      path: '/v1/operators',
      tag: 'T',
      summary: 'operators only',
      access: 'operator',
      answers,
      handle: async () => ({ status: 200, body: {} }),
    }),
  ];
}

beforeAll(async () => {
  redis = await startTestRedis();
  api = await startHttpApi(redis.client, routes);
  await api.keyOf('shop');
});
afterAll(async () => {
  await api.stop();
  await redis.stop();
});
beforeEach(() => {
  kept = [];
  fail = () => {};
});

const THINGS = '/v1/apps/shop/things';
const post = (body: string | Buffer, headers: Record<string, string> = {}, key = OPERATOR_KEY) =>
  api.call('POST', THINGS, { key, body, headers });

async function problem(response: Response): Promise<[number, string]> {
  expect(response.headers.get('content-type')).toContain('application/problem+json');
  const { status, code } = (await response.json()) as { status: number; code: string };
  expect(status).toBe(response.status);
  return [status, code];
}

describe('routing', () => {
  it('a path that is not there is a 404, a method a 405 that names the others, and both keep the connection', async () => {
    const missing = await api.call('GET', '/nothing');
    expect(missing.headers.get('connection')).toBe('keep-alive');
    expect(await problem(missing)).toEqual([404, 'route_not_found']);
    const refused = await api.call('DELETE', THINGS);
    expect(refused.headers.get('allow')).toBe('GET, POST');
    expect(refused.headers.get('connection')).toBe('keep-alive');
    expect(await problem(refused)).toEqual([405, 'method_not_allowed']);
  });

  it('OPTIONS names the methods, and HEAD is GET without its body', async () => {
    const options = await api.call('OPTIONS', THINGS);
    expect([options.status, options.headers.get('allow')]).toEqual([204, 'GET, POST']);
    const head = await api.call('HEAD', '/open');
    expect([head.status, await head.text()]).toEqual([200, '']);
  });

  it('unknown parameters are refused, but not where no key is needed', async () => {
    expect(await problem(await api.call('GET', `${THINGS}?x=1`, { key: OPERATOR_KEY }))).toEqual([
      400,
      'invalid_query',
    ]);
    expect((await api.call('GET', '/open?x=1')).status).toBe(200);
  });

  it('says nothing of what serves it, and is not cached or embedded', async () => {
    const { headers } = await api.call('GET', '/open');
    expect(headers.get('x-powered-by')).toBeNull();
    expect(headers.get('etag')).toBeNull();
    expect(headers.get('cache-control')).toBe('no-store');
    expect(headers.get('x-content-type-options')).toBe('nosniff');
  });
});

describe('an event to publish', () => {
  /** What is answered and logged, whichever way it takes: Express is asked for what is spelt in another way. */
  const both = async (key: string | undefined, body: string) => {
    const answers = [];
    for (const path of ['/v1/apps/default/events', '/v1/apps/%64efault/events']) {
      api.logs.length = 0;
      const response = await api.call('POST', path, { body, ...(key !== undefined && { key }) });
      const headers = Object.fromEntries(response.headers);
      delete headers.date;
      const { status } = response;
      const text = (await response.text()).replace(/urn:uuid:[\w-]+/, '');
      await vi.waitFor(() => expect(api.logs.at(-1)?.msg).toBe('request'), 60_000);
      const logs = api.logs.map(({ level, msg, method, route, status, app, problem }) => {
        return { level, msg, method, route, status, app, problem };
      });
      answers.push({ status, headers, text, logs });
    }
    expect(answers[0]).toEqual(answers[1]);
    return answers[0]!;
  };

  it('is answered and logged as Express would have it', async () => {
    const { status, text, logs } = await both(OPERATOR_KEY, '{"name":"a"}');
    expect([status, JSON.parse(text)]).toEqual([202, { app: 'default', query: {}, body: { name: 'a' } }]);
    expect(logs).toEqual([
      expect.objectContaining({ method: 'POST', route: '/v1/apps/:app/events', status: 202, app: 'default' }),
    ]);
    expect((await both(undefined, '{}')).status).toBe(401);
    expect((await both(OPERATOR_KEY, '{}')).status).toBe(422);
    fail = () => {
      throw new Error('no');
    };
    expect((await both(OPERATOR_KEY, '{"name":"a"}')).status).toBe(500);
  });

  it('is nothing else: not another method, not another spelling', async () => {
    expect((await api.call('GET', '/v1/apps/default/events')).status).toBe(405);
    expect((await api.call('POST', '/v1/apps/default/events/', { body: '{}' })).status).toBe(404);
    expect((await api.call('POST', '/v1/apps/default/Events', { body: '{}' })).status).toBe(404);
    expect((await api.call('POST', '/v1/apps/%zz/events', { body: '{}' })).status).toBe(400);
  });
});

describe('a route whose path names no app', () => {
  const ask = (key: string | undefined, headers: Record<string, string> = {}) =>
    api.call('POST', '/compat/things', { ...(key && { key }), body: '{"name":"a"}', headers });
  const appOf = async (response: Response) => ((await response.json()) as { app: string }).app;

  it("acts in the app of an app's key, and lets it name no other", async () => {
    const key = await api.keyOf('shop');
    expect(await appOf(await ask(key))).toBe('shop');
    expect(await appOf(await ask(key, { 'sealpost-app': 'shop' }))).toBe('shop');
    const other = await ask(key, { 'sealpost-app': 'default' });
    expect(await problem(other)).toEqual([403, 'key_of_another_app']);
    expect(await problem(await ask(undefined))).toEqual([401, 'unauthorized']);
    expect(await problem(await ask('sk_wrong'))).toEqual([401, 'unauthorized']);
  });

  it('acts for an operator in the app that Sealpost-App names, else in default', async () => {
    expect(await appOf(await ask(OPERATOR_KEY))).toBe('default');
    expect(await appOf(await ask(OPERATOR_KEY, { 'sealpost-app': 'shop' }))).toBe('shop');
  });

  it('knows an Idempotency-Key in one app only', async () => {
    await ensureApp(api.services.configs, api.services.keyring, 'default', Date.now());
    const headers = { 'idempotency-key': 'one' };
    const nths = [];
    for (const key of [await api.keyOf('shop'), OPERATOR_KEY, OPERATOR_KEY]) {
      const answer = (await (await ask(key, headers)).json()) as { nth: number };
      nths.push(answer.nth);
    }
    expect(nths).toEqual([1, 2, 2]);
  });
});

describe('a body', () => {
  it.each([
    'application/json',
    'application/json; charset=UTF-8',
    'application/json;version=1',
    'application/vnd.shop+json; charset="utf-8"; v=2',
  ])('is taken as %s', async (type) => {
    expect((await post('{"name":"a"}', { 'content-type': type })).status).toBe(201);
  });

  it.each([
    'text/json',
    'application/jsonp',
    'application/json; charset=latin1',
    'application/json; v=1; charset=utf-16',
  ])('is refused as %s', async (type) => {
    expect(await problem(await post('{"name":"a"}', { 'content-type': type }))).toEqual([
      415,
      'unsupported_media_type',
    ]);
  });

  it('is told where it is broken, without being repeated', async () => {
    const response = await post('{"name": "a",\n "pass": hunter2}');
    const body = await response.text();
    expect(body).toContain('malformed_json');
    expect(body).not.toContain('hunter2');
    expect(await (await post('{"name":"a",}')).text()).toContain('line 1, column 13');
  });

  it('that is missing where one is needed is a field error, with and without a content-length', async () => {
    expect(await problem(await api.call('POST', THINGS, { key: OPERATOR_KEY }))).toEqual([
      422,
      'validation_failed',
    ]);
    const { hostname, port } = new URL(api.url);
    const socket = connect(Number(port), hostname);
    socket.write(
      `POST ${THINGS} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${OPERATOR_KEY}\r\nconnection: close\r\n\r\n`,
    );
    expect(await text(socket)).toMatch(/^HTTP\/1.1 422 /);
    expect(kept).toEqual([]);
  });

  it('is read whether it comes with its headers or after them, and one that is refused keeps the connection', async () => {
    const { hostname, port } = new URL(api.url);
    const socket = connect(Number(port), hostname).setEncoding('utf8');
    const head = (length: number) =>
      `POST ${THINGS} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${OPERATOR_KEY}\r\n` +
      `content-type: application/json\r\ncontent-length: ${length}\r\n\r\n`;
    const answer = async (...parts: string[]) => {
      for (const part of parts) {
        socket.write(part);
        await new Promise(setImmediate);
      }
      const [got] = (await once(socket, 'data')) as [string];
      expect(got).toMatch(/connection: keep-alive/i);
      return Number(got.slice(9, 12));
    };
    expect(await answer(`${head(5)}{"na}`)).toBe(400);
    expect(await answer(`${head(12)}{"name":"a"}`)).toBe(201);
    expect(await answer(head(12), '{"name":', '"b"}')).toBe(201);
    expect(await answer(`${head(2)}{}`)).toBe(422);
    socket.destroy();
    expect(kept).toEqual([{ name: 'a' }, { name: 'b' }]);
  });

  it('of many times the limit is refused in a way that the client gets to read', async () => {
    const body = Buffer.alloc(BODY_LIMIT * 300, 'a');
    for (const length of [{ 'content-length': String(body.length) }, { 'transfer-encoding': 'chunked' }]) {
      const headers = {
        authorization: `Bearer ${OPERATOR_KEY}`,
        'content-type': 'application/json',
        ...length,
      };
      const request = httpRequest(api.url + THINGS, { method: 'POST', headers });
      request.end(body);
      request.on('error', () => {}); // what it still sends after the answer was read goes nowhere
      const [response] = (await once(request, 'response')) as [IncomingMessage];
      expect([response.statusCode, response.headers.connection]).toEqual([413, 'close']);
      response.resume();
      await once(response, 'end');
    }
  });

  it('that nobody asked for does not hold the connection', async () => {
    const { hostname, port } = new URL(api.url);
    const socket = connect(Number(port), hostname);
    socket.write('GET /open HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n');
    socket.resume();
    await once(socket, 'close');
  });
});

describe('a fault of ours', () => {
  it('is logged under an id that the client gets, and tells nothing else', async () => {
    fail = () => {
      throw new TypeError('hunter2');
    };
    const response = await post('{"name":"a"}');
    const body = await response.text();
    expect([response.status, body.includes('hunter2'), body.includes('.ts')]).toEqual([500, false, false]);
    const { instance } = JSON.parse(body) as { instance: string };
    expect(instance).toMatch(/^urn:uuid:/);
    const logged = api.logs.find((line) => line.instance === instance);
    expect(logged).toMatchObject({ level: 50, method: 'POST', path: THINGS });
    expect(JSON.stringify(logged)).toContain('hunter2');
  });
});

describe('an Idempotency-Key', () => {
  const once = (body: string, key: string) => post(body, { 'idempotency-key': key });

  it('gets the first answer again, headers and text alike', async () => {
    const first = await once('{"name": "a"}', 'k1');
    const again = await once('{"name": "a"}', 'k1');
    expect(kept).toHaveLength(1);
    expect(again.headers.get('idempotent-replayed')).toBe('true');
    expect([again.status, again.headers.get('location'), await again.text()]).toEqual([
      201,
      first.headers.get('location'),
      '{"name": "a"}',
    ]);
    expect(await problem(await once('{"name":"b"}', 'k1'))).toEqual([422, 'idempotency_key_reused']);
  });

  it('may be used again after a failure', async () => {
    fail = () => {
      throw new Error('Redis went away');
    };
    expect((await once('{"name":"a"}', 'k2')).status).toBe(500);
    fail = () => {};
    expect((await once('{"name":"a"}', 'k2')).status).toBe(201);
  });

  it.each(['with space', 'ümlaut', 'x'.repeat(256)])('that is none: %s', async (key) => {
    expect(await problem(await once('{"name":"a"}', key))).toEqual([400, 'invalid_idempotency_key']);
  });
});

describe('a key', () => {
  it('of an app acts in that app only, and nobody learns which others there are', async () => {
    const key = await api.keyOf('shop');
    await api.keyOf('other');
    const get = (path: string) => api.call('GET', path, { key });
    expect(await (await get(THINGS)).json()).toEqual({ kind: 'app' });
    for (const app of ['other', 'nowhere', '%00'])
      expect(await problem(await get(`/v1/apps/${app}/things`))).toEqual([403, 'key_of_another_app']);
    expect(await problem(await get('/v1/operators'))).toEqual([403, 'forbidden']);
  });

  it('that the directory names but the app does not have counts nothing', async () => {
    const key = 'sk_planted_by_who_can_write_to_redis';
    await redis.client.hset('sp:keys', api.services.keyring.hashApiKey(key), 'shop');
    expect(await problem(await api.call('GET', THINGS, { key }))).toEqual([401, 'unauthorized']);
  });

  it.each(['Basic b3A6b3A=', 'Bearer', `Bearer ${OPERATOR_KEY}x`, `Bearer ${OPERATOR_KEY} x`, OPERATOR_KEY])(
    'that is none: %s',
    async (authorization) => {
      const response = await api.call('GET', THINGS, { headers: { authorization } });
      expect(response.headers.get('www-authenticate')).toBe('Bearer');
      expect(await problem(response)).toEqual([401, 'unauthorized']);
    },
  );
});

it('what is stored under a master key that is not known here is no 500, and is told', async () => {
  let told = 0;
  const other = await startHttpApi(redis.client, routes, { onUnknownKey: () => told++ });
  const key = await other.keyOf('moved');
  const [shard, number] = (await redis.client.hget('sp:apps', 'moved'))!.split(':');
  const config = `{sp:${shard}}:cfg:${number}`;
  const record = (await redis.client.hget(config, 'app'))!;
  await redis.client.hset(config, 'app', `00000000${record.slice(8)}`);
  await redis.client.hincrby(config, 'v', 1);
  expect(await problem(await other.call('GET', '/v1/apps/moved/things', { key }))).toEqual([
    503,
    'config_invalid',
  ]);
  expect(told).toBe(1);
  await other.stop();
});
