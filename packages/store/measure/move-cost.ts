import { type EndpointInput, Keyring } from '@sealpost/core';
import { Shards } from '@sealpost/queue';
import { startTestRedis } from '@sealpost/queue/testing';
import { addEndpoint, Configs, ensureApp, letGo, moveApp } from '../src/index.ts';

/** What moving an app costs: `node packages/store/measure/move-cost.ts [endpoints …]`, on a Redis of its own. */
const keyring = Keyring.fromMasterKeys(Buffer.alloc(32, 1));
const INPUT = { url: 'https://receiver.example/hook', event_types: [], environments: [], enabled: true };
const REST = { description: '', ordered: false, metadata: {}, headers: {} };

const redis = await startTestRedis();
const shards = new Shards(redis.client);
for (const count of process.argv.slice(2).map(Number)) await measure(count);
await redis.stop();

async function measure(count: number): Promise<void> {
  await redis.client.flushall();
  const configs = new Configs({ shards, keyring, shardsForNewApps: 1 });
  await ensureApp(configs, keyring, 'shop', 1);
  for (let from = 0; from < count; from += 500) await addEndpoints(configs, Math.min(500, count - from));
  await redis.client.config('RESETSTAT');
  await redis.client.config('SET', 'slowlog-log-slower-than', '0');
  await redis.client.config('SET', 'slowlog-max-len', '100000');
  await redis.client.slowlog('RESET');
  const start = performance.now();
  const { shard, number } = await moveApp({ shards, configs, now: Date.now, patienceMs: 0 }, 'shop', 1);
  const moved = performance.now();
  for (let held = 1; held > 0; ) held = (await letGo({ shards, configs }, 'shop', { shard, number }))!.held;
  const done = performance.now();
  const cpu = await cpuMs();
  const slowest = (await slowestMs()).toFixed(1);
  process.stdout.write(
    `${count} endpoints: moved after ${Math.round(moved - start)} ms, lanes let go after ${Math.round(done - moved)} ms more; ` +
      `Redis ${Math.round(cpu)} ms in all, ${slowest} ms at most in one command\n`,
  );
}

async function addEndpoints(configs: Configs, count: number): Promise<void> {
  const config = await configs.newest('shop');
  const endpoints = [];
  for (let i = 0; i < count; i++) {
    const ids = await configs.newEndpoint(config);
    endpoints.push(
      addEndpoint(keyring, config, ids, { ...INPUT, ...REST } as unknown as EndpointInput, 1).endpoint,
    );
  }
  const change = Object.fromEntries(endpoints.map((endpoint) => [endpoint.id, endpoint]));
  await configs.change('shop', () => ({ endpoints: change }));
}

/** All that commands took since the last reset. */
async function cpuMs(): Promise<number> {
  const stats = await redis.client.info('commandstats');
  return [...stats.matchAll(/usec=(\d+)/g)].reduce((sum, [, usec]) => sum + Number(usec), 0) / 1000;
}

async function slowestMs(): Promise<number> {
  const entries = (await redis.client.slowlog('GET', -1)) as [number, number, number][];
  return Math.max(...entries.map(([, , usec]) => usec)) / 1000;
}
