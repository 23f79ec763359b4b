import { beforeAll, expect, it } from 'vitest';
import {
  jobCounts,
  Lane,
  type Loose,
  Receiver,
  type Stack,
  slowly,
  startStack,
  Tenant,
} from './harness/index.ts';

const SLOTS = 4;

let stack: Stack;

beforeAll(async () => {
  stack = await startStack({ workers: 1, env: { WORKER_CONCURRENCY: String(SLOTS) } });
});

/** Looks at BullMQ's queue again and again until `work` is done, and gives the most that it held. */
async function longestQueueDuring(work: () => Promise<void>): Promise<number> {
  let done = false;
  let longest = 0;
  const looking = (async () => {
    while (!done) {
      const { wait, active } = await jobCounts(stack);
      longest = Math.max(longest, wait + active);
    }
  })();
  await work().finally(() => {
    done = true;
  });
  await looking;
  return longest;
}

it('an endpoint that hangs leaves the slots to the others', async () => {
  const hanging = await Lane.open(stack);
  const quick = await Lane.open(stack);
  hanging.receiver.respond(hanging.underWay.holding);
  await hanging.sendMany(20);
  await hanging.receiver.waitForRequests(SLOTS);
  await quick.sendMany(10);
  await quick.counted('delivered', 10);
  expect(quick.receiver.requests).toHaveLength(10);
  expect(hanging.underWay.now).toBeGreaterThanOrEqual(1);
  expect(await hanging.count('pending')).toBe(20);
  hanging.receiver.respond(200);
  hanging.underWay.release();
  await hanging.counted('delivered', 20);
  expect(hanging.receiver.requests).toHaveLength(20);
});

it('many endpoints that begin to hang at once leave slots to the others', async () => {
  const tenant = await Tenant.create(stack.client);
  const hanging = await Promise.all(Array.from({ length: 6 }, () => Lane.open(stack, {}, tenant)));
  for (const lane of hanging) {
    lane.receiver.respond(lane.underWay.holding);
    await lane.sendMany(10);
  }
  const quick = await Lane.open(stack);
  await quick.sendMany(10);
  await quick.counted('delivered', 10);
  for (const lane of hanging) expect(await lane.count('pending')).toBe(10);
  expect(hanging.reduce((sum, lane) => sum + lane.underWay.now, 0)).toBeGreaterThanOrEqual(SLOTS);
  for (const lane of hanging) {
    lane.receiver.respond(200);
    lane.underWay.release();
  }
  for (const lane of hanging) await lane.counted('delivered', 10);
});

it('2,000 deliveries to one endpoint that hangs do not keep another one’s event, nor fill the queue', async () => {
  const flooded = await Lane.open(stack);
  flooded.receiver.respond(flooded.underWay.holding);
  const longest = await longestQueueDuring(async () => {
    await flooded.sendMany(2000);
    const other = await Lane.open(stack);
    await other.send('through');
    await other.receiver.waitForRequests(1);
  });
  expect(longest).toBeLessThanOrEqual(2 * SLOTS);
  expect(flooded.receiver.requests.length).toBeLessThan(100);
  await flooded.delete();
  flooded.underWay.release();
});

it('a flood to 30 endpoints lets an event to an idle one pass, and the queue stays within twice the slots', async () => {
  const tenant = await Tenant.create(stack.client);
  const flooded = await Receiver.listen();
  flooded.respond(slowly(5));
  for (let i = 0; i < 30; i++) await tenant.endpoint({ url: flooded.url(`/${i}`), event_types: ['flood'] });
  const idle = await Lane.open(stack);
  const overtaken: number[] = [];
  const longest = await longestQueueDuring(async () => {
    const events = Array.from({ length: 66 }, (_, i) => ({ type: 'flood', payload: i }));
    const answer = await tenant.client.post(`${tenant.path}/events/batch`, { events });
    expect(answer.json.results.every(({ status }: Loose) => status === 202)).toBe(true);
    for (let n = 1; n <= 3; n++) {
      await flooded.waitForRequests(n * 200);
      await idle.send(n);
      const before = flooded.requests.length;
      await idle.receiver.waitForRequests(n);
      overtaken.push(flooded.requests.length - before);
    }
    await flooded.waitForRequests(30 * 66);
  });
  // One turn of the ring, and what BullMQ held; a queue in order of arrival would let some 1,400 go first.
  for (const count of overtaken) expect(count).toBeLessThanOrEqual(30 + 2 * SLOTS);
  expect(longest).toBeLessThanOrEqual(2 * SLOTS);
  const perEndpoint = Array.from({ length: 30 }, (_, i) => flooded.to(`/${i}`).length);
  expect(perEndpoint).toEqual(Array(30).fill(66));
});

it('lanes with a backlog take turns: none is far ahead of another', async () => {
  const tenant = await Tenant.create(stack.client);
  const receiver = await Receiver.listen();
  const counts = () => Array.from({ length: 5 }, (_, i) => receiver.to(`/${i}`).length);
  let widest = 0;
  receiver.respond(() => {
    const now = counts();
    if (Math.max(...now) < 60) widest = Math.max(widest, Math.max(...now) - Math.min(...now));
    return 200;
  });
  for (let i = 0; i < 5; i++) {
    await tenant.endpoint({ url: receiver.url(`/${i}`), event_types: ['turns'] });
  }
  const events = Array.from({ length: 60 }, (_, i) => ({ type: 'turns', payload: i }));
  await tenant.client.post(`${tenant.path}/events/batch`, { events });
  await receiver.waitForRequests(5 * 60);
  expect(counts()).toEqual(Array(5).fill(60));
  // One turn of the ring apart; each had 4 admitted before the ring began to turn.
  expect(widest).toBeLessThanOrEqual(2 * SLOTS);
});
