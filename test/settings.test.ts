import { describe, expect, it } from 'vitest';
import { spawnApp, startRedis, untilEnded } from './harness/index.ts';

const MASTER = Buffer.alloc(32, 3).toString('base64');

describe('malformed settings stop the start, all named at once', () => {
  it.each(['API', 'worker'] as const)('of the %s', async (app) => {
    const process = await spawnApp(app, {
      REDIS_URL: 'http://somewhere',
      SEALPOST_API_KEYS: 'short',
      SEALPOST_MASTER_KEY: 'c2VjcmV0LXRvby1zaG9ydA==',
      WORKER_CONCURRENCY: 'many',
      WORKER_PROCESSES: '0',
      API_PROCESSES: '1.5',
      HTTP_CLIENT: 'curl',
      SEALPOST_SHARDS: '0',
      SEALPOST_ALLOW_SUBNETS: '10.0.0.0/99',
    });
    expect((await untilEnded(process)).code).toBe(1);
    const named = ['REDIS_URL', 'SEALPOST_MASTER_KEY', 'SEALPOST_ALLOW_SUBNETS'];
    const workers = ['WORKER_CONCURRENCY', 'WORKER_PROCESSES', 'HTTP_CLIENT'];
    named.push(...(app === 'API' ? ['SEALPOST_API_KEYS', 'SEALPOST_SHARDS', 'API_PROCESSES'] : workers));
    for (const name of named) expect(process.output).toContain(name);
    expect(process.output).not.toContain('c2VjcmV0');
    expect(process.output).not.toMatch(/\n\s+at /);
  });

  it('what is missing is named as well', async () => {
    const process = await spawnApp('API', {});
    expect((await untilEnded(process)).code).toBe(1);
    for (const name of ['REDIS_URL', 'SEALPOST_API_KEYS', 'SEALPOST_MASTER_KEY'])
      expect(process.output).toContain(name);
  });
});

describe('a Redis that cannot be trusted with deliveries stops the start', () => {
  it('when it evicts', async () => {
    const redis = await startRedis();
    await redis.client.config('SET', 'maxmemory-policy', 'allkeys-lru');
    const process = await spawnApp('worker', { REDIS_URL: redis.url, SEALPOST_MASTER_KEY: MASTER });
    expect((await untilEnded(process)).code).toBe(1);
    expect(process.output).toContain('noeviction');
  });

  it('when its data was written with another master key', async () => {
    const redis = await startRedis();
    await redis.client.sadd('sp:master', 'deadbeef');
    const process = await spawnApp('worker', { REDIS_URL: redis.url, SEALPOST_MASTER_KEY: MASTER });
    expect((await untilEnded(process)).code).toBe(1);
    expect(process.output).toContain('another master key');
    expect(process.output).not.toContain(MASTER);
  });

  it('when it cannot hold events as durably as asked', async () => {
    const redis = await startRedis({ appendonly: false });
    const process = await spawnApp('API', {
      REDIS_URL: redis.url,
      SEALPOST_MASTER_KEY: MASTER,
      SEALPOST_API_KEYS: 'sk_long_enough_for_a_test',
      SEALPOST_DURABILITY: 'disk',
    });
    expect((await untilEnded(process)).code).toBe(1);
    expect(process.output).toContain('SEALPOST_DURABILITY=disk');
  });
});
