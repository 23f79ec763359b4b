import { beforeAll, describe, expect, it, vi } from 'vitest';
import {
  inTurn,
  jobDelayed,
  jobsWaiting,
  Lane,
  otherLaneMoves,
  payloadOf,
  type Stack,
  slowly,
  startStack,
} from './harness/index.ts';

// On one stack, and they wait most of the time.
vi.setConfig({ maxConcurrency: 5 });

let stack: Stack;

beforeAll(async () => {
  stack = await startStack({ workers: 2 });
});

const soon = { strategy: 'schedule', schedule_seconds: [0.05], max_retries: 20 };
const upTo = (count: number) => Array.from({ length: count }, (_, i) => i);

/** The numbers of the events in the order in which the receiver first took each. */
function takenBy(lane: Lane, answer: (n: number, nth: number) => number): number[] {
  const taken: number[] = [];
  lane.receiver.respond(
    '/hook',
    lane.underWay.counting(async (request, nth) => {
      const status = answer(payloadOf(request), nth);
      if (status === 200 && !taken.includes(payloadOf(request))) taken.push(payloadOf(request));
      return status;
    }),
  );
  return taken;
}

describe.concurrent('an ordered endpoint', () => {
  it('gets its events in the order of their acceptance, one at a time', async () => {
    const lane = await Lane.open(stack, { ordered: true });
    lane.receiver.respond(lane.underWay.counting(slowly(5)));
    await lane.sendEach(20);
    await lane.sendMany(30, 20);
    await lane.counted('delivered', 50);
    expect(lane.arrived).toEqual(upTo(50));
    expect(lane.underWay.most).toBe(1);
  });

  it('whose receiver fails every third request takes them in order', async () => {
    const lane = await Lane.open(stack, { ordered: true, retry: soon });
    const taken = takenBy(lane, (_, nth) => (nth % 3 === 0 ? 500 : 200));
    await lane.sendEach(30);
    await lane.counted('delivered', 30);
    expect(taken).toEqual(upTo(30));
    expect(lane.underWay.most).toBe(1);
    expect(lane.receiver.requests).toHaveLength(44); // each third of them failed
  });

  it('goes on with the next when the first is dead', async () => {
    const lane = await Lane.open(stack, { ordered: true, retry: { ...soon, max_retries: 2 } });
    lane.receiver.respond('/hook', inTurn(500, 500, 500, 200));
    const [first, ...rest] = await lane.sendEach(4);
    for (const id of rest) await lane.tenant.hasStatus(id, 'delivered');
    expect(lane.arrived).toEqual([0, 0, 0, 1, 2, 3]);
    expect(await lane.tenant.delivery(first!)).toMatchObject({ status: 'dead', attempt_count: 3 });
  });

  it('goes on with the next when the first is cancelled while it waits for its retry', async () => {
    const lane = await Lane.open(stack, { ordered: true, retry: { base_seconds: 1000 } });
    lane.receiver.respond('/hook', inTurn(500, 200));
    const [first] = await lane.sendEach(3);
    await lane.tenant.hasStatus(first!, 'retrying');
    await otherLaneMoves(stack);
    expect(lane.arrived).toEqual([0]);
    await lane.tenant.client.post(`${lane.tenant.path}/deliveries/${first}/cancel`);
    await lane.counted('delivered', 2);
    expect(lane.arrived).toEqual([0, 1, 2]);
  });

  it('does not hold up another ordered endpoint', async () => {
    const one = await Lane.open(stack, { ordered: true });
    const other = await Lane.open(stack, { ordered: true }, one.tenant);
    one.receiver.respond(one.underWay.holding);
    await one.sendEach(5);
    await one.receiver.waitForRequests(1);
    await other.sendEach(10);
    await other.counted('delivered', 10);
    expect(other.arrived).toEqual(upTo(10));
    expect(one.arrived).toEqual([0]);
    one.receiver.respond(200);
    one.underWay.release();
    await one.counted('delivered', 5);
    expect(one.arrived).toEqual(upTo(5));
  });

  it('is not closed by the breaker: each has its attempts, and is dead in its turn', async () => {
    const retry = { strategy: 'schedule', schedule_seconds: [0.8], max_retries: 1 };
    const lane = await Lane.open(stack, { ordered: true, retry });
    lane.receiver.respond(500);
    await lane.sendEach(9);
    await lane.countedWhileOpen('dead', 9);
    expect(lane.arrived).toEqual(upTo(9).flatMap((n) => [n, n]));
  });

  it('that is paused while its first waits for a retry goes on with that one', async () => {
    // Long enough for a starved machine to pause it meanwhile.
    const retry = { strategy: 'schedule', schedule_seconds: [3], max_retries: 3 };
    const lane = await Lane.open(stack, { ordered: true, retry });
    lane.receiver.respond('/hook', inTurn(500, 200));
    const [first] = await lane.sendEach(4);
    await lane.tenant.hasStatus(first!, 'retrying');
    await lane.pause();
    await lane.is({ queued: 4, in_flight: 0 });
    await otherLaneMoves(stack);
    expect(lane.arrived).toEqual([0]);
    await lane.resume();
    await lane.counted('delivered', 4);
    expect(lane.arrived).toEqual([0, 0, 1, 2, 3]);
  });
});

it('an endpoint that becomes ordered gets even what BullMQ has already one at a time', async () => {
  const lane = await Lane.open(stack);
  lane.receiver.respond(lane.underWay.counting(slowly(20)));
  for (const worker of stack.workers) worker.freeze();
  try {
    await lane.sendEach(4);
    await jobsWaiting(stack, 4);
    await lane.patch({ ordered: true });
    await lane.sendEach(6, 4);
  } finally {
    for (const worker of stack.workers) worker.thaw();
  }
  await lane.counted('delivered', 10);
  expect(lane.underWay.most).toBe(1);
  expect(lane.arrived.toSorted((a, b) => a - b)).toEqual(upTo(10));
  expect(lane.arrived.filter((n) => n >= 4)).toEqual([4, 5, 6, 7, 8, 9]);
});

it('the order holds while workers are killed at random', async () => {
  const lane = await Lane.open(stack, { ordered: true, retry: soon, timeout_seconds: 2 });
  const taken = takenBy(lane, (_, nth) => (nth % 3 === 0 ? 500 : 200));
  await lane.sendEach(50);
  for (const count of [10, 30]) {
    await lane.receiver.waitForRequests(count);
    const [victim] = stack.workers.splice(0, 1, await stack.addWorker());
    await victim!.kill();
  }
  await lane.counted('delivered', 50);
  expect(taken).toEqual(upTo(50));
});

it('the order holds when all workers are killed while an attempt is under way', async () => {
  const lane = await Lane.open(stack, { ordered: true, timeout_seconds: 2 });
  lane.receiver.respond('/hook', (_, nth) => (nth === 3 ? 'hang' : 200));
  const ids = await lane.sendEach(8);
  await lane.receiver.waitForRequests(3);
  await jobDelayed(stack, ids[2]!); // so that it comes back after its timeout, and not after BullMQ's lock
  for (const worker of stack.workers) await worker.kill();
  stack.workers.splice(0, 2, await stack.addWorker(), await stack.addWorker());
  await lane.counted('delivered', 8);
  expect(lane.arrived).toEqual([0, 1, 2, 2, 3, 4, 5, 6, 7]);
});
