import { beforeAll, describe, expect, it } from 'vitest';
import { Lane, otherLaneMoves, type Stack, startStack, Tenant } from './harness/index.ts';

// Two workers: a limit that each of them kept for itself would show.

let stack: Stack;

beforeAll(async () => {
  stack = await startStack({ workers: 2 });
});

/** The most arrivals that any window of `ms` saw, wherever it began. */
function mostWithin(lane: Lane, ms: number): number {
  const times = lane.receiver.requests.map(({ at }) => at).sort((a, b) => a - b);
  return Math.max(...times.map((from) => times.filter((at) => at >= from && at < from + ms).length));
}

const PER_HOUR = { period_seconds: 3600 };

describe.concurrent('a rate limit', () => {
  it('is never exceeded in any period as the receiver counts, and all arrive', async () => {
    const rate_limit = { limit: 5, period_seconds: 1 };
    const lane = await Lane.open(stack, { rate_limit });
    await lane.sendMany(20);
    await lane.counted('delivered', 20);
    expect(lane.receiver.requests).toHaveLength(20);
    expect(mostWithin(lane, 1000)).toBeLessThanOrEqual(5);
  });

  it('counts retries too', async () => {
    const rate_limit = { limit: 4, period_seconds: 1 };
    const retry = { strategy: 'schedule', schedule_seconds: [0.01], max_retries: 5 };
    const lane = await Lane.open(stack, { rate_limit, retry });
    lane.receiver.respond('/hook', (_, nth) => (nth % 2 ? 500 : 200));
    await lane.sendMany(6);
    await lane.counted('delivered', 6);
    expect(lane.receiver.requests).toHaveLength(12);
    expect(mostWithin(lane, 1000)).toBeLessThanOrEqual(4);
  });

  it('that is used up holds what comes, until it is raised', async () => {
    const lane = await Lane.open(stack, { rate_limit: { limit: 3, ...PER_HOUR } });
    await lane.sendMany(8);
    await lane.counted('delivered', 3);
    await lane.is({ queued: 5, in_flight: 0 });
    await otherLaneMoves(stack);
    expect([lane.receiver.requests.length, await lane.count('pending')]).toEqual([3, 5]);
    await lane.patch({ rate_limit: { limit: 5, ...PER_HOUR } });
    await lane.counted('delivered', 5);
    await otherLaneMoves(stack);
    expect([lane.receiver.requests.length, await lane.count('pending')]).toEqual([5, 3]);
    await lane.patch({ rate_limit: null });
    await lane.counted('delivered', 8);
  });

  it('holds no other endpoint of its app', async () => {
    const tenant = await Tenant.create(stack.client);
    const limited = await Lane.open(stack, { rate_limit: { limit: 1, ...PER_HOUR } }, tenant);
    const free = await Lane.open(stack, {}, tenant);
    await limited.sendMany(10);
    await free.sendMany(10);
    await free.counted('delivered', 10);
    expect(limited.receiver.requests.length).toBeLessThanOrEqual(1);
  });

  it('with over: skip delivers as many as it allows, and skips the rest with a reason', async () => {
    const lane = await Lane.open(stack, { rate_limit: { limit: 5, over: 'skip', ...PER_HOUR } });
    const ids = await lane.sendMany(12);
    await lane.counted('skipped', 7);
    await lane.counted('delivered', 5);
    expect(lane.receiver.requests).toHaveLength(5);
    const deliveries = await Promise.all(ids.map((id) => lane.tenant.delivery(id)));
    for (const { status, reason, attempt_count } of deliveries) {
      expect([status, reason, attempt_count]).toEqual(
        status === 'delivered' ? ['delivered', null, 1] : ['skipped', 'rate_limited', 0],
      );
    }
  });

  it('is the app’s where the endpoint has none, and none where the endpoint says null', async () => {
    const defaults = { rate_limit: { limit: 2, ...PER_HOUR } };
    const tenant = await Tenant.create(stack.client, { defaults });
    const limited = await Lane.open(stack, {}, tenant);
    const free = await Lane.open(stack, { rate_limit: null }, tenant);
    const looser = await Lane.open(stack, { rate_limit: { limit: 4, ...PER_HOUR } }, tenant);
    for (const lane of [limited, looser, free]) await lane.sendMany(6);
    await free.counted('delivered', 6);
    await limited.counted('delivered', 2);
    await looser.counted('delivered', 4);
    await limited.is({ queued: 4, in_flight: 0 });
    expect([limited.receiver.requests.length, looser.receiver.requests.length]).toEqual([2, 4]);
  });
});
