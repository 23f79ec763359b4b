import { describe, expect, it } from 'vitest';
import { CLIENTS, testClient } from './fixtures/clients.ts';
import { rawReceiver } from './fixtures/receivers.ts';

/** A receiver that sends these pieces, one after the other, in answer to each request, and then hangs up if told so. */
function answering(pieces: string[], { hangUp = false } = {}) {
  return rawReceiver((socket) => {
    socket.setNoDelay(true);
    socket.on('data', async () => {
      for (const piece of pieces) {
        await new Promise((resolve) => socket.write(piece, 'latin1', () => setTimeout(resolve, 5)));
      }
      if (hangUp) socket.end();
    });
  });
}

describe.each(CLIENTS)('an answer to $name', ({ create }) => {
  it.each<[string, string[]]>([
    ['whole', ['HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok']],
    [
      'with headers',
      ['HTTP/1.1 100 Continue\r\nx-a: b\r\n\r\n', 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok'],
    ],
    [
      'in pieces',
      ['HTTP', '/1.1 1', '00 Continue\r\n', '\r', '\nHTTP/1.1 ', '200 OK\r\ncontent-length: 2\r\n\r\n', 'ok'],
    ],
    ['twice', ['HTTP/1.1 100\r\n\r\nHTTP/1.1 100 \r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok']],
    [
      'among others',
      [
        'HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 100 \r\n\r\n',
        'HTTP/1.1 102 \r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok',
      ],
    ],
  ])('may come after a Continue that nobody asked for, %s', async (_how, pieces) => {
    const receiver = await answering(pieces);
    const { post } = testClient(create);
    for (let i = 0; i < 2; i += 1) {
      const outcome = await post(receiver.url);
      expect(outcome).toMatchObject({ reason: 'none', statusCode: 200 });
      expect(outcome.response?.body.toString()).toBe('ok');
    }
    expect(receiver.connections).toBe(1);
  });

  it('may have no length and end with its connection', async () => {
    const receiver = await answering(['HTTP/1.1 200 OK\r\n\r\n', 'o', 'k'], { hangUp: true });
    const { post } = testClient(create);
    for (let i = 0; i < 2; i += 1) {
      const outcome = await post(receiver.url);
      expect(outcome).toMatchObject({ reason: 'none', statusCode: 200 });
      expect(outcome.response?.body.toString()).toBe('ok');
    }
    expect(receiver.connections).toBe(2);
  });

  it('may come in chunks, with trailers', async () => {
    const head = 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n';
    const receiver = await answering([head, '1\r\no\r\n', '1\r\nk\r\n0\r\nx-sum: 7\r\n\r\n']);
    const { post } = testClient(create);
    for (let i = 0; i < 2; i += 1) {
      const outcome = await post(receiver.url);
      expect(outcome).toMatchObject({ reason: 'none', statusCode: 200 });
      expect(outcome.response?.body.toString()).toBe('ok');
      expect(outcome.response?.headers).toEqual({ 'transfer-encoding': 'chunked' });
    }
    expect(receiver.connections).toBe(1);
  });

  it('may repeat headers: they are joined, or the first one counts', async () => {
    const repeated =
      'x-a: 1\r\nX-A: 2\r\nretry-after: 5\r\nretry-after: 9\r\nset-cookie: a\r\nset-cookie: b\r\n';
    const receiver = await answering([`HTTP/1.1 503 No\r\n${repeated}content-length: 0\r\n\r\n`]);
    const { post } = testClient(create);
    const outcome = await post(receiver.url);
    expect(outcome).toMatchObject({ reason: 'http_status', retryAfterSeconds: 5 });
    const headers = { 'x-a': '1, 2', 'retry-after': '5', 'content-length': '0' };
    expect(outcome.response?.headers).toEqual(headers);
  });

  it('may have headers of the names of an object’s own', async () => {
    const odd = '__proto__: a\r\nconstructor: b\r\ntoString: c\r\n';
    const receiver = await answering([`HTTP/1.1 200 OK\r\n${odd}${odd}content-length: 0\r\n\r\n`]);
    const outcome = await testClient(create).post(receiver.url);
    expect(outcome.reason).toBe('none');
    expect(Object.getPrototypeOf(outcome.response?.headers)).toBe(Object.prototype);
  });

  it.each([
    ['HTTP/1.1 20x OK\r\n\r\n', 'HPE_INVALID_STATUS'],
    ['HTTP/9.9 200 OK\r\n\r\n', 'HPE_INVALID_VERSION'],
    ['HTTP/1.1 200 OK\r\nbad header: x\r\n\r\n', 'HPE_INVALID_HEADER_TOKEN'],
    ['HTTP/1.1 200 OK\r\nx-a: \x01\r\n\r\n', 'HPE_INVALID_HEADER_TOKEN'],
    ['HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n', 'HPE_INVALID_CONTENT_LENGTH'],
    ['HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n', 'HPE_UNEXPECTED_CONTENT_LENGTH'],
    ['HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n', 'HPE_INVALID_CHUNK_SIZE'],
    ['HTTP/1.1 200 OK\nx-a: b\r\n\r\n', 'HPE_CR_EXPECTED'],
    ['GET / HTTP/1.1\r\n\r\n', 'HPE_INVALID_CONSTANT'],
  ])('that is %j is response_invalid, %s', async (text, detail) => {
    const receiver = await answering([text]);
    expect(await testClient(create).post(receiver.url)).toMatchObject({ reason: 'response_invalid', detail });
    await receiver.allClosed();
  });

  it.each([
    ['content-length: 10\r\n\r\nhalf', 'end', 'ERR_HTTP_CONTENT_LENGTH_MISMATCH'],
    ['connection: close\r\ncontent-length: 10\r\n\r\nhalf', 'end', 'ERR_HTTP_CONTENT_LENGTH_MISMATCH'],
    ['transfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n', 'end', 'ECONNRESET'],
    ['connection: close\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n', 'end', 'ECONNRESET'],
    ['content-length: 10\r\n\r\nhalf', 'reset', 'ERR_HTTP_CONTENT_LENGTH_MISMATCH'],
    ['transfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n', 'reset', 'ECONNRESET'],
  ] as const)('that is cut short is response_invalid: %j, then %s: %s', async (rest, how, detail) => {
    const receiver = await rawReceiver((socket) => {
      socket.once('data', () => socket.write(`HTTP/1.1 200 OK\r\n${rest}`, () => setTimeout(cut, 20)));
      const cut = () => (how === 'end' ? socket.end() : socket.resetAndDestroy());
    });
    expect(await testClient(create).post(receiver.url)).toMatchObject({
      reason: 'response_invalid',
      detail,
      statusCode: 200,
    });
  });
});
