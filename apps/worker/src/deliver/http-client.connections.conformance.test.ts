import type { LookupFunction, Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { describe, expect, it, vi } from 'vitest';
import { CLIENTS, resolver, testClient } from './fixtures/clients.ts';
import { httpReceiver, httpsReceiver, rawReceiver } from './fixtures/receivers.ts';

const OK = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok';

describe.each(CLIENTS)('the connections of $name', ({ create }) => {
  it('carry one request at a time: the next is sent when the last is answered', async () => {
    const bodies: string[] = [];
    let held: Socket | undefined;
    const receiver = await rawReceiver((socket) => {
      socket.on('data', (data) => {
        bodies.push(data.toString().split('\r\n\r\n')[1]!);
        held = socket;
      });
    });
    const { post } = testClient(create, { maxSocketsPerOrigin: 1 });
    const posts = ['1', '2', '3'].map((body) => post(receiver.url, { body }));
    for (const seen of [['1'], ['1', '2'], ['1', '2', '3']]) {
      await vi.waitFor(() => expect(bodies).toEqual(seen), { timeout: 60_000 });
      // Were there more on its way, it would have come with a request and its answer on another connection.
      held?.write(OK);
    }
    for (const outcome of await Promise.all(posts)) expect(outcome).toMatchObject({ reason: 'none' });
    expect(receiver.connections).toBe(1);
  });

  it('are waited for within the deadline, and are not lost to who gave up', async () => {
    const receiver = await rawReceiver((socket, connection) => {
      socket.on('data', () => connection > 1 && socket.write(OK));
    });
    const { post } = testClient(create, { maxSocketsPerOrigin: 1 });
    const hangs = post(receiver.url, { timeoutMs: 200 });
    const waits = post(receiver.url, { timeoutMs: 50 });
    const aborts = post(receiver.url, { signal: AbortSignal.timeout(50) });
    await expect(aborts).rejects.toThrow();
    expect(await waits).toMatchObject({ reason: 'timeout', phases: {} });
    const waitsLonger = post(receiver.url);
    expect(await hangs).toMatchObject({ reason: 'timeout' });
    expect(await waitsLonger).toMatchObject({ reason: 'none' });
    expect(await post(receiver.url)).toMatchObject({ reason: 'none' });
    expect(receiver.connections).toBe(2);
  });

  it('are used again by https as well, and a new one resumes the TLS session', async () => {
    const resumed: boolean[] = [];
    const receiver = await httpsReceiver((request, response) => {
      resumed.push((request.socket as TLSSocket).isSessionReused());
      if (request.url === '/last') response.setHeader('connection', 'close');
      response.end();
    });
    const { post } = testClient(create);
    expect(await post(receiver.url)).toMatchObject({ reason: 'none' });
    expect(Object.keys((await post(new URL('/last', receiver.url).href)).phases)).toEqual(['first_byte']);
    expect(receiver.connections).toBe(1);
    expect(Object.keys((await post(receiver.url)).phases)).toEqual(['connect', 'tls', 'first_byte']);
    expect(receiver.connections).toBe(2);
    expect(resumed).toEqual([false, false, true]);
  });

  it('whose handshake never ends are given up at the deadline', async () => {
    const receiver = await rawReceiver((socket) => void socket.resume());
    const url = receiver.url.replace('http:', 'https:');
    expect(await testClient(create).post(url, { timeoutMs: 1000 })).toMatchObject({ reason: 'timeout' });
    expect(receiver.connections).toBe(1);
    await receiver.allClosed();
  });

  it('are given up when the caller aborts while the name is looked up', async () => {
    const controller = new AbortController();
    const lookup = () => controller.abort(new Error('draining'));
    const { post } = testClient(create, { lookup });
    await expect(post('http://slow.test/', { signal: controller.signal })).rejects.toThrow('draining');
  });

  it('that the receiver ended while idle are replaced by a fresh one', async () => {
    const requests: number[] = [];
    const receiver = await rawReceiver((socket, connection) => {
      socket.on('data', () => {
        requests.push(connection);
        if (requests.length === 2) socket.end();
        else socket.write(OK);
      });
    });
    const { post } = testClient(create);
    for (let i = 0; i < 2; i += 1) expect(await post(receiver.url)).toMatchObject({ reason: 'none' });
    expect(requests).toEqual([1, 1, 2]);
  });

  it('that the receiver does not keep are not used again', async () => {
    const receiver = await httpReceiver((_request, response) => {
      response.setHeader('connection', 'close').end();
    });
    const { post } = testClient(create);
    for (let i = 0; i < 3; i += 1) expect(await post(receiver.url)).toMatchObject({ reason: 'none' });
    expect(receiver.connections).toBe(3);
    await receiver.allClosed();
  });

  it.each([
    ['1', 2],
    ['2', 1],
  ])(
    'are given up a second before the receiver ends them: kept for %s s, two posts take %s',
    async (seconds, count) => {
      const receiver = await httpReceiver((_request, response) => {
        response.setHeader('connection', 'keep-alive').setHeader('keep-alive', `timeout=${seconds}`).end();
      });
      const { post } = testClient(create);
      const opened = async () => {
        const before = receiver.connections;
        for (let i = 0; i < 2; i += 1) expect(await post(receiver.url)).toMatchObject({ reason: 'none' });
        return receiver.connections - before;
      };
      // A busy machine may let more than a second pass between two of them.
      for (let tries = 0; tries < 5 && (await opened()) > count; tries += 1);
      expect(await opened()).toBeLessThanOrEqual(count);
      if (count > 1) expect(await opened()).toBe(count);
    },
  );

  it('to one name look it up once for all that wait for it, and are told apart by origin', async () => {
    const first = await httpReceiver((_request, response) => void response.end('1'));
    const second = await httpReceiver((_request, response) => void response.end('2'));
    const answers: Parameters<LookupFunction>[2][] = [];
    const lookup = vi.fn<LookupFunction>((_name, _options, callback) => void answers.push(callback));
    const { post } = testClient(create, { lookup });
    const posts = [first, second, first].map(({ port }) => post(`http://receiver.test:${port}/`));
    await vi.waitFor(() => expect(lookup).toHaveBeenCalled(), { timeout: 60_000 });
    for (const answer of answers) answer(null, [{ address: '127.0.0.1', family: 4 }]);
    const bodies = (await Promise.all(posts)).map(({ response }) => response?.body.toString());
    expect(bodies).toEqual(['1', '2', '1']);
    expect(lookup).toHaveBeenCalledTimes(1);
  });

  it('carry nothing of a request that was aborted before it was sent', async () => {
    const bodies: string[] = [];
    const receiver = await httpReceiver(async (request, response) => {
      bodies.push(Buffer.concat(await request.toArray()).toString());
      response.end();
    });
    const { post } = testClient(create);
    await post(receiver.url, { body: '1' });
    const controller = new AbortController();
    const aborted = post(receiver.url, { body: '2', signal: controller.signal });
    controller.abort(new Error('draining'));
    await expect(aborted).rejects.toThrow('draining');
    await receiver.allClosed();
    expect(await post(receiver.url, { body: '3' })).toMatchObject({ reason: 'none' });
    expect(bodies).toEqual(['1', '3']);
    expect(receiver.connections).toBe(2);
  });

  it('that fell silent and were closed take up no place', async () => {
    const receiver = await httpReceiver((_request, response) => void response.end());
    const { post } = testClient(create, { idleTimeoutMs: 20, maxSocketsPerOrigin: 1 });
    for (let i = 0; i < 3; i += 1) {
      const { phases } = await post(receiver.url);
      expect(Object.keys(phases)).toEqual(['connect', 'first_byte']);
      await receiver.allClosed();
    }
    expect(receiver.connections).toBe(3);
  });

  it('are all closed with the client', async () => {
    const receiver = await httpReceiver((_request, response) => void response.end());
    const client = testClient(create, { lookup: resolver(['127.0.0.1']) });
    await Promise.all([client.post(receiver.url), client.post(receiver.url)]);
    client.close();
    await receiver.allClosed();
  });
});
