import { describe, expect, it } from 'vitest';
import {
  ApiClient,
  jobsGone,
  PATIENCE_MS,
  Receiver,
  type Stack,
  startStack,
  untilEnded,
  waitFor,
} from './harness/index.ts';

/** A stack, receiver and app of one test's own, so that the tests can wait for lost locks side by side. */
async function setUp() {
  // No worker yet: each test starts the one that dies, then one that goes on.
  const stack = await startStack({ workers: 0 });
  const receiver = await Receiver.listen();
  const made = await stack.client.post('/v1/apps/default/endpoints', {
    url: receiver.url('/hook'),
    retry: { base_seconds: 0.1, max_retries: 1 },
  });
  expect(made.status).toBe(201);
  return { stack, receiver };
}

async function publish(stack: Stack): Promise<string> {
  const answer = await stack.client.post('/v1/apps/default/events', {
    type: 'order.created',
    payload: { n: 1 },
  });
  expect(answer.status).toBe(202);
  return answer.json.deliveries[0].id;
}

/** A stalled job comes back when its lock, 15 s, has run out and been looked for. */
const LOCK_LOST_MS = 1.5 * PATIENCE_MS;

/** The delivery, once it has ended. */
function ended(stack: Stack, delivery: string) {
  return waitFor(
    async () => {
      const { json } = await stack.client.get(`/v1/apps/default/deliveries/${delivery}`);
      return json.ended_at ? json : undefined;
    },
    { describe: `delivery ${delivery} to end`, timeoutMs: LOCK_LOST_MS },
  );
}

/** Publishes an event to a worker that dies at the named step, then starts one that goes on. */
async function deliverAcrossDeath(stack: Stack, point: string): Promise<string> {
  const worker = await stack.addWorker({ SEALPOST_FAULT_POINT: point });
  const delivery = await publish(stack);
  expect(await untilEnded(worker)).toMatchObject({ signal: 'SIGKILL' });
  await stack.addWorker();
  return delivery;
}

describe.concurrent('a worker killed', () => {
  it('after CLAIM: the delivery is attempted for the first time by another', async () => {
    const { stack, receiver } = await setUp();
    const delivery = await deliverAcrossDeath(stack, 'after-claim');
    expect(await ended(stack, delivery)).toMatchObject({ status: 'delivered', attempt_count: 1 });
    expect(receiver.requests).toHaveLength(1);
  });

  it('after the POST: it is posted once more, with the same webhook-id, and counted once', async () => {
    const { stack, receiver } = await setUp();
    const delivery = await deliverAcrossDeath(stack, 'after-post');
    expect(receiver.requests).toHaveLength(1);
    expect(await ended(stack, delivery)).toMatchObject({ status: 'delivered', attempt_count: 1 });
    expect(receiver.requests).toHaveLength(2);
    expect(new Set(receiver.requests.map(({ headers }) => headers['webhook-id'])).size).toBe(1);
  });

  it('after SETTLE of a success: it is not posted again', async () => {
    const { stack, receiver } = await setUp();
    const delivery = await deliverAcrossDeath(stack, 'after-settle');
    expect(await ended(stack, delivery)).toMatchObject({ status: 'delivered', attempt_count: 1 });
    await jobsGone(stack, LOCK_LOST_MS);
    expect(receiver.requests).toHaveLength(1);
  });

  it('after SETTLE of a failure: the retry comes when it is due, and none is posted twice', async () => {
    const { stack, receiver } = await setUp();
    receiver.respond(500);
    const delivery = await deliverAcrossDeath(stack, 'after-settle');
    expect(await ended(stack, delivery)).toMatchObject({ status: 'dead', attempt_count: 2 });
    await jobsGone(stack, LOCK_LOST_MS);
    expect(receiver.requests).toHaveLength(2);
  });

  it('an api killed after ACCEPT: the reconciler enqueues it, and publishing again with the key makes no second event', async () => {
    const { stack, receiver } = await setUp();
    // Its slots count for a while, so the delivery is admitted, and nobody is left to give it its job.
    await (await stack.addWorker()).kill();
    const dying = await stack.addApi({ SEALPOST_FAULT_POINT: 'after-accept' });
    const body = JSON.stringify({ type: 'order.created', payload: { n: 1 } });
    const key = { 'idempotency-key': 'the-key' };
    const answer = new ApiClient(dying.url, stack.apiKey).post('/v1/apps/default/events', body, key);
    await expect(answer).rejects.toThrow();
    expect(await untilEnded(dying)).toMatchObject({ signal: 'SIGKILL' });

    await stack.addWorker();
    await receiver.waitForRequests(1, { timeoutMs: LOCK_LOST_MS });
    // The key is taken as long as the killed request could still be running: as if that time had passed.
    await stack.redis.client.del(...(await stack.redis.client.keys('{sp:0}:i:*')));
    const again = await stack.client.post('/v1/apps/default/events', body, key);
    expect(again.status).toBe(202);
    expect(again.json.id).toBe(receiver.requests[0]!.headers['webhook-id']);
    const { json } = await stack.client.get('/v1/apps/default/deliveries');
    expect(json.pagination.total).toBe(1);
    expect(receiver.requests).toHaveLength(1);
  });
});
