import { Keyring } from '@sealpost/core';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startTestRedis, type TestRedis } from '../testing.ts';
import { checkDurability, checkServer, ServerCheckError } from './check-server.ts';
import { whenReady } from './connection.ts';

const [OLD, NEW, OTHER] = [1, 2, 3].map((byte) => Buffer.alloc(32, byte)) as [Buffer, Buffer, Buffer];
const keyring = Keyring.fromMasterKeys(OLD);

let redis: TestRedis;
beforeAll(async () => {
  redis = await startTestRedis();
});
afterAll(() => redis.stop());
beforeEach(async () => {
  await redis.client.flushall();
  await set('maxmemory-policy', 'noeviction');
  await set('save', '');
  await set('appendonly', 'no');
});

const set = (name: string, value: string) => redis.client.call('CONFIG', 'SET', name, value);
const refusal = async (check: Promise<unknown>) => {
  const error: unknown = await check.catch((caught: unknown) => caught);
  expect(error).toBeInstanceOf(ServerCheckError);
  return (error as Error).message;
};

describe('a Redis is refused', () => {
  it.each(['allkeys-lru', 'volatile-ttl'])('that evicts: %s', async (policy) => {
    await set('maxmemory-policy', policy);
    expect(await refusal(checkServer(redis.client, { keyring }))).toMatch(
      new RegExp(`127.0.0.1:\\d+ has maxmemory-policy ${policy}.*Set "maxmemory-policy noeviction"`),
    );
    expect(await redis.client.exists('sp:master')).toBe(0);
  });

  it('that is a replica', async () => {
    const { port } = new URL(redis.url);
    const replica = await startTestRedis(['--replicaof', '127.0.0.1', port]);
    try {
      await whenReady(replica.client, 5000);
      expect(await refusal(checkServer(replica.client, { keyring }))).toContain('is a replica');
    } finally {
      await replica.stop();
    }
  });

  it('that does not write to its disk, where that is asked for', async () => {
    expect(await refusal(checkDurability(redis.client, 'disk'))).toContain('Set "appendonly yes"');
  });
});

describe('what is lost when Redis ends is told', () => {
  it.each([
    ['everything', '', 'no', /in memory only/],
    ['what came after a snapshot', '900 1', 'no', /in snapshots only/],
    ['nothing, with the append-only file', '', 'yes', undefined],
  ])('%s', async (_, save, appendonly, warning) => {
    await set('save', save);
    await set('appendonly', appendonly);
    const warnings = await checkServer(redis.client, { keyring });
    expect(warnings).toEqual(warning ? [expect.stringMatching(warning)] : []);
  });

  it('a durability of replicas without a replica is', async () => {
    expect(await checkDurability(redis.client, 'replica')).toEqual({
      barrier: 'wait',
      warnings: [expect.stringContaining('has no replica yet')],
    });
  });
});

describe('the disk is waited for', () => {
  it('by Redis itself with appendfsync always', async () => {
    await set('appendonly', 'yes');
    await set('appendfsync', 'always');
    expect(await checkDurability(redis.client, 'disk')).toEqual({ barrier: 'none', warnings: [] });
    await set('appendfsync', 'everysec');
  });

  it('by WAITAOF from 7.2 on, and before that it is refused', async () => {
    await set('appendonly', 'yes');
    const version = /redis_version:(\d+)\.(\d+)/.exec(await redis.client.info('server'))!;
    const check = checkDurability(redis.client, 'disk');
    if (Number(version[1]) * 100 + Number(version[2]) >= 702) expect((await check).barrier).toBe('waitaof');
    else expect(await refusal(check)).toContain('or Redis 7.2 or newer');
  });
});

describe('the master key', () => {
  const start = (current: Buffer, previous?: Buffer) =>
    checkServer(redis.client, { keyring: Keyring.fromMasterKeys(current, previous) });

  it('is the one with which the data was written, or the refusal names both by their ids only', async () => {
    await start(OLD);
    await start(OLD);
    const message = await refusal(start(OTHER));
    expect(message).toContain(keyring.keyId);
    expect(message).toContain('SEALPOST_MASTER_KEY_PREVIOUS');
    expect(message).not.toContain(OLD.toString('base64'));
    await start(OLD); // the refused one has left nothing behind
  });

  it('may be replaced while the previous one is given, and not go back', async () => {
    await start(OLD);
    await start(NEW, OLD);
    expect(await refusal(start(OLD))).toContain(Keyring.fromMasterKeys(NEW).keyId);
    await refusal(start(NEW));
    await start(NEW, OLD);
  });

  it('of the first of two that start at once wins', async () => {
    const results = await Promise.allSettled([start(OLD), start(NEW), start(OTHER)]);
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  });
});
