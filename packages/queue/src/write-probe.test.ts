import { setTimeout as delay } from 'node:timers/promises';
import { expect, it, vi } from 'vitest';
import type { RedisClient } from './connection.ts';
import { WriteProbe } from './write-probe.ts';

const clientOf = (set: () => Promise<unknown>, status = 'ready') =>
  ({ status, set: vi.fn(set) }) as unknown as RedisClient & { set: ReturnType<typeof vi.fn> };

it('asks once for many that ask at once, and no connection that is away', async () => {
  const client = clientOf(async () => 'OK');
  const probe = new WriteProbe(client);
  expect(await Promise.all([probe.trouble(), probe.trouble()])).toEqual([undefined, undefined]);
  expect(client.set).toHaveBeenCalledTimes(1);
  const away = clientOf(async () => 'OK', 'reconnecting');
  expect(await new WriteProbe(away).trouble()).toMatch(/cannot be reached/);
  expect(away.set).not.toHaveBeenCalled();
});

it('tells at once what was last known of a Redis that is slow, and after 5 s that it does not answer', async () => {
  const client = clientOf(() => new Promise(() => {}));
  const probe = new WriteProbe(client);
  const began = performance.now();
  expect(await probe.trouble()).toBeUndefined();
  expect(performance.now() - began).toBeLessThan(2000);
  await delay(5000);
  expect(await probe.trouble()).toBe('Redis does not answer');
  expect(client.set).toHaveBeenCalledTimes(1);
}, 20_000);
