import http from 'node:http';
import { AddressPolicy } from '@sealpost/core';
import { describe, expect, it } from 'vitest';
import { CLIENTS, resolver, testClient } from './fixtures/clients.ts';
import { afterTest, httpReceiver, type Receiver } from './fixtures/receivers.ts';

const ANY_NOTATION = [
  ...['127.0.0.1', '127.0.0.1.', '127.1', '127.0.1', '2130706433', '017700000001', '0x7f000001'],
  ...[
    '0x7f.1',
    '0177.0.0.1',
    '0x7f.0x0.0x0.0x1',
    '１２７.0.0.1',
    '127。0。0。1',
    '127.0.0.%31',
    '0',
    '0.0.0.0',
  ],
  ...['[::1]', '[0:0:0:0:0:0:0:1]', '[::]', '[::ffff:127.0.0.1]', '[::ffff:7f00:1]', '[::7f00:1]'],
  ...['[64:ff9b::7f00:1]', '[64:ff9b:1::7f00:1]', '[2002:7f00:1::]', '[fe80::1]', '[fd00::1]', '[ff02::1]'],
  ...['10.0.0.1', '100.64.0.1', '169.254.169.254', '168.63.129.16', '172.16.0.1', '192.168.0.1', '224.0.0.1'],
  ...['localhost', 'LOCALHOST'],
];

const strict = { policy: new AddressPolicy([]) };

/** A receiver that no one may reach unless the policy says so. */
function answering(): Promise<Receiver> {
  return httpReceiver((_request, response) => void response.setHeader('connection', 'close').end());
}

describe.each(CLIENTS)('the guard of $name', ({ create }) => {
  it('blocks an address in any notation, by http and https', async () => {
    const receiver = await answering();
    const { post } = testClient(create, strict);
    const urls = ANY_NOTATION.flatMap((host) => [
      `http://${host}:${receiver.port}/`,
      `https://${host}:${receiver.port}/`,
    ]);
    const outcomes = await Promise.all(urls.map(async (url) => [url, (await post(url)).reason]));
    expect(outcomes).toEqual(urls.map((url) => [url, 'address_blocked']));
    expect(receiver.connections).toBe(0);
  });

  it.each([['127.0.0.1'], ['::ffff:127.0.0.1'], ['64:ff9b::7f00:1'], ['10.1.2.3'], ['fe80::1%lo']])(
    'blocks a name that resolves to %s',
    async (address) => {
      const receiver = await answering();
      const { post } = testClient(create, { ...strict, lookup: resolver([address, address]) });
      const outcome = await post(`http://evil.test:${receiver.port}/`);
      expect(outcome).toMatchObject({ reason: 'address_blocked', detail: 'ERR_ADDRESS_BLOCKED' });
      expect(receiver.connections).toBe(0);
    },
  );

  it('connects only to the allowed ones among the addresses of a name', async () => {
    const receiver = await answering();
    const { post } = testClient(create, { lookup: resolver(['10.0.0.1', '::1', '127.0.0.1', '127.0.0.2']) });
    expect(await post(`http://mixed.test:${receiver.port}/`)).toMatchObject({ reason: 'none' });
  });

  it('asks once per connection, so a name that changes its mind is blocked or harmless', async () => {
    const receiver = await answering();
    const { post } = testClient(create, { lookup: resolver(['127.0.0.1'], ['127.0.0.2']) });
    const url = `http://rebinding.test:${receiver.port}/`;
    expect(await post(url)).toMatchObject({ reason: 'none' });
    expect(await post(url)).toMatchObject({ reason: 'address_blocked' });
    expect(receiver.connections).toBe(1);
  });

  it('loses no connection slot to blocked requests', async () => {
    const receiver = await answering();
    const lookup = resolver(['10.0.0.1'], ['10.0.0.1'], ['127.0.0.1']);
    const { post } = testClient(create, { lookup, maxSocketsPerOrigin: 1 });
    const url = `http://late.test:${receiver.port}/`;
    for (const reason of ['address_blocked', 'address_blocked', 'none', 'none']) {
      expect(await post(url)).toMatchObject({ reason });
    }
    const literals = testClient(create, { ...strict, maxSocketsPerOrigin: 1 });
    const blocked = await Promise.all([1, 2, 3].map(() => literals.post(receiver.url)));
    expect(blocked.map(({ reason }) => reason)).toEqual(Array(3).fill('address_blocked'));
  });

  it('uses no proxy from the environment', async () => {
    const proxy = await answering();
    const receiver = await answering();
    afterTest(http.setGlobalProxyFromEnv({ http_proxy: `http://127.0.0.1:${proxy.port}` }));
    expect(await testClient(create).post(receiver.url)).toMatchObject({ reason: 'none' });
    expect(proxy.connections).toBe(0);
  });
});
