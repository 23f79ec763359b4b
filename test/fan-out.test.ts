import { beforeAll, expect, it } from 'vitest';
import {
  ApiClient,
  type Loose,
  Receiver,
  type Stack,
  startStack,
  Tenant,
  verifySignature,
  waitFor,
} from './harness/index.ts';

const ENDPOINTS = 100;

let stack: Stack;
let receiver: Receiver;
let tenant: Tenant;

beforeAll(async () => {
  // No worker: what is stored is looked at before anything is delivered.
  stack = await startStack({ workers: 0, env: { WORKER_CONCURRENCY: '100' } });
  receiver = await Receiver.listen();
  tenant = await Tenant.create(stack.client);
});

type Value = { key: string; value: Buffer };

/** Every value of every key of Redis: fields, members, entries and strings. */
async function allValues(): Promise<Value[]> {
  const { client } = stack.redis;
  const values: Value[] = [];
  for (const key of await client.keys('*')) {
    const type = await client.type(key);
    const read: Record<string, () => Promise<Buffer[]>> = {
      string: async () => [(await client.getBuffer(key))!],
      hash: () => client.hvalsBuffer(key),
      list: () => client.lrangeBuffer(key, 0, -1),
      set: () => client.smembersBuffer(key),
      zset: () => client.zrangeBuffer(key, '0', '-1'),
      stream: async () => [Buffer.from(JSON.stringify(await client.xrange(key, '-', '+')))],
    };
    for (const value of await read[type]!()) values.push({ key, value });
  }
  return values;
}

/** Bytes that all keys take, without the buffers of connections and of the append-only file. */
async function usedMemory(): Promise<number> {
  const { client } = stack.redis;
  const sizes = (await client.keys('*')).map((key) => client.memory('USAGE', key, 'SAMPLES', 0));
  return (await Promise.all(sizes)).reduce<number>((sum, bytes) => sum + Number(bytes), 0);
}

it('an event for 100 endpoints is stored once, a small record for each delivery, and reaches them all', async () => {
  const endpoints = await Promise.all(
    Array.from({ length: ENDPOINTS }, (_, i) => tenant.endpoint({ url: receiver.url(`/${i}`) })),
  );
  await tenant.endpoint({ url: receiver.url('/unsubscribed'), event_types: ['other'] });
  const marker = 'only-once-7f3a';
  const payload = { marker, filler: 'x'.repeat(200_000) };

  const before = await usedMemory();
  const event = await tenant.publish({ type: 'order.created', payload });
  const used = (await usedMemory()) - before;
  expect(event.deliveries).toHaveLength(ENDPOINTS);

  const values = await allValues();
  expect(values.filter(({ value }) => value.includes(marker))).toHaveLength(1);
  const records = values.filter(({ key, value }) => key.startsWith('{sp:0}:d:') && value.length === 63);
  expect(records).toHaveLength(ENDPOINTS);
  // The body, and with job, record and indexes less than 2 KiB for each delivery.
  expect(used).toBeLessThan(1.5 * 200_000 + ENDPOINTS * 2048);

  await stack.addWorker();
  const requests = await receiver.waitForRequests(ENDPOINTS);
  expect(new Set(requests.map(({ path }) => path)).size).toBe(ENDPOINTS);
  expect(new Set(requests.map(({ headers }) => headers['webhook-id']))).toEqual(new Set([event.id]));
  for (const [i, { secret }] of endpoints.entries()) {
    const [request] = receiver.to(`/${i}`);
    verifySignature(request!, secret);
    expect(JSON.parse(request!.text).data).toEqual(payload);
  }
  for (const { id } of event.deliveries) await tenant.hasStatus(id, 'delivered');
  expect(receiver.requests).toHaveLength(ENDPOINTS);
});

it('its deliveries are in the order in which the endpoints were made, whichever process takes it', async () => {
  const own = await Tenant.create(stack.client);
  const made: string[] = [];
  for (let i = 0; i < 20; i++) made.push((await own.endpoint({ url: receiver.url(), enabled: false })).id);
  const other = await stack.addApi();
  for (const api of [stack.api, other]) {
    const through = own.through(new ApiClient(api.url, stack.apiKey));
    const { deliveries } = await through.publish({ type: 'a', payload: 1 });
    expect(deliveries.map((d: Loose) => d.endpoint_id)).toEqual(made);
  }
});

it('one of them failing holds up none of the others', async () => {
  receiver.clear();
  const { promise: hanging, resolve: release } = Promise.withResolvers<number>();
  receiver.respond('/0', () => hanging);
  receiver.respond('/1', 500);
  await tenant.publish({ type: 'order.created', payload: { n: 2 } });
  await receiver.waitForRequests(ENDPOINTS);
  const delivered = async () =>
    (await tenant.get('/deliveries?status=delivered&limit=1')).json.pagination.total === 2 * ENDPOINTS - 2;
  await waitFor(delivered, { describe: 'all but the two that fail to be delivered' });
  release(200);
});
