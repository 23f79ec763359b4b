import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  freshClient,
  operationsOf,
  pathWith,
  type RawAnswer,
  RawSocket,
  rawRequest,
  residentOf,
  type Stack,
  startStack,
  Tenant,
} from './harness/index.ts';

/** Clients of the API and browsers of operators that mean no good. */
let stack: Stack;
let tenant: Tenant;
let appKey: string;

beforeAll(async () => {
  stack = await startStack({ workers: 0 });
  tenant = await Tenant.create(stack.client);
  appKey = (await stack.client.post(`${tenant.path}/keys`, {})).json.key;
});

const get = (path: string, key: string, from?: string) =>
  rawRequest(stack.client.url, {
    path,
    headers: { authorization: `Bearer ${key}` },
    ...(from !== undefined && { from }),
  });
const guess = () => `sk_${randomBytes(16).toString('hex')}`;

describe('guessing of API keys is slowed down', () => {
  it.each([
    ['of apps', () => tenant.path],
    ['of operators', () => '/v1/apps'],
    ['at Bull Board, past its log-in', () => '/admin/queues/api/queues'],
  ])('%s', async (_, path) => {
    const from = freshClient();
    for (let i = 0; i < 20; i++) expect((await get(path(), guess(), from)).status).toBe(401);
    const answers = await Promise.all(Array.from({ length: 60 }, () => get(path(), guess(), from)));
    expect(answers.every(({ status }) => status === 429)).toBe(true);
    for (const { headers, json } of answers) {
      expect(Number(headers['retry-after'])).toBeGreaterThan(0);
      expect(json.code).toBe('too_many_wrong_keys');
    }
  });

  it('and nobody is locked out: a right key is let in at once, from that address and from others', async () => {
    const from = freshClient();
    for (let i = 0; i < 25; i++) await get(tenant.path, guess(), from);
    const fresh = (await stack.client.post(`${tenant.path}/keys`, {})).json.key;
    for (const key of [appKey, fresh, stack.apiKey]) {
      const answer = await get(tenant.path, key, from);
      expect(answer.status, answer.text).toBe(200);
    }
    // Nor in the middle of a flood, once it has been right.
    const flood = Array.from({ length: 40 }, () => get(tenant.path, guess(), from));
    for (const key of [appKey, fresh, stack.apiKey])
      expect((await get(tenant.path, key, from)).status).toBe(200);
    await Promise.all(flood);
    expect((await get(tenant.path, guess(), freshClient())).status).toBe(401);
  });

  it('a request without a key is no guess', async () => {
    const from = freshClient();
    for (let i = 0; i < 50; i++)
      expect((await rawRequest(stack.client.url, { path: '/v1/apps', from })).status).toBe(401);
  });
});

describe('a slow client', () => {
  it('has ten seconds for its headers, and holds up nobody', async () => {
    const sockets = await Promise.all(Array.from({ length: 100 }, () => RawSocket.open(stack.client.url)));
    for (const socket of sockets) socket.write('GET /v1/apps HTTP/1.1\r\nhost: x\r\n');
    const drip = setInterval(() => {
      for (const socket of sockets) socket.write('x-slow: 1\r\n');
    }, 500);
    try {
      const answer = get(tenant.path, appKey).then(({ status }) => status);
      const cutOff = Promise.race(sockets.map(({ closed }) => closed.then(() => 'a slow one was cut off')));
      expect(await Promise.race([answer, cutOff])).toBe(200);
      const open = await Promise.all(sockets.map(({ closed }) => closed));
      expect(Math.max(...open)).toBeLessThan(40_000); // Node's own limit is a minute
      for (const { received } of sockets) expect(received).toContain('"code":"request_timeout"');
    } finally {
      clearInterval(drip);
    }
  });

  it('that never sends the body that it announced gets its answer where none is wanted', async () => {
    const socket = await RawSocket.open(stack.client.url);
    socket.write(
      `GET ${tenant.path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${appKey}\r\ncontent-length: 1000\r\n\r\n`,
    );
    expect(await socket.closed).toBeLessThan(30_000);
    expect(socket.statuses).toEqual([200]);
  });

  it('without a key is not listened to: its body is not awaited', async () => {
    const socket = await RawSocket.open(stack.client.url);
    socket.write(`POST ${tenant.path}/events HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n{`);
    const drip = setInterval(() => socket.write(' '), 100);
    try {
      expect(await socket.closed).toBeLessThan(30_000);
    } finally {
      clearInterval(drip);
    }
    expect(socket.statuses).toEqual([401]);
  });

  it('that reads no answers, and asks on and on, is not given memory without end', async () => {
    const socket = await RawSocket.open(stack.client.url);
    const before = await residentOf(stack.api.pid!);
    socket.pause();
    // Half a gigabyte of answers.
    socket.write('GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n'.repeat(5000));
    await delay(1000);
    expect((await get(tenant.path, appKey)).status).toBe(200);
    expect((await residentOf(stack.api.pid!)) - before).toBeLessThan(150 * 1024 * 1024);
  });
});

