import { beforeAll, describe, expect, it, vi } from 'vitest';
import { Lane, type Loose, otherLaneMoves, type Stack, startStack, waitFor } from './harness/index.ts';

// On one stack, and they wait most of the time.
vi.setConfig({ maxConcurrency: 5 });

let stack: Stack;

beforeAll(async () => {
  stack = await startStack();
});

const ahead = (ms: number) => new Date(Date.now() + ms).toISOString();
/** After the end of any test. */
const TOMORROW = 86_400_000;

/** Each request with its payload came no sooner than it was due. */
function expectNoneBefore(lane: Lane, due: Record<string, string>): void {
  for (const [i, request] of lane.receiver.requests.entries()) {
    const at = due[lane.arrived[i]];
    if (at) expect(request.at, lane.arrived[i]).toBeGreaterThanOrEqual(Date.parse(at));
  }
}

describe.concurrent('deliver_at', () => {
  it('is when a delivery goes out, and no sooner; until then it is shown', async () => {
    const lane = await Lane.open(stack);
    const at = ahead(4000);
    const event = await lane.tenant.publish({ type: lane.type, payload: 'x', deliver_at: at });
    const { id } = event.deliveries[0];
    const waiting = await lane.tenant.delivery(id);
    expect(waiting).toMatchObject({ status: 'pending', next_attempt_at: at, attempt_count: 0 });
    const listed = await lane.tenant.get(`/endpoints/${lane.id}/deliveries`);
    expect(listed.json.data).toMatchObject([{ id, next_attempt_at: at }]);
    expect((await lane.tenant.get(`/events/${event.id}`)).json).toMatchObject({ deliver_at: at });
    expect(await lane.tenant.hasStatus(id, 'delivered')).toMatchObject({ next_attempt_at: null });
    expectNoneBefore(lane, { x: at });
  });

  it('that has passed, or is now, is at once', async () => {
    const lane = await Lane.open(stack);
    await lane.send('past', { deliver_at: ahead(-TOMORROW) });
    await lane.send('now', { deliver_at: ahead(0) });
    await lane.counted('delivered', 2);
  });

  it('decides the order, whatever was published first', async () => {
    const lane = await Lane.open(stack, { max_concurrency: 1 });
    const due = { third: ahead(5000), first: ahead(4000), second: ahead(4500) };
    for (const [payload, deliver_at] of Object.entries(due)) await lane.send(payload, { deliver_at });
    await lane.send('at once');
    await lane.counted('delivered', 4);
    expect(lane.arrived).toEqual(['at once', 'first', 'second', 'third']);
    expectNoneBefore(lane, due);
  });

  it('costs no job while it waits', async () => {
    const lane = await Lane.open(stack);
    const ids = [];
    for (let n = 0; n < 5; n++) ids.push(await lane.send(n, { deliver_at: ahead(TOMORROW) }));
    await lane.is({ queued: 5, in_flight: 0 });
    await otherLaneMoves(stack);
    const jobs = await Promise.all(ids.map((id) => stack.redis.client.exists(`{sp:0}:deliveries-0:${id}-1`)));
    expect(jobs).toEqual([0, 0, 0, 0, 0]);
    expect(lane.receiver.requests).toHaveLength(0);
  });

  it('of a cancelled delivery passes without a request', async () => {
    const lane = await Lane.open(stack);
    const id = await lane.send('cancelled', { deliver_at: ahead(4000) });
    const later = await lane.send('later', { deliver_at: ahead(4500) });
    const cancelled = await lane.tenant.client.post(`${lane.tenant.path}/deliveries/${id}/cancel`);
    expect(cancelled.json, cancelled.text).toMatchObject({ status: 'cancelled', next_attempt_at: null });
    await lane.tenant.hasStatus(later, 'delivered');
    expect(lane.arrived).toEqual(['later']);
    await lane.is({ queued: 0, in_flight: 0 });
  });

  it('that comes while the endpoint is paused waits on, in order', async () => {
    const lane = await Lane.open(stack, { max_concurrency: 1 });
    await lane.pause();
    const at = [ahead(300), ahead(600)];
    for (const [n, deliver_at] of at.entries()) await lane.send(n, { deliver_at });
    await waitFor(() => Date.now() > Date.parse(at[1]!), { describe: 'the time to come' });
    await otherLaneMoves(stack);
    expect(lane.receiver.requests).toHaveLength(0);
    await lane.resume();
    await lane.counted('delivered', 2);
    expect(lane.arrived).toEqual([0, 1]);
  });

  it('holds for a webhook_url as for an endpoint', async () => {
    const lane = await Lane.open(stack);
    const at = ahead(4000);
    const { deliveries } = await lane.tenant.publish({
      type: 'of.no.endpoint',
      payload: 'x',
      deliver_at: at,
      webhook_url: lane.receiver.url('/once'),
      webhook_secret: 'secret',
    });
    const [{ id }] = deliveries as Loose[];
    expect(await lane.tenant.delivery(id)).toMatchObject({ status: 'pending', next_attempt_at: at });
    await lane.tenant.hasStatus(id, 'delivered');
    expectNoneBefore(lane, { x: at });
  });

  it('on an ordered endpoint holds up no event that has none', async () => {
    const lane = await Lane.open(stack, { ordered: true });
    const at = ahead(4000);
    await lane.send('later', { deliver_at: at });
    await lane.sendEach(3);
    await lane.counted('delivered', 4);
    expect(lane.arrived).toEqual([0, 1, 2, 'later']);
    expectNoneBefore(lane, { later: at });
  });

  it('is kept when there is a backlog that is due earlier', async () => {
    const lane = await Lane.open(stack, { max_concurrency: 1 });
    lane.receiver.respond(lane.underWay.holding);
    await lane.sendEach(3);
    const at = ahead(600);
    await lane.send('later', { deliver_at: at });
    lane.receiver.respond(200);
    lane.underWay.release();
    await lane.counted('delivered', 4);
    expectNoneBefore(lane, { later: at });
  });
});

it('what is scheduled survives its worker, and the one that takes over keeps its time', async () => {
  const lane = await Lane.open(stack);
  const at = ahead(2500);
  await lane.send('x', { deliver_at: at });
  await stack.workers[0]!.kill();
  await stack.addWorker();
  await lane.counted('delivered', 1);
  expectNoneBefore(lane, { x: at });
});

it('what came due while no worker ran goes out when one is back', async () => {
  const lane = await Lane.open(stack);
  const at = ahead(500);
  await lane.send('x', { deliver_at: at });
  for (const worker of stack.workers) await worker.kill();
  await waitFor(() => Date.now() > Date.parse(at), { describe: 'the time to come' });
  await stack.addWorker();
  await lane.counted('delivered', 1);
  expect(lane.receiver.requests).toHaveLength(1);
});
