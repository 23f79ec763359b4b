import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { beforeAll, describe, expect, it } from 'vitest';
import { ApiClient, Receiver, type Stack, startStack, Tenant } from './harness/index.ts';

let stack: Stack;
let receiver: Receiver;
/** Through the API that has the default guard, as the worker has. */
let tenant: Tenant;
/** The same app through an API that would let loopback pass: so that the worker's guard can be seen. */
let lax: Tenant;

beforeAll(async () => {
  stack = await startStack({ env: { SEALPOST_ALLOW_SUBNETS: undefined } });
  receiver = await Receiver.listen();
  tenant = await Tenant.create(stack.client);
  const api = await stack.addApi({ SEALPOST_ALLOW_SUBNETS: '127.0.0.0/8,::1/128' });
  lax = tenant.through(new ApiClient(api.url, stack.apiKey));
});

const REFUSED = {
  'dotted decimal': 'http://127.0.0.1/',
  'one number': 'http://2130706433/',
  hexadecimal: 'http://0x7f000001/',
  'hexadecimal parts': 'http://0x7f.0x0.0x0.0x1/',
  octal: 'http://0177.0.0.1/',
  'octal number': 'http://017700000001/',
  short: 'http://127.1/',
  'percent-encoded': 'http://127.0.0.%31/',
  'full-width digits': 'http://\uff11\uff12\uff17.0.0.1/',
  'a trailing dot': 'http://127.0.0.1./',
  'no address at all': 'http://0.0.0.0/',
  zero: 'http://0/',
  'IPv6 loopback': 'http://[::1]/',
  'IPv6 loopback, written out': 'http://[0:0:0:0:0:0:0:1]/',
  'IPv6 unspecified': 'http://[::]/',
  'IPv4-mapped': 'http://[::ffff:127.0.0.1]/',
  'IPv4-mapped in hexadecimal': 'http://[::ffff:7f00:1]/',
  'IPv4-compatible': 'http://[::7f00:1]/',
  NAT64: 'http://[64:ff9b::7f00:1]/',
  'local-use NAT64': 'http://[64:ff9b:1::a00:1]/',
  '6to4': 'http://[2002:7f00:1::]/',
  Teredo: 'http://[2001:0:4136:e378:8000:63bf:3fff:fdd2]/',
  'unique local': 'http://[fd00::1]/',
  'link-local': 'http://[fe80::1]/',
  'IPv6 multicast': 'http://[ff02::1]/',
  'private 10/8': 'http://10.1.2.3/',
  'private 172.16/12': 'http://172.31.255.255/',
  'private 192.168/16': 'https://192.168.1.1:8443/x',
  'carrier-grade NAT': 'http://100.64.0.1/',
  benchmarking: 'http://198.18.0.1/',
  multicast: 'http://224.0.0.1/',
  broadcast: 'http://255.255.255.255/',
  'cloud metadata': 'http://169.254.169.254/latest/meta-data/',
  'cloud metadata, one number': 'http://2852039166/',
  'cloud metadata, mapped': 'http://[::ffff:a9fe:a9fe]/',
  'cloud metadata, NAT64': 'http://[64:ff9b::a9fe:a9fe]/',
  'cloud metadata over IPv6': 'http://[fd00:ec2::254]/',
  'Azure wire server': 'http://168.63.129.16/',
  localhost: 'http://localhost:6379/',
  'localhost, capitals and dot': 'http://LocalHost./',
  'a name under localhost': 'http://redis.localhost/',
};