describe('what a browser may do with an answer', () => {
  it('is said in every answer, whatever it is', async () => {
    const { all } = await operationsOf(stack.client);
    const params = { app: tenant.app, endpoint: 'ep_00zzzzzzzzzz' };
    const paths = [
      ...all.map((route) => [route.method, pathWith(route, params)] as const),
      ['GET', '/nothing'] as const,
      ['GET', '/%zz'] as const,
      ['DELETE', '/v1/apps'] as const,
      ['OPTIONS', '/v1/apps'] as const,
      ['GET', '/admin'] as const,
      ['GET', '/admin/login'] as const,
      ['GET', '/admin/login.css'] as const,
      ['GET', '/admin/nothing'] as const,
      ['POST', '/admin/login'] as const,
      ['GET', '/admin/queues'] as const,
      ['GET', '/admin/queues/api/queues'] as const,
    ];
    for (const [method, path] of paths) {
      for (const headers of [{}, { authorization: `Bearer ${stack.apiKey}` }]) {
        const answer = await rawRequest(stack.client.url, { method, path, headers });
        const shown = `${method} ${path}: ${JSON.stringify(answer.headers)}`;
        expect(answer.headers, shown).toMatchObject({
          'x-content-type-options': 'nosniff',
          'referrer-policy': 'no-referrer',
          'x-frame-options': 'DENY',
          'cross-origin-resource-policy': 'same-origin',
        });
        const policy = answer.headers['content-security-policy']!;
        expect(policy, shown).toMatch(/default-src '(none|self)'/);
        expect(policy, shown).toContain("frame-ancestors 'none'");
        expect(policy, shown).not.toMatch(/script-src[^;]*'unsafe|unsafe-eval|\*|https?:/);
        expect(answer.headers['x-powered-by'], shown).toBeUndefined();
        expect(answer.headers['access-control-allow-origin'], shown).toBeUndefined();
      }
    }
  });

  it('no page of another site is let read anything, with or without asking before', async () => {
    const origin = 'https://evil.example';
    const headers = {
      origin,
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'authorization',
      authorization: `Bearer ${stack.apiKey}`,
    };
    for (const method of ['OPTIONS', 'GET', 'POST'])
      for (const path of ['/v1/apps', tenant.path, '/admin/queues/api/queues', '/openapi.json']) {
        const answer = await rawRequest(stack.client.url, { method, path, headers });
        expect(Object.keys(answer.headers).filter((name) => name.startsWith('access-control'))).toEqual([]);
      }
  });
});

describe("an operator's session", () => {
  const form = { 'content-type': 'application/x-www-form-urlencoded', origin: '' };
  const logIn = (headers: Record<string, string> = {}) =>
    rawRequest(stack.client.url, {
      method: 'POST',
      path: '/admin/login',
      headers: { ...form, origin: stack.client.url, ...headers },
      body: `key=${stack.apiKey}`,
      from: freshClient(),
    });
  const board = (cookie: string) =>
    rawRequest(stack.client.url, { path: '/admin/queues/api/queues', headers: { cookie } });
  const cookieOf = ({ headers }: RawAnswer) => String(headers['set-cookie']).split(';')[0]!;

  it('is one of its own, whatever cookie was there before', async () => {
    const fixed = `sealpost_session=9999999999.${'A'.repeat(43)}`;
    const answer = await logIn({ cookie: fixed });
    expect(answer.status).toBe(303);
    expect(cookieOf(answer)).not.toBe(fixed);
    expect((await board(fixed)).status).toBe(401);
    expect((await board(cookieOf(answer))).status).toBe(200);
  });

  it('opens Bull Board alone: on /v1 a cookie is nothing', async () => {
    const cookie = cookieOf(await logIn());
    for (const path of ['/v1/apps', tenant.path]) {
      const answer = await rawRequest(stack.client.url, { path, headers: { cookie } });
      expect(answer.status).toBe(401);
    }
  });

  it('cannot be made of another one: cut, mixed, doubled or in another case', async () => {
    const [name, value] = cookieOf(await logIn()).split('=') as [string, string];
    const [until, token] = value.split('.') as [string, string];
    const forged = [
      `${name}=${until}.`,
      `${name}=.${token}`,
      `${name}=${until}.${token.slice(0, -1)}`,
      `${name}=${until}.${token}x`,
      `${name}=${Number(until) + 1}.${token}`,
      `${name}=0${until}.${token}`,
      `${name}=${until}.${token.toLowerCase()}`,
      `${name.toUpperCase()}=${value}`,
      `x${name}=${value}`,
      `${name}="${value}"`,
      `${name}=1e12.${token}`,
    ];
    for (const cookie of forged) expect((await board(cookie)).status, cookie).toBe(401);
    expect((await board(`a=b; ${name}=${value}; c=d`)).status).toBe(200);
  });

  it('does nothing that another site asks for', async () => {
    const cookie = cookieOf(await logIn());
    for (const headers of [
      { origin: 'https://evil.example' },
      { origin: 'null' },
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site', origin: stack.client.url },
      { referer: stack.client.url },
      {},
    ]) {
      for (const [method, path] of [
        ['PUT', '/admin/queues/api/queues/deliveries-0/x/retry'],
        ['POST', '/admin/logout'],
        ['POST', '/admin/login'],
      ] as const) {
        const answer = await rawRequest(stack.client.url, {
          method,
          path,
          headers: { cookie, ...headers },
          body: '{}',
        });
        expect(answer.status, `${method} ${path} ${JSON.stringify(headers)}`).toBe(403);
        expect(answer.headers['set-cookie']).toBeUndefined();
      }
    }
  });
});

it('nothing of all this was a fault', () => {
  expect(stack.api.logs.filter(({ level }) => level >= 50)).toEqual([]);
});
