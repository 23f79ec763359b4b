import { type EventRecord, encodeDelivery, place } from '@sealpost/queue';
import { startTestRedis, type TestRedis } from '@sealpost/queue/testing';
import { Deliveries, Events, Records } from '@sealpost/store';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type HttpApi, OPERATOR_KEY, startHttpApi } from '../../testing/http-api.ts';
import { eventRoutes } from './events.ts';

let redis: TestRedis;
let api: HttpApi;
const events = new Events();
const deliveries = new Deliveries();

beforeAll(async () => {
  redis = await startTestRedis();
  api = await startHttpApi(redis.client, (services) =>
    eventRoutes({ ...services, records: new Records({ shards: services.shards, events, deliveries }) }),
  );
});
afterAll(async () => {
  await api.stop();
  await redis.stop();
});

/** Stores an event and its delivery as ACCEPT does, and answers what the API shows of it. */
async function shown(number: number, da: number | undefined) {
  await api.keyOf('acme');
  const config = await api.services.configs.newest('acme');
  const shard = api.services.shards.get(config.shard);
  const at = Date.parse('2026-01-31T12:00:00Z');
  const record: EventRecord = { a: 'acme', n: config.number, t: 'a.b', at, k: 1, i: `own-${number}` };
  if (da !== undefined) record.da = da;
  const { bucket, field } = place(number);
  await redis.client.hset(shard.key(`e:${bucket}`), field, JSON.stringify(record));
  await redis.client.hset(shard.key(`b:${bucket}`), field, '{"n":1.0}');
  await redis.client.hset(shard.key(`u:${config.number}`), `own-${number}`, number);
  const delivery = encodeDelivery({
    status: 'pending',
    flags: 2,
    generation: 1,
    attempts: 0,
    jobBase: 0,
    retryBase: 0,
    event: number,
    app: config.number,
    endpoint: 5,
    createdAt: at,
    dueAt: da ?? at,
    statusCode: 0,
    reason: 'none',
    keyId: '00000000',
    seal: Buffer.alloc(20),
  });
  await redis.client.hset(shard.key(`d:${bucket}`), field, delivery);
  const answer = await api.call('GET', `/v1/apps/acme/events/own-${number}`, { key: OPERATOR_KEY });
  expect(answer.status).toBe(200);
  return (await answer.json()) as { deliver_at: string; deliveries: { next_attempt_at: string }[] };
}

it('an event for later shows when it goes out, and so does its delivery', async () => {
  const later = Date.now() + 3_600_000;
  const { deliver_at, deliveries } = await shown(1, later);
  const text = new Date(later).toISOString();
  expect([deliver_at, deliveries[0]!.next_attempt_at]).toEqual([text, text]);
});

it('once the time has come, its delivery shows none any more', async () => {
  const passed = Date.now() - 1000;
  const { deliver_at, deliveries } = await shown(2, passed);
  expect([deliver_at, deliveries[0]!.next_attempt_at]).toEqual([new Date(passed).toISOString(), null]);
});

it('an event for now shows no such time', async () => {
  const { deliver_at, deliveries } = await shown(3, undefined);
  expect([deliver_at, deliveries[0]!.next_attempt_at]).toEqual([null, null]);
});
