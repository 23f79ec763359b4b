import type { Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { CLIENTS, testClient } from './fixtures/clients.ts';
import { httpReceiver, rawReceiver } from './fixtures/receivers.ts';

/** Sends `text` over and over, a piece whenever the last one is gone, until the other side hangs up. */
function flood(socket: Socket, text: string): void {
  const write = () => {
    if (!socket.destroyed) socket.write(text, () => setImmediate(write));
  };
  write();
}

const OK = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok';

describe.each(CLIENTS)('a POST by $name to a receiver that behaves badly', ({ create }) => {
  it.each([
    ['sends nothing', '', undefined],
    ['drips headers', 'HTTP/1.1 200 OK\r\nx-a: ', undefined],
    ['drips a body', 'HTTP/1.1 200 OK\r\ncontent-length: 60000\r\n\r\n', 200],
    ['drips an error', 'HTTP/1.1 500 No\r\ncontent-length: 60000\r\n\r\n', 500],
  ])('ends at the deadline when it %s', async (_how, start, statusCode) => {
    const receiver = await rawReceiver((socket) => {
      socket.write(start);
      const drip = setInterval(() => start && socket.write('x'), 20);
      socket.once('close', () => clearInterval(drip));
      socket.resume();
    });
    const outcome = await testClient(create).post(receiver.url, { timeoutMs: 1000 });
    expect(outcome.reason).toBe('timeout');
    expect(outcome.statusCode).toBe(statusCode);
    await receiver.allClosed();
  });

  it('ends at the deadline when the name is never resolved', async () => {
    const outcome = await testClient(create, { lookup: () => {} }).post('http://slow.test/', {
      timeoutMs: 50,
    });
    expect(outcome).toMatchObject({ reason: 'timeout', phases: {} });
  });

  it('cuts off an endless body and counts its status', async () => {
    const receiver = await rawReceiver((socket) => {
      socket.resume().write('HTTP/1.1 202 OK\r\ntransfer-encoding: chunked\r\n\r\n');
      flood(socket, `1000\r\n${'y'.repeat(4096)}\r\n`);
    });
    const outcome = await testClient(create).post(receiver.url);
    expect(outcome).toMatchObject({ reason: 'none', statusCode: 202, response: { truncated: true } });
    expect(outcome.response?.body.length).toBe(4096);
    await receiver.allClosed();
  });

  it.each([
    ['endless headers', 'HTTP/1.1 200 OK\r\n', `x-a: ${'y'.repeat(1000)}\r\n`, 'HPE_HEADER_OVERFLOW'],
    ['endless informational answers', '', 'HTTP/1.1 103 Early Hints\r\n\r\n', 'too_many_informational'],
    ['something that is not HTTP', '', 'SSH-2.0-OpenSSH_9\r\n', 'HPE_INVALID_CONSTANT'],
    ['a protocol switch', 'HTTP/1.1 101 Go\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n', 'y', 'upgrade'],
  ])('hangs up on %s', async (_what, start, piece, detail) => {
    const receiver = await rawReceiver((socket) => {
      socket.resume().write(start);
      flood(socket, piece);
    });
    expect(await testClient(create).post(receiver.url)).toMatchObject({ reason: 'response_invalid', detail });
    await receiver.allClosed();
  });

  it('keeps no more of many headers than fits', async () => {
    const receiver = await httpReceiver((_request, response) => {
      for (let i = 0; i < 10; i += 1) response.setHeader(`x-${i}`, 'y'.repeat(1000));
      response.end();
    });
    const outcome = await testClient(create).post(receiver.url);
    expect(outcome).toMatchObject({ reason: 'none', statusCode: 200 });
    expect(JSON.stringify(outcome.response?.headers).length).toBeLessThan(4500);
  });

  it('names an answer that breaks off response_invalid, with the status that was seen', async () => {
    const receiver = await rawReceiver((socket) => {
      socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf'));
    });
    expect(await testClient(create).post(receiver.url)).toMatchObject({
      reason: 'response_invalid',
      statusCode: 200,
    });
  });

  it('takes an answer that comes before the body was read, and hangs up', async () => {
    let accepted: Socket | undefined;
    const receiver = await rawReceiver((socket) => {
      accepted = socket;
      socket.once('readable', () => socket.write('HTTP/1.1 413 Large\r\ncontent-length: 0\r\n\r\n'));
    });
    const outcome = await testClient(create).post(receiver.url, { body: 'x'.repeat(16 * 1024 * 1024) });
    expect(outcome).toMatchObject({ reason: 'http_status', statusCode: 413 });
    accepted?.resume();
    await receiver.allClosed();
  });

  it('takes an unasked second answer for no later request', async () => {
    const receiver = await rawReceiver((socket) => {
      socket.on('data', () => socket.write(OK + OK.replace('200', '201')));
    });
    const { post } = testClient(create);
    for (let i = 0; i < 3; i += 1) expect(await post(receiver.url)).toMatchObject({ statusCode: 200 });
  });

  it('rejects with the reason of an abort, before and during the request', async () => {
    const controller = new AbortController();
    const receiver = await rawReceiver((socket) => {
      socket.once('data', () => controller.abort(new Error('draining')));
    });
    const { post } = testClient(create);
    await expect(post(receiver.url, { signal: controller.signal })).rejects.toThrow('draining');
    await receiver.allClosed();
    await expect(post(receiver.url, { signal: controller.signal })).rejects.toThrow('draining');
    expect(receiver.connections).toBe(1);
  });
});

describe.each(CLIENTS)('connections of $name', ({ create }) => {
  it('are used again', async () => {
    const receiver = await httpReceiver((_request, response) => void response.end());
    const { post } = testClient(create);
    await post(receiver.url);
    const { phases } = await post(receiver.url);
    expect(receiver.connections).toBe(1);
    expect(Object.keys(phases)).toEqual(['first_byte']);
  });

  it('are closed when idle for long, yet not while an answer is awaited', async () => {
    const receiver = await httpReceiver((_request, response) => void setTimeout(() => response.end(), 100));
    const { post } = testClient(create, { idleTimeoutMs: 20 });
    expect(await post(receiver.url)).toMatchObject({ reason: 'none' });
    await receiver.allClosed();
  });

  it('that were closed while idle are replaced once, within the attempt, by a fresh one', async () => {
    const requests: number[] = [];
    const waiting: Socket[] = [];
    const receiver = await rawReceiver((socket, connection) => {
      socket.on('data', () => {
        requests.push(connection);
        if (requests.length > 2 && connection <= 2) return void socket.resetAndDestroy();
        waiting.push(socket);
        // The first two answers wait for each other, so that there are two connections.
        if (requests.length > 1) for (const held of waiting.splice(0)) held.write(OK);
      });
    });
    const { post } = testClient(create);
    await Promise.all([post(receiver.url), post(receiver.url)]);
    expect(await post(receiver.url)).toMatchObject({ reason: 'none', statusCode: 200 });
    expect(requests).toEqual([1, 2, expect.toBeOneOf([1, 2]), 3]);
  });

  it('that break on a used connection after the answer began are not tried again', async () => {
    let requests = 0;
    const receiver = await rawReceiver((socket) => {
      socket.on('data', () => {
        requests += 1;
        if (requests === 1) socket.write(OK);
        else socket.end('HTTP/1.1 200');
      });
    });
    const { post } = testClient(create);
    await post(receiver.url);
    expect((await post(receiver.url)).reason).not.toBe('none');
    expect(requests).toBe(2);
  });

  it('that a fresh try also loses end the attempt', async () => {
    let requests = 0;
    const receiver = await rawReceiver((socket) => {
      socket.on('data', () => {
        requests += 1;
        if (requests === 1) socket.write(OK);
        else socket.resetAndDestroy();
      });
    });
    const { post } = testClient(create);
    await post(receiver.url);
    expect(await post(receiver.url)).toMatchObject({ reason: 'connection_failed', detail: 'ECONNRESET' });
    expect(requests).toBe(3);
  });
});
