import { Keyring } from '@sealpost/core';
import { Shards } from '@sealpost/queue';
import { startTestRedis, type TestRedis } from '@sealpost/queue/testing';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ensureApp } from './apps.ts';
import { Configs } from './configs.ts';
import { createEndpoint } from './create-endpoint.ts';
import { Deliveries } from './deliveries.ts';
import { Events } from './events.ts';
import { moveApp } from './move/move-app.ts';
import { Records } from './records.ts';
import type { ReplayFilter } from './replays.ts';

const keyring = Keyring.fromMasterKeys(Buffer.alloc(32, 1));
const ALL: ReplayFilter = { statuses: ['delivered'], eventTypes: [] } as never;

let redis: TestRedis;

beforeAll(async () => {
  redis = await startTestRedis();
});
afterAll(() => redis.stop());

it('a replay of an app that has moved begins in every shard or in none, and is one when it is asked for again', async () => {
  const shards = new Shards(redis.client);
  const configs = new Configs({ shards, keyring, shardsForNewApps: 1 });
  await ensureApp(configs, keyring, 'shop', 1);
  const input = { url: 'https://receiver.example/', event_types: [], environments: [], enabled: true };
  const rest = { description: '', ordered: false, metadata: {}, headers: {} };
  const { endpoint } = await createEndpoint({ configs, keyring }, 'shop', { ...input, ...rest } as never, 1);
  const config = await moveApp({ shards, configs, now: Date.now, patienceMs: 0 }, 'shop', 1);
  const former = shards.get(0);
  await redis.client.rpush(former.key(`x:${endpoint.number}`), '0');
  const records = new Records({ shards, deliveries: new Deliveries(), events: new Events() });
  const create = (request?: string) => records.createReplay(config, endpoint.id, ALL, Date.now(), request);
  const begun = async () => (await redis.client.keys('{sp:0}:rpl:*')).length;

  const first = await create('one');
  expect(await begun()).toBe(1);
  expect(await create('one')).toMatchObject({ id: first.id });
  // The former shard's part is through; the home's still runs.
  await redis.client.del(former.key('replays'));
  for (const request of ['another', undefined]) {
    await expect(create(request)).rejects.toMatchObject({ code: 'replay_running' });
  }
  expect(await begun()).toBe(1);
});
