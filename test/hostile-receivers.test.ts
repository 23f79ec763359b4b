import { createServer, type Socket } from 'node:net';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { stopAfterAll } from './harness/cleanup.ts';
import {
  type Loose,
  Receiver,
  type Response,
  type Stack,
  startStack,
  Tenant,
  waitFor,
} from './harness/index.ts';

let stack: Stack;
let receiver: Receiver;
let tenant: Tenant;

beforeAll(async () => {
  stack = await startStack();
  tenant = await Tenant.create(stack.client);
});

beforeEach(async () => {
  receiver = await Receiver.listen();
});

/** What an attempt may take that is to end by its timeout, in seconds. */
const SHORT = 1;
const LONG = 30;

/** One attempt: the delivery and that attempt. */
async function attempt(url: string, timeout = LONG): Promise<{ delivery: Loose; attempt: Loose }> {
  const endpoint = await tenant.endpoint({ url, timeout_seconds: timeout, retry: { max_retries: 0 } });
  const answer = await tenant.client.post(`${tenant.path}/endpoints/${endpoint.id}/test`, {
    event_type: 'a',
    payload: 1,
  });
  const delivery = await tenant.ended(answer.json.id);
  expect(delivery.attempts).toHaveLength(1);
  return { delivery, attempt: delivery.attempts[0] };
}

async function respondedWith(response: Response, timeout = LONG): ReturnType<typeof attempt> {
  receiver.respond('/hook', response);
  return attempt(receiver.url('/hook'), timeout);
}

/** A server that is given the socket as soon as a request has begun. */
async function rawServer(serve: (socket: Socket) => void): Promise<string> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {}); // the client goes away
    socket.once('data', () => serve(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  stopAfterAll(async () => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as { port: number }).port}/`;
}

const connectionsClosed = () =>
  waitFor(() => receiver.openConnections === 0, { describe: 'its connection to be closed' });

describe('redirects are not followed:', () => {
  it.each([301, 302, 303, 307, 308])('%i is a failure', async (status) => {
    const { delivery, attempt } = await respondedWith({
      status,
      headers: { location: receiver.url('/other') },
    });
    expect(delivery).toMatchObject({ status: 'dead', last_status_code: status });
    expect(attempt).toMatchObject({
      error: 'http_status',
      response: { headers: { location: receiver.url('/other') } },
    });
    expect(receiver.to('/other')).toHaveLength(0);
  });
});

describe('an attempt ends at its timeout when the receiver', () => {
  it('drips a body', async () => {
    const { delivery, attempt } = await respondedWith('drip', SHORT);
    expect(delivery.status).toBe('dead');
    expect(attempt.error).toBe('timeout');
    expect(attempt.duration_ms).toBeGreaterThanOrEqual(1000);
    await connectionsClosed();
  });

  it('drips headers', async () => {
    const url = await rawServer((socket) => {
      socket.write('HTTP/1.1 200 OK\r\nx-slow: ');
      const timer = setInterval(() => socket.write('x'), 50);
      socket.once('close', () => clearInterval(timer));
    });
    const { attempt: made } = await attempt(url, SHORT);
    expect(made).toMatchObject({ error: 'timeout', status_code: null });
  });

  it('never answers', async () => {
    const { attempt } = await respondedWith('hang', SHORT);
    expect(attempt).toMatchObject({ error: 'timeout', status_code: null, response: null });
    expect(attempt.duration_ms).toBeGreaterThanOrEqual(1000);
    await connectionsClosed();
  });

  it('announces more than it sends', async () => {
    const url = await rawServer((socket) => {
      socket.write('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort');
    });
    expect((await attempt(url, SHORT)).attempt).toMatchObject({ error: 'timeout' });
  });
});

describe('an endless body', () => {
  it('is cut off, and its status counts', async () => {
    const { delivery, attempt } = await respondedWith('flood');
    expect(delivery.status).toBe('delivered');
    expect(attempt.response).toMatchObject({ truncated: true });
    expect(attempt.response.body).toBe('.'.repeat(4096));
    await connectionsClosed();
  });

  it('of headers is no answer', async () => {
    const url = await rawServer((socket) => {
      socket.write('HTTP/1.1 200 OK\r\n');
      const pour = () => {
        while (!socket.destroyed && socket.write(`x-${'h'.repeat(1000)}: ${'v'.repeat(10_000)}\r\n`));
      };
      socket.on('drain', pour);
      pour();
    });
    expect((await attempt(url)).attempt).toMatchObject({ error: 'response_invalid' });
  });
});

describe('what is no answer is named:', () => {
  it('a connection that is reset', async () => {
    const { attempt } = await respondedWith('reset');
    expect(attempt).toMatchObject({ error: 'connection_failed', status_code: null });
  });

  it('a connection that is closed', async () => {
    const url = await rawServer((socket) => socket.end());
    expect((await attempt(url)).attempt).toMatchObject({ error: 'connection_failed' });
  });

  it('a port where nobody listens', async () => {
    const url = receiver.url();
    await receiver.stop();
    expect((await attempt(url)).attempt).toMatchObject({ error: 'connection_failed' });
  });

  it.each(['SSH-2.0-OpenSSH_9.6\r\n', 'HTTP/1.1 abc\r\n\r\n', '\0'.repeat(1000), '<html>hello</html>'])(
    'garbage: %j',
    async (garbage) => {
      const url = await rawServer((socket) => socket.end(garbage));
      const { delivery, attempt: made } = await attempt(url);
      expect(delivery.status).toBe('dead');
      expect(made).toMatchObject({ error: 'response_invalid', status_code: null });
    },
  );

  it('TLS from a server that has none', async () => {
    const url = (await rawServer((socket) => socket.end('HTTP/1.1 400 Bad\r\n\r\n'))).replace(
      'http:',
      'https:',
    );
    expect((await attempt(url)).attempt).toMatchObject({ error: 'tls_failed' });
  });
});

describe('of a response is shown', () => {
  it('the first 4 KiB of its body', async () => {
    const body = Buffer.concat([Buffer.alloc(4096, 'a'), Buffer.alloc(6000, 'b')]);
    const { attempt } = await respondedWith({ status: 500, body });
    expect(attempt.response).toMatchObject({ body: 'a'.repeat(4096), truncated: true });
  });

  it('a body of exactly 4 KiB as whole', async () => {
    const { attempt } = await respondedWith({ status: 200, body: 'a'.repeat(4096) });
    expect(attempt.response).toMatchObject({ body: 'a'.repeat(4096), truncated: false });
  });

  it('a body that is no text, without harm', async () => {
    const { attempt } = await respondedWith({
      status: 500,
      body: Buffer.from([0xff, 0x00, 0x22, 0x5c, 0x0a, 0xc3]),
    });
    expect(attempt.response.body).toContain('"\\\n');
  });

  it('its headers, but no cookie', async () => {
    const headers = { 'x-request-id': 'r1', 'set-cookie': 'session=secret' };
    const { delivery } = await respondedWith({ status: 200, headers });
    expect(delivery.attempts[0].response.headers).toMatchObject({ 'x-request-id': 'r1' });
    expect(JSON.stringify(delivery)).not.toContain('session=secret');
  });
});

it('the worker is none the worse: it is ready, and delivers', async () => {
  const worker = stack.workers[0]!;
  expect((await fetch(`${worker.url}/readyz`)).status).toBe(200);
  expect((await respondedWith(200)).delivery.status).toBe('delivered');
});
