import { parseId } from '@sealpost/core';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  jobsGone,
  jobsWaiting,
  Lane,
  payloadOf,
  type Stack,
  slowly,
  startStack,
  waitFor,
} from './harness/index.ts';

let stack: Stack;

beforeAll(async () => {
  stack = await startStack({ workers: 2 });
});

const after = (seconds: number, max_retries = 5) => ({
  strategy: 'schedule',
  schedule_seconds: [seconds],
  max_retries,
});

describe('a retry', () => {
  it('that is due does not wait behind a backlog of first attempts', async () => {
    const lane = await Lane.open(stack, { max_concurrency: 2, retry: after(1) });
    lane.receiver.respond('/hook', (_, nth) => slowly(15, nth === 1 ? 500 : 200)());
    await lane.sendMany(300);
    await lane.counted('delivered', 300);
    const failed = lane.arrived[0];
    const again = lane.arrived.indexOf(failed, 1);
    expect(lane.receiver.requests).toHaveLength(301);
    // What goes out within its backoff of 1 s, at 15 ms and more each, two at a time, and a few for its turn.
    expect(again).toBeGreaterThan(10);
    expect(again).toBeLessThan(180);
  });

  it('of many that fail on and on leaves room for new events: one admission in four', async () => {
    const lane = await Lane.open(stack, { max_concurrency: 1, retry: after(0.01, 50) });
    lane.receiver.respond('/hook', (request) => (payloadOf(request) >= 20 ? 200 : 500));
    await lane.sendMany(20);
    await lane.sendMany(10, 20);
    const before = lane.receiver.requests.length;
    await lane.counted('delivered', 10);
    // 30 first attempts, one of four admissions each, and a few; the retries are a thousand.
    expect(lane.arrived.findLastIndex((n) => n >= 20) - before).toBeLessThanOrEqual(30 * 5);
    await lane.delete();
  });

  it('keeps its backoff when its endpoint has room', async () => {
    const lane = await Lane.open(stack, { retry: after(0.5) });
    lane.receiver.respond('/hook', (_, nth) => (nth <= 3 ? 500 : 200));
    await lane.sendMany(3);
    await lane.counted('delivered', 3);
    for (const n of [0, 1, 2]) {
      const [first, second] = lane.receiver.requests.filter((request) => payloadOf(request) === n);
      expect(second!.at - first!.at).toBeGreaterThanOrEqual(500);
    }
    await jobsGone(stack);
  });
});

describe('jobs that are removed from BullMQ by hand', () => {
  /** Lets the reconciler look at a delivery now, instead of when it should have moved. */
  const overdue = (id: string) =>
    stack.redis.client.zadd('{sp:0}:watch', '1', String(parseId('dlv', id)!.number));

  const remove = async (state: string) => {
    const { queue, close } = await bullMq();
    const jobs = await queue.getJobs([state as 'wait']);
    for (const job of jobs) await job.remove();
    await close();
    return jobs.length;
  };

  it('before a worker took them are made anew, and hold no place in their lane meanwhile', async () => {
    const lane = await Lane.open(stack, { max_concurrency: 2 });
    for (const worker of stack.workers) worker.freeze();
    let ids: string[];
    try {
      ids = await lane.sendEach(6);
      await jobsWaiting(stack, 2);
      expect(await remove('wait')).toBe(2);
    } finally {
      for (const worker of stack.workers) worker.thaw();
    }
    for (const id of ids.slice(0, 2)) await overdue(id);
    await lane.counted('delivered', 6);
    expect(lane.arrived.toSorted((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5]);
    await lane.is({ queued: 0, in_flight: 0 });
  });

  it('while they waited for a retry are made anew', async () => {
    const lane = await Lane.open(stack, { retry: after(1000) });
    lane.receiver.respond('/hook', (_, nth) => (nth === 1 ? 500 : 200));
    const id = await lane.send(0);
    await lane.tenant.hasStatus(id, 'retrying');
    await waitFor(() => remove('delayed'), { describe: 'a delayed job to be there and removed' });
    await overdue(id);
    expect(await lane.tenant.hasStatus(id, 'delivered')).toMatchObject({ attempt_count: 2 });
    expect(lane.receiver.requests).toHaveLength(2);
  });

  it('of a paused endpoint are not made anew until it is resumed', async () => {
    const lane = await Lane.open(stack);
    for (const worker of stack.workers) worker.freeze();
    let ids: string[];
    try {
      ids = await lane.sendEach(3);
      await jobsWaiting(stack, 3);
      await lane.pause();
      expect(await remove('wait')).toBe(3);
    } finally {
      for (const worker of stack.workers) worker.thaw();
    }
    for (const id of ids) await overdue(id);
    await lane.is({ queued: 3, in_flight: 0 });
    expect(lane.receiver.requests).toHaveLength(0);
    await lane.resume();
    await lane.counted('delivered', 3);
    expect(lane.receiver.requests).toHaveLength(3);
  });
});

/** The queue as any other client of BullMQ sees it. */
async function bullMq() {
  const { Queue } = await import('bullmq');
  const queue = new Queue('deliveries-0', { connection: { url: stack.redis.url }, prefix: '{sp:0}' });
  return { queue, close: () => queue.close() };
}
