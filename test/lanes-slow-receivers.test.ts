import { Queue } from 'bullmq';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import {
  inTurn,
  jobDelayed,
  jobsGone,
  Lane,
  otherLaneMoves,
  payloadOf,
  type Stack,
  startStack,
  waitFor,
} from './harness/index.ts';

// A request that is not answered soon goes on without a slot: its job is delayed until after its timeout.

const once = { strategy: 'schedule', schedule_seconds: [0.05], max_retries: 1 };

describe.concurrent('a slow attempt', () => {
  // On one stack, and they wait most of the time.
  vi.setConfig({ maxConcurrency: 5 });

  let stack: Stack;

  beforeAll(async () => {
    stack = await startStack({ env: { WORKER_CONCURRENCY: '4' } });
  });

  it('that succeeds is delivered once, counted once, and leaves no job', async () => {
    const lane = await Lane.open(stack);
    lane.receiver.respond(lane.underWay.holding);
    const id = await lane.send('slow');
    await jobDelayed(stack, id);
    expect(await lane.tenant.delivery(id)).toMatchObject({ status: 'pending', attempt_count: 0 });
    lane.underWay.release();
    expect(await lane.tenant.hasStatus(id, 'delivered')).toMatchObject({
      attempt_count: 1,
      attempts: [{ number: 1, status_code: 200 }],
    });
    await lane.is({ queued: 0, in_flight: 0 });
    const job = await stack.redis.client.zscore('{sp:0}:deliveries-0:delayed', `${id}-1`);
    expect([job, lane.receiver.requests.length]).toEqual([null, 1]);
  });

  it('that fails is retried after its backoff, not after its timeout', async () => {
    const lane = await Lane.open(stack, { timeout_seconds: 300, retry: once });
    lane.receiver.respond(lane.underWay.holding);
    const id = await lane.send('slow');
    await jobDelayed(stack, id);
    lane.receiver.respond(200);
    lane.underWay.release(500);
    expect(await lane.tenant.hasStatus(id, 'delivered')).toMatchObject({
      attempts: [{ status_code: 500 }, { status_code: 200 }],
    });
    expect(lane.receiver.requests).toHaveLength(2);
  });

  it('that fails for the last time is dead, and its job is among the failed', async () => {
    const lane = await Lane.open(stack, { timeout_seconds: 300, retry: { max_retries: 0 } });
    lane.receiver.respond(lane.underWay.holding);
    const id = await lane.send('slow');
    await jobDelayed(stack, id);
    lane.underWay.release(500);
    expect(await lane.tenant.hasStatus(id, 'dead')).toMatchObject({ attempt_count: 1 });
    const failed = () => stack.redis.client.zscore('{sp:0}:deliveries-0:failed', `${id}-1`);
    await waitFor(async () => (await failed()) !== null, { describe: 'the job to be failed' });
  });

  it('that is never answered ends at its timeout, and is retried', async () => {
    const lane = await Lane.open(stack, { timeout_seconds: 2, retry: once });
    lane.receiver.respond('/hook', inTurn('hang', 200));
    const id = await lane.send('slow');
    expect(await lane.tenant.hasStatus(id, 'delivered')).toMatchObject({
      attempts: [{ error: 'timeout', status_code: null }, { status_code: 200 }],
    });
    expect(lane.receiver.requests).toHaveLength(2);
  });

  it('that is cancelled meanwhile is posted no more', async () => {
    const lane = await Lane.open(stack, { retry: once });
    lane.receiver.respond(lane.underWay.holding);
    const id = await lane.send('slow');
    await jobDelayed(stack, id);
    await lane.tenant.client.post(`${lane.tenant.path}/deliveries/${id}/cancel`);
    lane.underWay.release(500);
    await lane.is({ queued: 0, in_flight: 0 });
    await otherLaneMoves(stack);
    expect(await lane.tenant.delivery(id)).toMatchObject({ status: 'cancelled', attempt_count: 1 });
    expect(lane.receiver.requests).toHaveLength(1);
  });

  it('whose job is promoted by hand is not made a second time beside it', async () => {
    const lane = await Lane.open(stack);
    lane.receiver.respond(lane.underWay.holding);
    const id = await lane.send('slow');
    await jobDelayed(stack, id);
    const delayed = '{sp:0}:deliveries-0:delayed';
    const due = await stack.redis.client.zscore(delayed, `${id}-1`);
    const queue = new Queue('deliveries-0', { connection: { url: stack.redis.url }, prefix: '{sp:0}' });
    await (await queue.getJob(`${id}-1`))!.promote();
    await queue.close();
    const again = async () => {
      const now = await stack.redis.client.zscore(delayed, `${id}-1`);
      return now !== null && now !== due;
    };
    await waitFor(again, { describe: 'the job to be delayed again' });
    expect(lane.receiver.requests).toHaveLength(1);
    lane.underWay.release();
    expect(await lane.tenant.hasStatus(id, 'delivered')).toMatchObject({ attempt_count: 1 });
    expect(lane.receiver.requests).toHaveLength(1);
  });

  it('keeps its lane to one more at a time, however large its window is', async () => {
    const lane = await Lane.open(stack);
    lane.receiver.respond(
      lane.underWay.counting((request) =>
        payloadOf(request) === 'slow' ? new Promise(() => {}) : new Promise((r) => setTimeout(r, 10, 200)),
      ),
    );
    const slow = await lane.send('slow');
    await jobDelayed(stack, slow);
    lane.underWay.most = 0;
    await lane.sendMany(30);
    await lane.counted('delivered', 30);
    expect(lane.underWay.most).toBe(2);
    expect(lane.receiver.requests).toHaveLength(31);
  });
});

