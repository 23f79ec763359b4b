import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  type AppProcess,
  inTurn,
  jobCounts,
  jobsGone,
  jobsWaiting,
  Lane,
  otherLaneMoves,
  type Stack,
  startStack,
  waitFor,
} from './harness/index.ts';

let stack: Stack;
let workers: AppProcess[];

beforeAll(async () => {
  stack = await startStack({ workers: 2, apiEnv: { SEALPOST_BOARD_WRITABLE: 'true' } });
  workers = stack.workers;
});

/** Has jobs lie in BullMQ, before any worker takes one, while `work` is done. */
async function withJobsInBullMq(lane: Lane, count: number, work: () => Promise<unknown>): Promise<void> {
  for (const worker of workers) worker.freeze();
  try {
    await lane.sendEach(count);
    await jobsWaiting(stack, Math.min(count, 4)); // the window of a new lane
    await work();
  } finally {
    for (const worker of workers) worker.thaw();
  }
}

/** All that it has waits in the lane, BullMQ has nothing, and nothing was posted. */
async function expectHeld(lane: Lane, count: number, posted = 0): Promise<void> {
  await lane.is({ queued: count, in_flight: 0 });
  await jobsGone(stack);
  await otherLaneMoves(stack);
  expect(lane.receiver.requests).toHaveLength(posted);
}

const sorted = (numbers: number[]) => numbers.toSorted((a, b) => a - b);
const upTo = (count: number) => Array.from({ length: count }, (_, i) => i);

describe('while an endpoint is paused', () => {
  it('what is accepted waits, and goes out in order on resume', async () => {
    const lane = await Lane.open(stack, { max_concurrency: 1 });
    expect((await lane.tenant.get(`/endpoints/${lane.id}`)).json.paused).toBe(false);
    expect(await lane.pause()).toMatchObject({ id: lane.id, paused: true });
    expect(await lane.pause()).toMatchObject({ paused: true });
    await lane.sendEach(10);
    await expectHeld(lane, 10);
    expect(await lane.count('pending')).toBe(10);
    expect((await lane.tenant.get(`/endpoints/${lane.id}`)).json.paused).toBe(true);
    expect(await lane.resume()).toMatchObject({ id: lane.id, paused: false });
    expect(await lane.resume()).toMatchObject({ paused: false });
    await lane.sendEach(5, 10);
    await lane.counted('delivered', 15);
    expect(lane.arrived).toEqual(upTo(15));
  });

  it('jobs that BullMQ has already are posted by no worker, and go out once on resume', async () => {
    const lane = await Lane.open(stack);
    await withJobsInBullMq(lane, 10, () => lane.pause());
    await expectHeld(lane, 10);
    await lane.resume();
    await lane.counted('delivered', 10);
    await jobsGone(stack);
    expect(sorted(lane.arrived)).toEqual(upTo(10));
  });

  it('pausing and resuming again and again loses and doubles nothing', async () => {
    const lane = await Lane.open(stack, { max_concurrency: 3 });
    for (let round = 0; round < 10; round++) {
      await lane.sendMany(10, round * 10);
      await lane.pause();
      await lane.resume();
    }
    await lane.counted('delivered', 100);
    await jobsGone(stack);
    expect(sorted(lane.arrived)).toEqual(upTo(100));
  });

  it('what is under way ends, and nothing follows it', async () => {
    const lane = await Lane.open(stack, { max_concurrency: 2 });
    lane.receiver.respond(lane.underWay.holding);
    await lane.sendEach(6);
    await lane.receiver.waitForRequests(2);
    await lane.pause();
    lane.underWay.release();
    await lane.counted('delivered', 2);
    await expectHeld(lane, 4, 2);
    lane.receiver.respond(200);
    await lane.resume();
    await lane.counted('delivered', 6);
    expect(lane.receiver.requests).toHaveLength(6);
  });

  it('a retry that comes due waits, and is the next attempt on resume', async () => {
    const retry = { strategy: 'schedule', schedule_seconds: [3], max_retries: 3 };
    const lane = await Lane.open(stack, { retry });
    lane.receiver.respond('/hook', inTurn(500, 200));
    const id = await lane.send('fails once');
    await lane.tenant.hasStatus(id, 'retrying');
    await lane.pause();
    await expectHeld(lane, 1, 1);
    expect(await lane.tenant.delivery(id)).toMatchObject({ status: 'retrying', attempt_count: 1 });
    await lane.resume();
    expect(await lane.tenant.hasStatus(id, 'delivered')).toMatchObject({ attempt_count: 2 });
    expect(lane.receiver.requests).toHaveLength(2);
  });

  it('a dead delivery that is retried in Bull Board waits', async () => {
    const lane = await Lane.open(stack, { retry: { max_retries: 0 } });
    lane.receiver.respond('/hook', inTurn(500, 200));
    const id = await lane.send('dead');
    await lane.tenant.hasStatus(id, 'dead');
    const failed = () => stack.redis.client.zscore('{sp:0}:deliveries-0:failed', `${id}-1`);
    await waitFor(async () => (await failed()) !== null, { describe: 'the job to be failed' });
    await lane.pause();
    const retried = await stack.client.put(`/admin/queues/api/queues/deliveries-0/${id}-1/retry`, {});
    expect(retried.status, retried.text).toBe(204);
    await expectHeld(lane, 1, 1);
    await lane.resume();
    expect(await lane.tenant.hasStatus(id, 'delivered')).toMatchObject({ attempt_count: 2 });
    expect(lane.receiver.requests).toHaveLength(2);
  });

  it('a delivery that is cancelled does not go out on resume', async () => {
    const lane = await Lane.open(stack, { max_concurrency: 1 });
    await lane.pause();
    const ids = await lane.sendEach(4);
    for (const id of [ids[0], ids[2]]) {
      await lane.tenant.client.post(`${lane.tenant.path}/deliveries/${id}/cancel`);
    }
    await expectHeld(lane, 2);
    await lane.resume();
    await lane.counted('delivered', 2);
    expect(lane.arrived).toEqual([1, 3]);
  });

  it('other endpoints of the same event get it', async () => {
    const lane = await Lane.open(stack);
    const other = await lane.tenant.endpoint({
      url: lane.receiver.url('/other'),
      event_types: [lane.type],
    });
    await lane.pause();
    const { deliveries } = await lane.tenant.publish({ type: lane.type, payload: 1 });
    const theirs = deliveries.find((d: { endpoint_id: string }) => d.endpoint_id === other.id);
    await lane.tenant.hasStatus(theirs.id, 'delivered');
    expect(lane.receiver.to('/hook')).toHaveLength(0);
  });
});

