import { Keyring } from '@sealpost/core';
import { startTestRedis, type TestRedis } from '@sealpost/queue/testing';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type HttpApi, OPERATOR_KEY, startHttpApi } from '../../testing/http-api.ts';
import { hasSession, sessionCookie } from './session.ts';

const OTHER_KEY = 'other-operator-9876543210';
const FORM = { 'content-type': 'application/x-www-form-urlencoded' };
const PAGE = { accept: 'text/html' };

let redis: TestRedis;
let api: HttpApi;

beforeAll(async () => {
  redis = await startTestRedis();
});
afterAll(() => redis.stop());
beforeEach(async () => {
  await api?.stop();
  api = await startHttpApi(redis.client, () => [], { apiKeys: [OPERATOR_KEY, OTHER_KEY] });
});
afterAll(() => api.stop());

const logIn = (key: string, headers: Record<string, string> = { origin: api.url }) =>
  api.call('POST', '/admin/login', { body: `key=${key}`, headers: { ...FORM, ...headers } });
const cookieOf = (response: Response) => response.headers.get('set-cookie')!.split(';')[0]!;

describe('the log-in', () => {
  it('gives a cookie that opens the board, and that only this site can use', async () => {
    const response = await logIn(OPERATOR_KEY);
    expect([response.status, response.headers.get('location')]).toEqual([303, '/admin/queues']);
    expect(response.headers.get('set-cookie')).toMatch(
      /; Path=\/admin; HttpOnly; SameSite=Strict; Max-Age=43200$/,
    );
    const page = await api.call('GET', '/admin/queues', { headers: { ...PAGE, cookie: cookieOf(response) } });
    expect([page.status, (await page.text()).includes('Sealpost')]).toEqual([200, true]);
  });

  it('keeps the cookie to https where the page came that way', async () => {
    const headers = { origin: 'https://sealpost.example', 'sec-fetch-site': 'same-origin' };
    expect((await logIn(OPERATOR_KEY, headers)).headers.get('set-cookie')).toMatch(/; Secure$/);
  });

  it.each<[string, Record<string, string>]>([
    ['another site', { origin: 'http://evil.example' }],
    ['another site, by the browser’s word', { 'sec-fetch-site': 'cross-site' }],
    ['a neighbour', { 'sec-fetch-site': 'same-site' }],
    ['nowhere', {}],
    ['a sandbox', { origin: 'null' }],
    [
      'another site, with a password of a proxy',
      { origin: 'http://evil.example', authorization: 'Basic eDp5' },
    ],
  ])('takes no form of %s', async (_, headers) => {
    expect((await logIn(OPERATOR_KEY, headers)).status).toBe(403);
  });

  it('shows wrong input nowhere, and takes no large form', async () => {
    const response = await logIn('%3Cscript%3E');
    expect([response.status, (await response.text()).includes('script')]).toEqual([401, false]);
    const large = await logIn('x'.repeat(5000));
    expect([large.status, large.headers.get('content-type')]).toEqual([
      413,
      'application/problem+json; charset=utf-8',
    ]);
  });

  it('forgets wrong keys after the right one', async () => {
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < 4; i++) expect((await logIn('wrong-key-0123456789')).status).toBe(401);
      expect((await logIn(OPERATOR_KEY)).status).toBe(303);
    }
    for (let i = 0; i < 5; i++) await logIn('wrong-key-0123456789');
    expect((await logIn(OPERATOR_KEY)).status).toBe(429);
  });

  it('ends with the log-out', async () => {
    const response = await api.call('POST', '/admin/logout', { headers: { origin: api.url } });
    expect(response.headers.get('location')).toBe('/admin/login');
    expect(cookieOf(response)).toBe('sealpost_session=');
  });
});

describe('the board', () => {
  it.each(['/admin', '/admin/queues', '/admin/queues/queue/deliveries-0'])(
    'sends a browser without a log-in from %s to the log-in',
    async (path) => {
      const response = await api.call('GET', path, { headers: PAGE });
      expect([response.status, response.headers.get('location')]).toEqual([303, '/admin/login']);
    },
  );

  it.each([
    '/admin/queues/api/queues',
    '/admin/queues/api/redis/stats',
    '/admin/queues/static/js/x.js',
    '/admin/x',
  ])('gives nothing of %s without a key', async (path) => {
    expect((await api.call('GET', path)).status).toBe(401);
    expect((await api.call('GET', path, { key: 'sk_of_no_operator_at_all' })).status).toBe(401);
  });

  it('loads nothing of another host, and cannot be framed', async () => {
    const policy = (await api.call('GET', '/admin/queues', { key: OPERATOR_KEY })).headers.get(
      'content-security-policy',
    );
    expect(policy).toContain("default-src 'self'");
    expect(policy).toContain("frame-ancestors 'none'");
    expect(policy).not.toMatch(/https?:/);
  });
});

describe('a session', () => {
  const keyring = Keyring.fromMasterKeys(Buffer.alloc(32, 1));
  const now = Date.parse('2026-01-31T12:00:00Z');
  const cookie = sessionCookie(keyring, 'operator-a', now, false);

  it('holds twelve hours, for those to whom its key still belongs', () => {
    const holds = (operators: string[], later: number) =>
      hasSession(keyring, operators, `x=y; ${cookie}`, now + later);
    expect(holds(['operator-b', 'operator-a'], 12 * 3_600_000 - 1000)).toBe(true);
    expect(holds(['operator-a'], 12 * 3_600_000)).toBe(false);
    expect(holds(['operator-b'], 0)).toBe(false);
  });

  it('cannot be made longer, or under another master key', () => {
    const longer = cookie.replace(/=\d+/, (until) => `=${Number(until.slice(1)) + 1}`);
    expect(hasSession(keyring, ['operator-a'], longer, now)).toBe(false);
    const other = Keyring.fromMasterKeys(Buffer.alloc(32, 2));
    expect(hasSession(other, ['operator-a'], cookie, now)).toBe(false);
    expect(hasSession(keyring, ['operator-a'], undefined, now)).toBe(false);
  });
});