describe.concurrent('a worker', () => {
  it('that is killed with a slow attempt: another one makes it again, and the lane goes on', async () => {
    const stack = await startStack();
    const lane = await Lane.open(stack, { timeout_seconds: 2, max_concurrency: 1 });
    lane.receiver.respond(lane.underWay.holding);
    const ids = await lane.sendEach(3);
    await jobDelayed(stack, ids[0]!);
    await stack.workers[0]!.kill();
    lane.receiver.respond(200);
    await stack.addWorker();
    await lane.counted('delivered', 3);
    for (const id of ids) {
      expect(await lane.tenant.delivery(id)).toMatchObject({ attempt_count: 1, last_status_code: 200 });
    }
    expect(lane.arrived.filter((n) => n === 0)).toHaveLength(2);
    expect(lane.receiver.requests).toHaveLength(4);
    await jobsGone(stack);
  });

  it('that has to go finishes slow attempts that end, and hands back those that do not, uncounted', async () => {
    const stack: Stack = await startStack();
    const lane = await Lane.open(stack, { timeout_seconds: 300 });
    const { underWay } = lane;
    lane.receiver.respond(underWay.holding);
    const [ends, hangs] = await lane.sendEach(2);
    await jobDelayed(stack, ends!);
    await jobDelayed(stack, hangs!);
    const worker = stack.workers[0]!;
    const stopping = worker.stop();
    await waitFor(async () => (await fetch(`${worker.url}/readyz`)).status === 503, {
      describe: 'the worker to be unready',
    });
    underWay.release(200, 1);
    const finished = lane.arrived[0] === 0 ? ends! : hangs!;
    const other = finished === ends ? hangs! : ends!;
    await lane.tenant.hasStatus(finished, 'delivered');
    expect(await stopping).toMatchObject({ code: 0 });
    expect(await lane.tenant.delivery(other)).toMatchObject({ status: 'pending', attempt_count: 0 });

    lane.receiver.respond(200);
    await stack.addWorker();
    for (const id of [ends!, hangs!]) {
      expect(await lane.tenant.hasStatus(id, 'delivered')).toMatchObject({ attempt_count: 1 });
    }
    expect(lane.receiver.requests).toHaveLength(3);
    await jobsGone(stack);
  });
});