describe('while an endpoint is disabled', () => {
  it('its backlog waits, with jobs that BullMQ has already, and goes out once it is enabled', async () => {
    const lane = await Lane.open(stack);
    await withJobsInBullMq(lane, 10, () => lane.patch({ enabled: false }));
    const { deliveries } = await lane.tenant.publish({ type: lane.type, payload: 'skipped' });
    expect(deliveries[0].status).toBe('skipped');
    await expectHeld(lane, 10);
    await lane.patch({ enabled: true });
    await lane.counted('delivered', 10);
    expect(sorted(lane.arrived)).toEqual(upTo(10));
  });

  it('and paused as well, it must be enabled and resumed', async () => {
    const lane = await Lane.open(stack);
    await withJobsInBullMq(lane, 3, async () => {
      await lane.pause();
      await lane.patch({ enabled: false });
    });
    await lane.patch({ enabled: true });
    await expectHeld(lane, 3);
    await lane.patch({ enabled: false });
    await lane.resume();
    await expectHeld(lane, 3);
    await lane.patch({ enabled: true });
    await lane.counted('delivered', 3);
  });
});

describe('deleting an endpoint', () => {
  it('cancels all that waits in its lane, and nothing of it is posted', async () => {
    const lane = await Lane.open(stack);
    await lane.pause();
    await lane.sendMany(300);
    await lane.send('scheduled', { deliver_at: new Date(Date.now() + 86_400_000).toISOString() });
    await lane.is({ queued: 301, in_flight: 0 });
    await lane.delete();
    await lane.counted('cancelled', 301);
    await jobsGone(stack);
    await otherLaneMoves(stack);
    expect(lane.receiver.requests).toHaveLength(0);
    const keys = ['q', 'r', 'y', 's', 'tok', 'lane'].map((name) => `{sp:0}:${name}:${lane.number}`);
    await waitFor(async () => (await stack.redis.client.exists(...keys)) === 0, {
      describe: 'nothing of the lane to be left',
    });
  });

  it('whose lane is moving: what is under way ends, the rest is cancelled', async () => {
    const lane = await Lane.open(stack, { max_concurrency: 2 });
    lane.receiver.respond(lane.underWay.holding);
    const ids = await lane.sendMany(50);
    await lane.receiver.waitForRequests(2);
    await lane.delete();
    await lane.counted('cancelled', 50);
    lane.underWay.release();
    await lane.counted('delivered', 2);
    await otherLaneMoves(stack);
    expect(lane.receiver.requests).toHaveLength(2);
    expect(await lane.count('cancelled')).toBe(ids.length - 2);
  });

  it('whose jobs BullMQ has already posts none of them', async () => {
    const lane = await Lane.open(stack);
    await withJobsInBullMq(lane, 10, () => lane.delete());
    await lane.counted('cancelled', 10);
    await jobsGone(stack);
    await otherLaneMoves(stack);
    expect(lane.receiver.requests).toHaveLength(0);
  });
});

describe('workers that are killed', () => {
  beforeEach(async () => {
    workers = await Promise.all([stack.addWorker(), stack.addWorker()]);
    for (const worker of stack.workers.splice(0, stack.workers.length, ...workers)) await worker.kill();
  });

  it('while the lane is paused: the next ones post nothing until it is resumed', async () => {
    const lane = await Lane.open(stack, { max_concurrency: 1 });
    await lane.pause();
    await lane.sendEach(10);
    for (const worker of workers) await worker.kill();
    stack.workers.splice(0, 2, await stack.addWorker());
    await expectHeld(lane, 10);
    await lane.resume();
    await lane.counted('delivered', 10);
    expect(lane.arrived).toEqual(upTo(10));
  });

  it('while its jobs lie in BullMQ: the next ones hand them back, and post them on resume', async () => {
    const lane = await Lane.open(stack);
    await withJobsInBullMq(lane, 10, async () => {
      await lane.pause();
      for (const worker of workers) await worker.kill();
    });
    expect(await jobCounts(stack)).toMatchObject({ wait: 4 });
    stack.workers.splice(0, 2, await stack.addWorker());
    await expectHeld(lane, 10);
    await lane.resume();
    await lane.counted('delivered', 10);
    await jobsGone(stack);
    expect(sorted(lane.arrived)).toEqual(upTo(10));
  });
});