describe('saving an address that must not be reached is refused:', () => {
  it.each(Object.entries(REFUSED))('%s', async (_, url) => {
    const made = await tenant.client.post(`${tenant.path}/endpoints`, { url });
    expect([made.status, made.json.code], made.text).toEqual([422, 'validation_failed']);
    expect(made.headers.get('content-type')).toContain('application/problem+json');
    expect(made.json.errors).toEqual([{ path: 'url', message: expect.any(String) }]);
  });

  it('as webhook_url', async () => {
    const event = { type: 'a', payload: 1, webhook_url: receiver.url() };
    const answer = await tenant.client.post(`${tenant.path}/events`, event);
    expect(answer.status, answer.text).toBe(422);
    expect(answer.json.errors[0].path).toBe('webhook_url');
    const batch = await tenant.client.post(`${tenant.path}/events/batch`, { events: [event] });
    expect(batch.json.results[0].problem.errors[0].path).toBe('webhook_url');
  });

  it('when an endpoint is changed', async () => {
    const { id, url } = await tenant.endpoint({ url: 'http://example.com/', event_types: ['never'] });
    const path = `${tenant.path}/endpoints/${id}`;
    const patched = await tenant.client.patch(path, { url: receiver.url() });
    const put = await tenant.client.put(path, { url: receiver.url(), event_types: ['never'] });
    expect([patched.status, put.status]).toEqual([422, 422]);
    expect((await tenant.client.get(path)).json.url).toBe(url);
  });

  it('while public addresses and names are taken', async () => {
    for (const url of [
      'http://93.184.215.14/',
      'https://[2606:4700::1111]/',
      'https://hooks.example.com:8443/a?b',
    ]) {
      await tenant.endpoint({ url, event_types: ['never'] });
    }
  });
});

/** A name that the hosts file, and so every look-up here, gives a loopback address; not `localhost`. */
async function loopbackName(): Promise<string | undefined> {
  const lines = (await readFile('/etc/hosts', 'utf8').catch(() => '')).split('\n');
  const names = lines
    .map((line) => line.replace(/#.*/, '').trim().split(/\s+/))
    .filter(([address]) => address?.startsWith('127.'))
    .flatMap(([, ...rest]) => rest)
    .filter((name) => !/(^|\.)localhost$/i.test(name));
  return names.includes(hostname()) ? hostname() : names[0];
}

const name = await loopbackName();

describe('what is saved all the same is not reached: dead, and the receiver sees no connection, with', () => {
  async function refusedByWorker(url: string): Promise<void> {
    const { id } = await lax.endpoint({ url, event_types: ['never'] });
    const sent = await lax.client.post(`${lax.path}/endpoints/${id}/test`, { event_type: 'a', payload: 1 });
    expect(await lax.ended(sent.json.id)).toMatchObject({
      status: 'dead',
      reason: 'address_blocked',
      attempt_count: 1,
      attempts: [{ error: 'address_blocked', status_code: null, response: null }],
    });
    expect(receiver.connections).toBe(0);
  }

  it('an address', () => refusedByWorker(receiver.url()));
  it('an address in another notation', () => refusedByWorker(`http://2130706433:${receiver.port}/`));
  it('an IPv4-mapped address', () => refusedByWorker(`http://[::ffff:127.0.0.1]:${receiver.port}/`));
  it('localhost', () => refusedByWorker(`http://localhost:${receiver.port}/`));

  it.skipIf(name === undefined)(
    `a name that resolves to a loopback address${name ? '' : ' (skipped: the hosts file has none)'}`,
    async () => {
      const url = `http://${name}:${receiver.port}/`;
      const strict = await tenant.client.post(`${tenant.path}/endpoints`, { url, event_types: ['never'] });
      // What a name resolves to may change at any time: it is looked at when a connection is made.
      expect(strict.status, strict.text).toBe(201);
      await refusedByWorker(url);
    },
  );

  it('an address as webhook_url', async () => {
    const id = await lax.send({ webhook_url: receiver.url() });
    expect(await lax.ended(id)).toMatchObject({ status: 'dead', reason: 'address_blocked' });
    expect(receiver.connections).toBe(0);
  });
});

it('a worker that allows loopback reaches it: the receiver was there all the time', async () => {
  await stack.workers[0]!.stop();
  await stack.addWorker({ SEALPOST_ALLOW_SUBNETS: '127.0.0.0/8' });
  expect(await lax.ended(await lax.send({ webhook_url: receiver.url() }))).toMatchObject({
    status: 'delivered',
  });
  expect(receiver.connections).toBe(1);
});
