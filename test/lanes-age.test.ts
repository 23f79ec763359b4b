import { beforeAll, describe, expect, it, vi } from 'vitest';
import { Lane, Receiver, type Stack, startStack, waitFor } from './harness/index.ts';

/** 5 s. */
const HOURS = '0.0014';
// They wait most of that time, each on a lane of its own.
vi.setConfig({ maxConcurrency: 5 });

let stack: Stack;
let operators: Receiver;

beforeAll(async () => {
  stack = await startStack({
    workerEnv: { SEALPOST_MAX_AGE_HOURS: HOURS, SEALPOST_DISABLE_AFTER_HOURS: HOURS },
  });
  operators = await Receiver.listen();
  await stack.client.put('/v1/apps/sealpost', {});
  await stack.client.post('/v1/apps/sealpost/endpoints', { url: operators.url('/ops') });
});

/** What operators were told of an endpoint, by type. */
function told(lane: Lane, type: string) {
  return operators.requests
    .map(({ text }) => JSON.parse(text))
    .filter((event) => event.type === type && event.data.endpoint_id === lane.id)
    .map((event) => event.data);
}

describe.concurrent('a delivery that is held for longer than SEALPOST_MAX_AGE_HOURS', () => {
  it('is dead when its endpoint is paused, in batches that operators are told of', async () => {
    const lane = await Lane.open(stack);
    await lane.pause();
    const [id] = await lane.sendMany(450);
    await lane.counted('dead', 450);
    expect(await lane.tenant.delivery(id!)).toMatchObject({
      status: 'dead',
      reason: 'expired',
      attempt_count: 0,
    });
    await lane.is({ queued: 0, in_flight: 0, state: 'paused' });
    const counts = () => told(lane, 'deliveries.expired').map(({ count }) => count);
    await waitFor(() => counts().reduce((sum, count) => sum + count, 0) === 450, {
      describe: 'operators to be told of 450',
    });
    expect(counts().length).toBeLessThan(10);
    expect(told(lane, 'delivery.dead')).toEqual([]);
    expect(lane.receiver.requests).toEqual([]);
  });

  it('is dead when its endpoint is disabled', async () => {
    const lane = await Lane.open(stack, { retry: { strategy: 'schedule', schedule_seconds: [3] } });
    lane.receiver.respond(500);
    const id = await lane.send('held');
    await lane.receiver.waitForRequests(1);
    await lane.patch({ enabled: false });
    expect(await lane.tenant.ended(id)).toMatchObject({
      status: 'dead',
      reason: 'expired',
      attempt_count: 1,
    });
  });

  it('goes out when it is let go before', async () => {
    const lane = await Lane.open(stack);
    await lane.pause();
    const id = await lane.send('soon');
    await lane.resume();
    expect(await lane.tenant.ended(id)).toMatchObject({ status: 'delivered' });
  });

  it('is not when only its rate limit holds it', async () => {
    const lane = await Lane.open(stack, { rate_limit: { limit: 1, period_seconds: 7 } });
    await lane.sendEach(2);
    await lane.counted('delivered', 2);
  });
});

describe.concurrent('an endpoint that has only failed for SEALPOST_DISABLE_AFTER_HOURS', () => {
  it('is disabled, and operators are told', async () => {
    const lane = await Lane.open(stack, {
      retry: { base_seconds: 0.2, max_delay_seconds: 0.5, max_retries: 50 },
    });
    lane.receiver.respond(404);
    await lane.send('never');
    await waitFor(async () => (await lane.tenant.get(`/endpoints/${lane.id}`)).json.enabled === false, {
      describe: 'the endpoint to be disabled',
    });
    expect((await lane.tenant.get(`/endpoints/${lane.id}`)).json.disabled_reason).toBe('failing');
    await waitFor(() => told(lane, 'endpoint.disabled').length === 1, { describe: 'operators to be told' });
    expect(told(lane, 'endpoint.disabled')[0]).toMatchObject({ reason: 'failing' });
  });

  it('is not when it had a success in between, and begins anew when it is enabled again', async () => {
    // Three retries to a success, and three successes: more than 5 s in all, and far less from one to the next.
    const retry = { base_seconds: 0.7, factor: 1, max_retries: 20 };
    const lane = await Lane.open(stack, { retry });
    lane.receiver.respond('/hook', (_, nth) => (nth % 4 === 0 ? 200 : 503));
    for (let n = 0; n < 3; n++)
      expect(await lane.tenant.ended(await lane.send(n))).toMatchObject({ status: 'delivered' });
    expect((await lane.tenant.get(`/endpoints/${lane.id}`)).json.enabled).toBe(true);
  });
});
