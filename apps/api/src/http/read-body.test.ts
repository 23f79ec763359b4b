import { once } from 'node:events';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Request } from 'express';
import { expect, it } from 'vitest';
import { readBody } from './read-body.ts';

it('a body that drips on for ever is given up in time', async () => {
  const server = createServer((incoming, response) => {
    const since = performance.now();
    readBody(incoming as Request, 1024, 200).then(
      () => response.end('read'),
      (error: { code: string }) => response.end(`${error.code} ${Math.round(performance.now() - since)}`),
    );
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const headers = { 'content-type': 'application/json', 'content-length': 1000 };
  const client = request({ host: '127.0.0.1', port, method: 'POST', headers });
  const drip = setInterval(() => client.write(' '), 20);
  try {
    const [response] = await once(client, 'response');
    let answer = '';
    for await (const chunk of response) answer += String(chunk);
    const [code, ms] = answer.split(' ');
    expect(code).toBe('request_timeout');
    expect(Number(ms)).toBeLessThan(400);
  } finally {
    clearInterval(drip);
    client.destroy();
    server.close();
  }
});
