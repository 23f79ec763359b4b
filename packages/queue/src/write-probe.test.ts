import { expect, it, onTestFinished, vi } from 'vitest';
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

it('tells soon what was last known of a Redis that is slow, and after 5 s that it does not answer', async () => {
  vi.useFakeTimers();
  onTestFinished(() => {
    vi.useRealTimers();
  });
  const client = clientOf(() => new Promise(() => {}));
  const probe = new WriteProbe(client);
  const askedFor = async (ms: number) => {
    const told = probe.trouble();
    await vi.advanceTimersByTimeAsync(ms);
    return told;
  };
  expect(await askedFor(500)).toBeUndefined();
  await vi.advanceTimersByTimeAsync(5000);
  expect(await askedFor(500)).toBe('Redis does not answer');
  expect(client.set).toHaveBeenCalledTimes(1);
});
