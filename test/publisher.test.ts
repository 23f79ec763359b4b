import { execFile } from 'node:child_process';
import { type AddressInfo, connect as connectTcp, createServer } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Publisher, readPublisherSettings } from '@sealpost/api/publisher';
import type { SealpostEvent } from '@sealpost/client';
import { ManagedProcess } from '@sealpost/scripts/managed-process';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { stopAfterAll } from './harness/cleanup.ts';
import {
  Receiver,
  type Stack,
  startRedis,
  startStack,
  Tenant,
  verifySignature,
  waitFor,
  watchProcess,
  withoutSettings,
} from './harness/index.ts';

let stack: Stack;
let publisher: Publisher;
let receiver: Receiver;
let tenant: Tenant;

const settings = (more: Record<string, string> = {}) => ({
  REDIS_URL: stack.redis.url,
  SEALPOST_MASTER_KEY: stack.masterKey,
  SEALPOST_ALLOW_SUBNETS: '127.0.0.0/8,::1/128',
  LOG_LEVEL: 'silent',
  ...more,
});

async function connect(more: Record<string, string> = {}): Promise<Publisher> {
  const made = await Publisher.connect(readPublisherSettings(settings(more)));
  stopAfterAll(() => made.close());
  return made;
}

beforeAll(async () => {
  stack = await startStack();
  publisher = await connect();
});

beforeEach(async () => {
  receiver = await Receiver.listen();
  tenant = await Tenant.create(stack.client);
});

const event = (n: number, more: object = {}): SealpostEvent => ({
  type: 'order.created',
  payload: { n },
  ...more,
});

