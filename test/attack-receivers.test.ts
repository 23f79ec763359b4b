import { join } from 'node:path';
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  ApiClient,
  type Loose,
  Receiver,
  residentOf,
  type Stack,
  startStack,
  Tenant,
} from './harness/index.ts';

/** Receivers that attack the worker, and tenants who attack what is behind it. */
let stack: Stack;
let tenant: Tenant;
/** Where the worker must not get to, on a port that is open; the same port at 127.0.0.2 is open to it. */
let inside: Receiver;
let outside: Receiver;

beforeAll(async () => {
  const preload = join(import.meta.dirname, 'harness/rebinding-dns.ts');
  stack = await startStack({
    env: { SEALPOST_ALLOW_SUBNETS: '127.0.0.2/32' },
    workerEnv: { NODE_OPTIONS: `--import=file://${preload}` },
  });
  // Lets anything be saved: what is to be seen is the worker's guard.
  const lax = await stack.addApi({ SEALPOST_ALLOW_SUBNETS: '127.0.0.0/8,10.0.0.0/8,::/0' });
  stack.client = new ApiClient(lax.url, stack.apiKey);
  tenant = await Tenant.create(stack.client);
  inside = await Receiver.listen({ host: '127.0.0.1' });
  outside = await Receiver.listen({ host: '127.0.0.2', port: inside.port });
});

afterEach(() => outside.clear());

/** One delivery with all its attempts. */
async function deliver(url: string, settings: object = {}): Promise<Loose> {
  const endpoint = await tenant.endpoint({
    url,
    timeout_seconds: 5,
    retry: { max_retries: 0 },
    event_types: ['never'],
    ...settings,
  });
  const sent = await tenant.client.post(`${tenant.path}/endpoints/${endpoint.id}/test`, {
    event_type: 'a',
    payload: 1,
  });
  expect(sent.status, sent.text).toBe(202);
  return tenant.ended(sent.json.id);
}

describe('a name that is bound anew', () => {
  const at = (name: string) => `http://${name}.rebind.test:${inside.port}/`;

  it('is reached where it is allowed (the control)', async () => {
    expect(await deliver(at('public'))).toMatchObject({ status: 'delivered' });
    expect(outside.requests).toHaveLength(1);
  });

  it.each(['public-loopback', 'public-mapped', 'public-private'])(
    '%s: from the second look-up on it is blocked',
    async (name) => {
      // The first answer closes the connection: the second attempt must look the name up again.
      outside.respond({ status: 503, headers: { connection: 'close' } });
      const delivery = await deliver(at(name), { retry: { max_retries: 1, base_seconds: 0 } });
      outside.respond(200);
      expect(delivery).toMatchObject({ status: 'dead', reason: 'address_blocked' });
      expect(delivery.attempts.map(({ error }: Loose) => error)).toEqual(['http_status', 'address_blocked']);
      expect([outside.requests.length, inside.connections]).toEqual([1, 0]);
    },
  );

  it('of several addresses only the allowed one is connected to, however often', async () => {
    for (let i = 0; i < 5; i++)
      expect(await deliver(at(`both.n${i}`))).toMatchObject({ status: 'delivered' });
    expect([outside.requests.length, inside.connections]).toEqual([5, 0]);
  });

  it('is not reached by a redirect', async () => {
    outside.respond({ status: 307, headers: { location: inside.url('/secret') } });
    expect(await deliver(at('public.redirect'))).toMatchObject({ status: 'dead' });
    outside.respond(200);
    expect(inside.connections).toBe(0);
  });
});

describe('what a tenant is told of a blocked address', () => {
  /** All of an attempt but when it was made and how long it took. */
  function told(delivery: Loose): object {
    const { started_at: _, duration_ms: __, timing, request, ...attempt } = delivery.attempts[0];
    const { 'webhook-id': a, 'webhook-timestamp': b, 'webhook-signature': c, ...headers } = request.headers;
    expect([a, b, c]).not.toContain(undefined);
    return {
      ...attempt,
      timing: Object.keys(timing),
      headers,
      status: delivery.status,
      reason: delivery.reason,
    };
  }

  it.each([
    ['an address', (port: number) => `http://127.0.0.1:${port}/`],
    ['an address, by TLS', (port: number) => `https://127.0.0.1:${port}/`],
    ['a name', (port: number) => `http://loopback.port${port}.rebind.test:${port}/`],
    ['a private network', (port: number) => `http://10.0.0.1:${port}/`],
  ])('%s: nothing that tells an open port from a closed one, nor how long it took', async (_, url) => {
    const closed = await Receiver.listen();
    const closedPort = closed.port;
    await closed.stop();
    const durations: number[] = [];
    const answers: object[] = [];
    for (const port of [inside.port, closedPort, 1, 6379]) {
      const delivery = await deliver(url(port));
      answers.push(told(delivery));
      durations.push(delivery.attempts[0].duration_ms);
    }
    expect(answers[0]).toMatchObject({
      error: 'address_blocked',
      status_code: null,
      response: null,
      reason: 'address_blocked',
    });
    for (const answer of answers) expect(answer).toEqual(answers[0]);
    // No connection is begun, so none can be waited for: a closed port would answer at once, a filtered one never.
    expect(Math.max(...durations)).toBeLessThan(4500); // its timeout is 5 s
    expect(inside.connections).toBe(0);
  });
});

describe('a bomb in an answer', () => {
  const ZEROS = 64 * 1024 * 1024;
  const bombs: [string, () => Buffer][] = [
    ['gzip', () => gzipSync(Buffer.alloc(ZEROS))],
    ['br', () => brotliCompressSync(Buffer.alloc(ZEROS))],
    ['deflate', () => deflateSync(Buffer.alloc(ZEROS))],
    ['gzip, gzip', () => gzipSync(gzipSync(Buffer.alloc(ZEROS)))],
  ];

  it.each(bombs)('%s is not unpacked', async (encoding, pack) => {
    const bomb = pack();
    outside.respond({ status: 200, headers: { 'content-encoding': encoding }, body: bomb });
    const before = await residentOf(stack.workers[0]!.pid!);
    const delivery = await deliver(outside.url(`/${encoding[0]}`).replace('127.0.0.1', '127.0.0.2'));
    expect(delivery.status).toBe('delivered');
    const { body, truncated } = delivery.attempts[0].response;
    expect(body).toBe(bomb.subarray(0, 4096).toString('utf8'));
    expect(truncated).toBe(bomb.length > 4096);
    expect(outside.requests[0]!.headers['accept-encoding']).toBe('identity');
    expect((await residentOf(stack.workers[0]!.pid!)) - before).toBeLessThan(ZEROS / 2);
    outside.respond(200);
  });
});

it('the worker is none the worse, and has logged no fault', async () => {
  const { url, logs } = stack.workers[0]!;
  expect((await fetch(`${url}/readyz`)).status).toBe(200);
  expect(logs.filter(({ level }) => level >= 50)).toEqual([]);
  expect(inside.connections).toBe(0);
});
