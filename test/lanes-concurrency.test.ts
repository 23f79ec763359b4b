import { beforeAll, describe, expect, it } from 'vitest';
import { jobsWaiting, Lane, payloadOf, type Stack, slowly, startStack, waitFor } from './harness/index.ts';

// Two workers: a limit that each of them kept for itself would show.

let stack: Stack;

beforeAll(async () => {
  stack = await startStack({ workers: 2 });
});

/**
 * Resolves once the receiver holds exactly so many requests, of so many that came in all, and no more are admitted. Nothing is
 * held for longer than this takes: after a second an attempt is a slow one, which changes what its lane may do.
 */
async function holds(lane: Lane, count: number, total: number): Promise<void> {
  const { underWay, receiver } = lane;
  const seen = () => `${underWay.now} of ${receiver.requests.length}`;
  const describe = `the receiver to hold ${count} of ${total} requests`;
  await waitFor(() => seen() === `${count} of ${total}`, { describe }).catch((error: Error) => {
    throw new Error(`${error.message}\nIt holds ${seen()}`, { cause: error });
  });
  expect(await lane.state()).toMatchObject({ in_flight: count });
}

describe('max_concurrency', () => {
  it.each([1, 3])('of %i is what the receiver sees at once, and no more', async (max) => {
    const lane = await Lane.open(stack, { max_concurrency: max });
    lane.receiver.respond(lane.underWay.counting(slowly(15)));
    await lane.sendMany(40);
    await lane.counted('delivered', 40);
    expect(lane.underWay.most).toBe(max);
    expect(lane.receiver.requests).toHaveLength(40);
  });

  it('holds for retries as well as for first attempts', async () => {
    const retry = { strategy: 'schedule', schedule_seconds: [0.3], max_retries: 5 };
    const lane = await Lane.open(stack, { max_concurrency: 2, retry });
    const seen = new Set<number>();
    lane.receiver.respond(
      lane.underWay.counting((request) => {
        const first = !seen.has(payloadOf(request));
        seen.add(payloadOf(request));
        return slowly(15, first ? 500 : 200)();
      }),
    );
    await lane.sendMany(30);
    await lane.counted('delivered', 30);
    expect(lane.underWay.most).toBe(2);
    expect(lane.receiver.requests).toHaveLength(60);
  });

  it('lowered while more attempts are under way: none begins until fewer than that are', async () => {
    const lane = await Lane.open(stack);
    lane.receiver.respond(lane.underWay.holding);
    await lane.sendMany(40);
    await holds(lane, 4, 4);
    lane.underWay.release();
    await holds(lane, 8, 12);

    await lane.patch({ max_concurrency: 2 });
    lane.underWay.release(200, 6);
    lane.underWay.most = 0; // from here on each arrival counts what is under way with it
    await lane.counted('delivered', 4 + 6);
    expect(await lane.state()).toMatchObject({ in_flight: 2 });
    lane.receiver.respond(lane.underWay.counting(slowly(10)));
    lane.underWay.release();
    await lane.counted('delivered', 40);
    expect(lane.underWay.most).toBe(2);
    expect(lane.receiver.requests).toHaveLength(40);
  });

  it('lowered while jobs are in BullMQ already: they too wait for their turn', async () => {
    const lane = await Lane.open(stack);
    lane.receiver.respond(lane.underWay.counting(slowly(30)));
    for (const worker of stack.workers) worker.freeze();
    try {
      await lane.sendMany(10);
      await jobsWaiting(stack, 4);
      await lane.patch({ max_concurrency: 1 });
    } finally {
      for (const worker of stack.workers) worker.thaw();
    }
    await lane.counted('delivered', 10);
    expect(lane.underWay.most).toBe(1);
    expect(lane.receiver.requests).toHaveLength(10);
  });

  it('raised lets more go at once', async () => {
    const lane = await Lane.open(stack, { max_concurrency: 1 });
    lane.receiver.respond(lane.underWay.holding);
    await lane.sendMany(10);
    await holds(lane, 1, 1);
    await lane.patch({ max_concurrency: 3 });
    await holds(lane, 3, 3);
    expect(lane.underWay.most).toBe(3);
  });
});

describe('the window', () => {
  it('is 4 at first, and doubles with each window of successes up to max_concurrency', async () => {
    const lane = await Lane.open(stack, { max_concurrency: 20 });
    lane.receiver.respond(lane.underWay.holding);
    await lane.sendMany(80);
    let total = 0;
    for (const window of [4, 8, 16, 20, 20]) {
      total += window;
      await holds(lane, window, total);
      expect([lane.underWay.most, lane.receiver.requests.length]).toEqual([window, total]);
      lane.underWay.release();
    }
  });

  it('is halved once by a whole window of failures, and then grows by one per window', async () => {
    const lane = await Lane.open(stack, { retry: { max_retries: 0 } });
    lane.receiver.respond(lane.underWay.holding);
    await lane.sendMany(80);
    await holds(lane, 4, 4);
    lane.underWay.release();
    await holds(lane, 8, 12);
    lane.underWay.release();
    await holds(lane, 16, 28);
    lane.underWay.release(503);
    await holds(lane, 8, 36);
    lane.underWay.release();
    // 8 and 1 for the window of successes, rounded either way while it grows by 1/8 a success.
    await waitFor(() => lane.receiver.requests.length >= 44, { describe: 'the next 8' });
    lane.underWay.most = 0;
    lane.underWay.release();
    await waitFor(() => lane.underWay.now >= 9, { describe: 'a window of 9' });
    expect((await lane.state()).in_flight).toBeLessThanOrEqual(10);
    expect(await lane.count('dead')).toBe(16);
  });
});
