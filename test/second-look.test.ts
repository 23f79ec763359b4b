import { parseId } from '@sealpost/core';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  ApiClient,
  jobsGone,
  type Loose,
  Receiver,
  type Stack,
  startStack,
  waitFor,
} from './harness/index.ts';

// Faults that were found in review, each kept from coming back.

let stack: Stack;
let receiver: Receiver;

beforeAll(async () => {
  stack = await startStack();
  receiver = await Receiver.listen();
});

let apps = 0;
async function makeApp(): Promise<string> {
  const app = `look-${apps++}`;
  expect((await stack.client.put(`/v1/apps/${app}`, {})).status).toBe(201);
  return `/v1/apps/${app}`;
}

it('an Idempotency-Key that is used for another event once its answer is no longer kept publishes that event', async () => {
  const app = await makeApp();
  const key = { 'idempotency-key': 'nightly' };
  const first = await stack.client.post(`${app}/events`, { type: 'day', payload: 1 }, key);
  for (const name of await stack.redis.client.keys('{sp:0}:i:*')) await stack.redis.client.del(name);
  const second = await stack.client.post(`${app}/events`, { type: 'day', payload: 2 }, key);
  expect([first.status, second.status]).toEqual([202, 202]);
  expect(second.json.id).not.toBe(first.json.id);
});

it('half a surrogate pair in what is stored beside the payload is refused', async () => {
  const app = await makeApp();
  const event = (fields: string) =>
    stack.client.post(`${app}/events`, `{"type":"a.b","payload":1,${fields}}`);
  expect((await event('"attributes":{"k":"\\ud800"}')).status).toBe(422);
  expect((await event('"correlation_id":"\\ud800"')).status).toBe(422);
  expect((await event('"webhook_url":"http://127.0.0.1/\\ud800"')).status).toBe(422);
  expect((await stack.client.post(`${app}/events`, '{"type":"a.b","payload":"\\ud800"}')).status).toBe(202);
});

it('deliveries that were held, cancelled, enabled and retried are each posted once', async () => {
  const app = await makeApp();
  receiver.respond('/held', (_, nth) => (nth <= 20 ? 500 : 200));
  const made = await stack.client.post(`${app}/endpoints`, {
    url: receiver.url('/held'),
    retry: { strategy: 'schedule', schedule_seconds: [4], max_retries: 5 },
  });
  const endpoint = `${app}/endpoints/${made.json.id}`;
  const events = Array.from({ length: 20 }, (_, payload) => ({ type: 'a.b', payload }));
  const published = await stack.client.post(`${app}/events/batch`, { events });
  const ids: string[] = published.json.results.map(({ event }: Loose) => event.deliveries[0].id);
  await receiver.waitForRequests(20, { path: '/held' });
  await stack.client.patch(endpoint, { enabled: false });
  await waitFor(async () => (await waitingIn(made.json.id)) === 20, {
    describe: 'all 20 to wait in the lane',
  });
  await Promise.all(ids.map((id) => stack.client.post(`${app}/deliveries/${id}/cancel`)));
  await stack.client.patch(endpoint, { enabled: true });
  await Promise.all(ids.map((id) => stack.client.post(`${app}/deliveries/${id}/retry`)));
  await waitFor(
    async () => (await stack.client.get(`${app}/deliveries?status=delivered`)).json.pagination.total === 20,
    { describe: 'all 20 to be delivered' },
  );
  expect(receiver.to('/held')).toHaveLength(40);
});

it('deleting an app leaves nothing of its lanes', async () => {
  const app = await makeApp();
  receiver.respond('/gone', 500);
  const retry = { strategy: 'schedule', schedule_seconds: [3] };
  const made = await stack.client.post(`${app}/endpoints`, { url: receiver.url('/gone'), retry });
  await stack.client.post(`${app}/events`, { type: 'a.b', payload: 1 });
  await receiver.waitForRequests(1, { path: '/gone' });
  await stack.client.patch(`${app}/endpoints/${made.json.id}`, { enabled: false });
  await waitFor(async () => (await waitingIn(made.json.id)) === 1, {
    describe: 'the delivery to be held',
  });
  expect((await stack.client.delete(app)).status).toBe(204);
  const { number } = parseId('ep', made.json.id)!;
  const keys = ['lane', 'q', 'r', 'y', 's', 'tok'].map((name) => `{sp:0}:${name}:${number}`);
  expect(await stack.redis.client.exists(...keys)).toBe(0);
  expect(await stack.redis.client.zscore('{sp:0}:wake', String(number))).toBeNull();
});

describe('a receiver that answers 410', () => {
  it('gets one POST, even if its endpoint cannot be disabled', async () => {
    const app = await makeApp();
    receiver.respond('/410', 410);
    await stack.client.post(`${app}/endpoints`, { url: receiver.url('/410') });
    const other = await stack.client.post(`${app}/endpoints`, {
      url: receiver.url('/other'),
      event_types: ['x'],
    });
    for (const key of await stack.redis.client.keys('{sp:0}:cfg:*')) {
      const stored = await stack.redis.client.hget(key, other.json.id);
      // A neighbour that was tampered with: the app's config cannot be changed as a whole.
      if (stored) await stack.redis.client.hset(key, other.json.id, stored.replace('other', 'evil'));
    }
    const published = await new ApiClient(stack.api.url, stack.apiKey).post(`${app}/events`, {
      type: 'a.b',
      payload: 1,
    });
    expect(published.status).toBe(202);
    const worker = stack.workers[0]!;
    await waitFor(() => worker.logs.some(({ msg }) => msg?.includes('could not be disabled')), {
      describe: 'the worker to say that it cannot disable it',
    });
    await jobsGone(stack);
    expect(receiver.to('/410')).toHaveLength(1);
  });
});

/** How many deliveries wait in an endpoint's lane. */
async function waitingIn(endpoint: string): Promise<number> {
  return Number(await stack.redis.client.hget(`{sp:0}:lane:${parseId('ep', endpoint)!.number}`, 'q'));
}