describe('a publisher without an API', () => {
  it('publishes what is delivered, signed, and seen by the API like any other event', async () => {
    const { id: endpointId, secret } = await tenant.endpoint({ url: receiver.url() });
    const told = await publisher.publish(tenant.app, event(1, { correlation_id: 'c', environment: 'e' }));
    const [request] = await receiver.waitForRequests(1);
    verifySignature(request!, secret);
    expect(request!.headers['webhook-id']).toBe(told.id);
    expect(told).toMatchObject({ type: 'order.created', sequence: 1 });
    expect(told.deliveries).toMatchObject([{ endpoint_id: endpointId, status: 'pending' }]);
    await tenant.hasStatus(told.deliveries[0]!.id, 'delivered');
    const { json } = await tenant.get(`/events/${told.id}`);
    expect(json).toMatchObject({
      id: told.id,
      correlation_id: 'c',
      environment: 'e',
      created_at: told.created_at,
    });
  });

  it('keeps the digits of a payload that comes as text', async () => {
    await tenant.endpoint({ url: receiver.url(), wire_profile: 'raw' });
    await publisher.publish(tenant.app, { type: 'a', payloadJson: '{"n" : 9007199254740993.10}' });
    const [request] = await receiver.waitForRequests(1);
    expect(request!.text).toBe('{"n" : 9007199254740993.10}');
  });

  it('makes one event of an id, whichever way it comes', async () => {
    await tenant.endpoint({ url: receiver.url() });
    const first = await publisher.publish(tenant.app, event(1, { id: 'mine' }));
    const second = await tenant.publish(event(1, { id: 'mine' }));
    const third = await publisher.publishMany(tenant.app, [event(1, { id: 'mine' }), event(2)]);
    const ids = [first, second, third[0]!.event!].map(({ deliveries }) => deliveries[0].id);
    expect(new Set(ids).size).toBe(1);
    await receiver.waitForRequests(2);
    expect((await tenant.get('/deliveries')).json.pagination.total).toBe(2);
  });

  it('sees at once what is changed through the API', async () => {
    const published = async () => {
      const { deliveries } = await publisher.publish(tenant.app, event(1, { attributes: { size: 5 } }));
      return deliveries.map(({ status }) => status);
    };
    expect(await published()).toEqual([]);
    const { id } = await tenant.endpoint({ url: receiver.url() });
    expect(await published()).toEqual(['pending']);
    const change = (body: object) => tenant.client.patch(`${tenant.path}/endpoints/${id}`, body);
    await change({ filter: 'attributes.size > 9' });
    expect(await published()).toEqual([]);
    await change({ filter: 'attributes.size > 1' });
    expect(await published()).toEqual(['pending']);
    await change({ enabled: false });
    expect(await published()).toEqual(['skipped']);
    await tenant.client.delete(`${tenant.path}/endpoints/${id}`);
    expect(await published()).toEqual([]);
    await tenant.client.delete(tenant.path);
    await expect(published()).rejects.toMatchObject({ code: 'app_not_found' });
  });

  it('refuses what the API refuses, with the same code and fields', async () => {
    const bad: object[] = [
      { type: 'no type', payload: 1 },
      { type: 'a' },
      { type: 'a', payload: 1, surplus: true },
      { type: 'a', payload: 1, id: 'evt_000000000000' },
      { type: 'a', payload: 1, webhook_url: 'http://10.0.0.1/' },
      { type: 'a', payload: 1, webhook_secret: 's' },
      { type: 'a', payload: 'x'.repeat(1024 * 1024) },
    ];
    const results = await publisher.publishMany(tenant.app, [...(bad as SealpostEvent[]), event(1)]);
    expect(results.at(-1)!.event).toBeDefined();
    for (const [i, input] of bad.entries()) {
      const { json } = await tenant.client.post(`${tenant.path}/events`, input);
      const { code, status, errors } = results[i]!.error!;
      expect({ code, status, errors }).toEqual({ code: json.code, status: json.status, errors: json.errors });
    }
    for (const count of [0, 1001]) {
      const many = publisher.publishMany(tenant.app, Array(count).fill(event(1)));
      await expect(many).rejects.toMatchObject({ code: 'validation_failed', errors: [{ path: 'events' }] });
    }
    await expect(publisher.publish('nowhere', event(1))).rejects.toMatchObject({ code: 'app_not_found' });
    await tenant.client.put('/v1/apps/sealpost', {});
    await expect(publisher.publish('sealpost', event(1))).rejects.toMatchObject({ code: 'forbidden' });
  });

  it('refuses to publish when Redis is nearly full', async () => {
    await stack.redis.client.config('SET', 'maxmemory', '4gb');
    const careful = await connect({ SEALPOST_SHED_MEMORY: '0.000001' });
    await waitFor(
      () =>
        careful.publish(tenant.app, event(1)).then(
          () => false,
          ({ code }) => code === 'overloaded',
        ),
      { describe: 'the publisher to find Redis too full' },
    );
    await stack.redis.client.config('SET', 'maxmemory', '0');
  });

  it('does not start with settings that are wrong, or another master key', async () => {
    expect(() => readPublisherSettings({ SEALPOST_MASTER_KEY: 'short' })).toThrow(
      /REDIS_URL is missing[\s\S]*SEALPOST_MASTER_KEY must be 32 bytes/,
    );
    const other = Buffer.alloc(32, 7).toString('base64');
    await expect(connect({ SEALPOST_MASTER_KEY: other })).rejects.toThrow('another master key');
  });

  it('finishes what is under way when it is closed, and lets its process end', async () => {
    const script = `
      import { Publisher, readPublisherSettings } from '@sealpost/api/publisher';
      const publisher = await Publisher.connect(readPublisherSettings(process.env));
      const publishing = publisher.publishMany('${tenant.app}', Array(500).fill({ type: 'a', payload: 1 }));
      await publisher.close();
      console.log((await publishing).filter(({ event }) => event).length);
      await publisher.publish('${tenant.app}', { type: 'a', payload: 1 }).catch(({ code }) => console.log(code));
    `;
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['--input-type=module', '--eval', script],
      { cwd: import.meta.dirname, timeout: 60_000, env: { ...withoutSettings(process.env), ...settings() } },
    );
    expect(stdout).toBe('500\nshutting_down\n');
  });

  it('killed in the middle has lost nothing that it acknowledged, and the next goes on where it was', async () => {
    await tenant.endpoint({ url: receiver.url() });
    let told = 0;
    for (let kill = 0; kill < 4; kill += 1) {
      const from = told;
      const child = new ManagedProcess({
        name: 'producer',
        command: process.execPath,
        args: [join(import.meta.dirname, 'publisher', 'producer.ts'), tenant.app, String(from)],
        env: { ...withoutSettings(process.env), ...settings() },
        onLine: (line) => {
          const [, count] = /^told (\d+)$/.exec(line) ?? [];
          if (count) told = Number(count);
        },
      });
      watchProcess(child);
      stopAfterAll(() => child.kill('SIGKILL'));
      await waitFor(() => told >= from + 200, { describe: '200 events to be told' });
      await child.kill('SIGKILL');
    }
    // What it was killed at is published by nobody else: it may be there or not.
    const allArrived = () => {
      if (receiver.requests.length < told) return false;
      const arrived = new Set(receiver.requests.map(({ headers }) => headers['webhook-id']!));
      return Array.from({ length: told }, (_, n) => `e${n}`).every((id) => arrived.has(id));
    };
    await waitFor(allArrived, { describe: 'all that was told to arrive' });
    const { json } = await tenant.get('/deliveries?limit=1');
    expect(json.pagination.total).toBeGreaterThanOrEqual(told);
    expect(json.pagination.total).toBeLessThanOrEqual(told + 10);
  });

  it('says that Redis is away, and publishes again when it is back', async () => {
    await stack.redis.shutdown();
    const away = publisher.publish(tenant.app, event(1));
    await expect(away).rejects.toMatchObject({ code: 'queue_unavailable', status: 503 });
    await stack.redis.restart();
    await waitFor(() => publisher.publish(tenant.app, event(2)), { describe: 'it to publish again' });
  });
});

it('a publisher that is to wait for a replica can do so with its first event', async () => {
  const replica = await startRedis();
  await replica.client.call('REPLICAOF', '127.0.0.1', String(stack.redis.port));
  await waitFor(async () => (await stack.redis.client.info('replication')).includes('state=online'), {
    describe: 'the replica to be in step',
  });
  const port = await slowToOpenAnother(stack.redis.port);
  const careful = await connect({ SEALPOST_DURABILITY: 'replica', REDIS_URL: `redis://127.0.0.1:${port}` });
  expect(await careful.publish(tenant.app, event(1))).toMatchObject({ type: 'order.created' });
});

/** A way to Redis on which a second connection takes half a second to open. Answers with its port. */
async function slowToOpenAnother(redisPort: number): Promise<number> {
  let opened = 0;
  const relay = createServer((socket) => {
    const upstream = connectTcp(redisPort, '127.0.0.1');
    for (const end of [socket, upstream]) end.on('error', () => end.destroy());
    upstream.pipe(socket);
    opened += 1;
    setTimeout(() => socket.pipe(upstream), opened === 1 ? 0 : 500);
  });
  stopAfterAll(async () => void relay.close());
  await new Promise<void>((resolve) => void relay.listen(0, '127.0.0.1', resolve));
  return (relay.address() as AddressInfo).port;
}
