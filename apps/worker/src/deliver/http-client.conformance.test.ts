import { gzipSync } from 'node:zlib';
import { AddressPolicy } from '@sealpost/core';
import { describe, expect, it } from 'vitest';
import { CLIENTS, resolver, testClient } from './fixtures/clients.ts';
import { closedPort, httpReceiver, httpsReceiver, rawReceiver } from './fixtures/receivers.ts';

describe.each(CLIENTS)('a POST by $name', ({ create }) => {
  it('arrives with its headers and its body byte for byte, from text or bytes', async () => {
    const seen: unknown[] = [];
    const receiver = await httpReceiver(async (request, response) => {
      const body = Buffer.concat(await request.toArray()).toString();
      const { method, url, headers } = request;
      seen.push([method, url, headers['x-own'], headers['content-length'], headers['accept-encoding'], body]);
      response.end();
    });
    const { post } = testClient(create);
    const text = JSON.stringify({ text: 'ö€😀'.repeat(30_000) });
    for (const body of [text, Buffer.from(text)])
      await post(receiver.url, { headers: { 'x-own': '1' }, body });
    const length = String(Buffer.byteLength(text));
    const expected = ['POST', '/hook?a=1', '1', length, 'identity', text];
    expect(seen).toEqual([expected, expected]);
  });

  it('keeps status, headers without cookies, and the body of the answer', async () => {
    const receiver = await httpReceiver((_request, response) => {
      response.writeHead(201, { 'x-seen': 'yes', 'set-cookie': 'a=b' }).end('thanks');
    });
    const outcome = await testClient(create).post(receiver.url);
    expect(outcome).toMatchObject({ reason: 'none', statusCode: 201, response: { truncated: false } });
    expect(outcome.response?.body.toString()).toBe('thanks');
    expect(outcome.response?.headers).toMatchObject({ 'x-seen': 'yes' });
    expect(outcome.response?.headers).not.toHaveProperty('set-cookie');
    expect(outcome.startedAt).toBeGreaterThan(Date.UTC(2020, 0));
    expect(Object.keys(outcome.phases)).toEqual(['connect', 'first_byte']);
  });

  it.each([300, 304, 400, 410, 500])('names status %i http_status', async (statusCode) => {
    const receiver = await httpReceiver((_request, response) => void response.writeHead(statusCode).end());
    expect(await testClient(create).post(receiver.url)).toMatchObject({ reason: 'http_status', statusCode });
  });

  it('follows no redirect', async () => {
    let requests = 0;
    const receiver = await httpReceiver((_request, response) => {
      requests += 1;
      response.writeHead(307, { location: '/elsewhere' }).end();
    });
    const outcome = await testClient(create).post(receiver.url);
    expect(outcome).toMatchObject({ reason: 'http_status', statusCode: 307 });
    expect(requests).toBe(1);
  });

  it('tells what Retry-After asks for', async () => {
    const receiver = await httpReceiver((_request, response) => {
      response.writeHead(429, { 'retry-after': '17' }).end();
    });
    expect(await testClient(create).post(receiver.url)).toMatchObject({ retryAfterSeconds: 17 });
  });

  it('leaves a compressed answer as it is', async () => {
    const bomb = gzipSync(Buffer.alloc(1_000_000));
    const receiver = await httpReceiver((_request, response) => {
      response.writeHead(200, { 'content-encoding': 'gzip' }).end(bomb);
    });
    const { response, reason } = await testClient(create).post(receiver.url);
    expect(reason).toBe('none');
    expect(response?.body.equals(bomb.subarray(0, 4096))).toBe(true);
  });

  it('speaks TLS to a certificate that it can verify, and to no other', async () => {
    const receiver = await httpsReceiver((_request, response) => void response.end());
    const trusted = await testClient(create).post(receiver.url);
    expect(trusted).toMatchObject({ reason: 'none', statusCode: 200 });
    expect(Object.keys(trusted.phases)).toEqual(['connect', 'tls', 'first_byte']);

    const untrusting = testClient(create, { ca: '' });
    expect(await untrusting.post(receiver.url)).toMatchObject({ reason: 'tls_failed' });

    const named = testClient(create, { lookup: resolver(['127.0.0.1']) });
    const right = await named.post(`https://receiver.test:${receiver.port}/`);
    expect(right).toMatchObject({ reason: 'none' });
    expect(Object.keys(right.phases)).toEqual(['dns', 'connect', 'tls', 'first_byte']);
    expect(await named.post(`https://other.test:${receiver.port}/`)).toMatchObject({
      reason: 'tls_failed',
      detail: 'ERR_TLS_CERT_ALTNAME_INVALID',
    });
  });

  it('names a handshake that a plain server breaks tls_failed', async () => {
    const receiver = await rawReceiver((socket) =>
      socket.once('data', () => socket.end('HTTP/1.1 400 No\r\n\r\n')),
    );
    const outcome = await testClient(create).post(receiver.url.replace('http:', 'https:'));
    expect(outcome).toMatchObject({ reason: 'tls_failed' });
  });

  it('names a refused and a lost connection connection_failed', async () => {
    const { post } = testClient(create);
    const refused = await post(`http://127.0.0.1:${await closedPort()}/`);
    expect(refused).toMatchObject({ reason: 'connection_failed', detail: 'ECONNREFUSED' });
    const receiver = await rawReceiver((socket) => socket.once('data', () => socket.resetAndDestroy()));
    const lost = await post(receiver.url);
    expect(lost).toMatchObject({ reason: 'connection_failed', detail: 'ECONNRESET' });
    expect(receiver.connections).toBe(1);
  });

  it('takes an IPv6 literal for an address, not for a name', async () => {
    const { post } = testClient(create, { policy: new AddressPolicy(['::1/128']) });
    expect(await post(`http://[::1]:${await closedPort()}/`)).toMatchObject({ reason: 'connection_failed' });
  });

  it('names a name that cannot be resolved dns_failed', async () => {
    const lookup = (_name: string, _options: unknown, callback: (error: Error, addresses: []) => void) =>
      callback(Object.assign(new Error('no'), { code: 'ENOTFOUND' }), []);
    expect(await testClient(create, { lookup }).post('http://nowhere.test/')).toMatchObject({
      reason: 'dns_failed',
      detail: 'ENOTFOUND',
    });
  });

  it.each([
    'nonsense',
    'ftp://127.0.0.1/',
    'http://user:pw@127.0.0.1/',
    'http://user@127.0.0.1/',
    'file:///etc/passwd',
  ])('refuses the URL %s', async (url) => {
    expect(await testClient(create).post(url)).toMatchObject({ reason: 'unacceptable_url' });
  });

  it('refuses http where only https is allowed', async () => {
    const receiver = await httpReceiver((_request, response) => void response.end());
    const { post } = testClient(create, { allowHttp: false });
    expect(await post(receiver.url)).toMatchObject({ reason: 'https_required' });
    expect(receiver.connections).toBe(0);
  });

  it('sends no header that would break the message', async () => {
    const receiver = await httpReceiver((_request, response) => void response.end());
    const outcome = await testClient(create).post(receiver.url, { headers: { 'x-a': 'b\r\nx-c: d' } });
    expect(outcome).toMatchObject({ reason: 'config_invalid' });
  });
});
