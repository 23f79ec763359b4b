import type { PumpOptions } from '@sealpost/queue';
import { Shards } from '@sealpost/queue';
import { startTestRedis } from '@sealpost/queue/testing';
import { createLogger } from '@sealpost/telemetry';
import { expect, it } from 'vitest';
import { Pump } from './pump-lanes.ts';

const OPTIONS: PumpOptions = {
  worker: 'w',
  slots: 5,
  maxAgeMs: 3_600_000,
  retention: { recordsMs: 1000, bodiesMs: 1000 },
  clock: 0,
};

it('goes on when it is to wake a lane while it is at work', async () => {
  const redis = await startTestRedis();
  const shard = new Shards(redis.client).get(0);
  let asked = 0;
  const { promise: often, resolve } = Promise.withResolvers<void>();
  const pump: Pump = new Pump(shard, createLogger({ name: 'test', level: 'silent' }), () => {
    asked += 1;
    // Each time, a lane that wakes before PUMP has answered: Redis is kept busy for longer.
    void redis.client.eval('local n = 0 for i = 1, 1000000 do n = n + i end return n', 0);
    pump.turns.take({ admitted: [], wakeInMs: 0 });
    if (asked >= 20) resolve();
    return OPTIONS;
  });
  await pump.start();
  await often;
  expect(asked).toBeGreaterThanOrEqual(20);
  await pump.stop();
  await redis.stop();
});
