import { Keyring } from '@sealpost/core';
import { Shards } from '@sealpost/queue';
import { startTestRedis } from '@sealpost/queue/testing';
import { Configs, ensureApp } from '@sealpost/store';
import { createLogger, createMetrics } from '@sealpost/telemetry';
import { expect, it } from 'vitest';
import { DeliveryCounts } from './deliver/count-deliveries.ts';
import { Housekeeper } from './keep-house.ts';

it('tells of records that were written under a key that it does not have', async () => {
  const redis = await startTestRedis();
  const shards = new Shards(redis.client);
  const configsUnder = (byte: number) =>
    new Configs({ shards, keyring: Keyring.fromMasterKeys(Buffer.alloc(32, byte)), shardsForNewApps: 1 });
  const keyring = Keyring.fromMasterKeys(Buffer.alloc(32, 1));
  const { number } = await ensureApp(configsUnder(1), keyring, 'shop', 1);
  const shard = shards.get(0);
  await redis.client.hset(shard.key('came'), { [number]: 'shop' });
  const met = Promise.withResolvers<void>();
  const housekeeper = new Housekeeper(shard, {
    shards,
    retention: { recordsMs: 1000, bodiesMs: 1000 },
    configs: configsUnder(2),
    logger: createLogger({ name: 'test', level: 'silent' }),
    now: Date.now,
    counts: new DeliveryCounts(createMetrics('worker').instruments),
    onUnknownKey: met.resolve,
  });
  housekeeper.start();
  await expect(met.promise).resolves.toBeUndefined();
  await housekeeper.stop();
  await redis.stop();
});
