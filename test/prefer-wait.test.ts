import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Answer, type Loose, Receiver, type Stack, startStack, Tenant } from './harness/index.ts';

let stack: Stack;
let receiver: Receiver;
let tenant: Tenant;

beforeAll(async () => {
  stack = await startStack();
  receiver = await Receiver.listen();
});

beforeEach(async () => {
  receiver = await Receiver.listen(); // of its own: what an earlier test left under way must not be counted
  receiver.respond(200);
  tenant = await Tenant.create(stack.client);
});

const EVENT = { type: 'a', payload: 1 };
const later = { base_seconds: 1000 };

async function publish(prefer: string, event: object = EVENT): Promise<Answer<Loose>> {
  const answer = await tenant.client.post(`${tenant.path}/events`, event, { prefer });
  expect(answer.status, answer.text).toBe(202);
  return answer;
}

const statuses = ({ json }: Answer<Loose>) => json.deliveries.map((d: Loose) => d.status);

describe('Prefer: wait answers', () => {
  it('with the status of each delivery after its first attempt', async () => {
    receiver.respond('/retried', 503);
    receiver.respond('/dead', 400);
    await tenant.endpoint({ url: receiver.url('/good') });
    await tenant.endpoint({ url: receiver.url('/retried'), retry: later });
    await tenant.endpoint({ url: receiver.url('/dead'), retry: { retry_on: 'transient' } });
    await tenant.endpoint({ url: receiver.url('/off'), enabled: false });
    const answer = await publish('wait=25', { ...EVENT, webhook_url: receiver.url('/direct') });
    expect(statuses(answer)).toEqual(['delivered', 'retrying', 'dead', 'skipped', 'delivered']);
    expect(answer.headers.get('preference-applied')).toBe('wait=25');
    expect(receiver.requests).toHaveLength(4);
  });

  it('only when the slowest has had its attempt', async () => {
    const { promise: slow, resolve: release } = Promise.withResolvers<number>();
    receiver.respond('/slow', () => slow);
    await tenant.endpoint({ url: receiver.url('/quick') });
    await tenant.endpoint({ url: receiver.url('/slow') });
    let answered = false;
    const answer = publish('wait=25').finally(() => {
      answered = true;
    });
    await receiver.waitForRequests(2);
    const list = await tenant.get('/deliveries');
    await tenant.hasStatus(list.json.data.at(-1).id, 'delivered');
    expect(answered).toBe(false);
    release(200);
    expect(statuses(await answer)).toEqual(['delivered', 'delivered']);
  });

  it('after N seconds with what there is', async () => {
    const { promise: slow, resolve: release } = Promise.withResolvers<number>();
    receiver.respond('/slow', () => slow);
    await tenant.endpoint({ url: receiver.url('/quick') });
    await tenant.endpoint({ url: receiver.url('/slow'), timeout_seconds: 60, retry: { max_retries: 0 } });
    const start = performance.now();
    const answer = await publish('wait=4');
    expect(performance.now() - start).toBeGreaterThanOrEqual(3990);
    expect(statuses(answer)).toEqual(['delivered', 'pending']);
    // What is waited for is recorded as ever.
    release(500);
    expect(await tenant.ended(answer.json.deliveries[1].id)).toMatchObject({ status: 'dead' });
  });

  it('at once when nothing is sent', async () => {
    expect(statuses(await publish('wait=30'))).toEqual([]);
    await tenant.endpoint({ url: receiver.url(), enabled: false });
    expect(statuses(await publish('wait=30'))).toEqual(['skipped']);
  });

  it('at once for an event that was published before', async () => {
    receiver.respond('/held', 503);
    await tenant.endpoint({ url: receiver.url('/held'), retry: later });
    const first = await publish('wait=25', { ...EVENT, id: 'mine' });
    const second = await publish('wait=25', { ...EVENT, id: 'mine' });
    expect(second.json).toEqual(first.json);
  });
});

it('is read among other preferences, in any case, and at most 30 s', async () => {
  for (const prefer of ['respond-async, wait=99', 'Wait = "30"', 'wait=30; x=y']) {
    expect((await publish(prefer)).headers.get('preference-applied')).toBe('wait=30');
  }
});

it('is ignored when it is not understood, and without it nothing is waited for', async () => {
  const { promise: slow, resolve: release } = Promise.withResolvers<number>();
  receiver.respond('/slow', () => slow);
  await tenant.endpoint({ url: receiver.url('/slow') });
  for (const prefer of ['respond-async', 'wait', 'wait=', 'wait=-1', 'wait=soon', 'await=5']) {
    const answer = await publish(prefer);
    expect([statuses(answer), answer.headers.get('preference-applied')]).toEqual([['pending'], null]);
  }
  release(200);
});

it('holds for a test delivery', async () => {
  const { id } = await tenant.endpoint({ url: receiver.url('/tested'), event_types: ['never'] });
  const test = { event_type: 'a', payload: 1 };
  const path = `${tenant.path}/endpoints/${id}/test`;
  const answer = await tenant.client.post(path, test, { prefer: 'wait=25' });
  expect(answer.json).toMatchObject({ status: 'delivered', attempt_count: 1, endpoint_id: id });
});

it('many can wait at a time, and a client that goes away disturbs nobody', async () => {
  const { promise: slow, resolve: release } = Promise.withResolvers<number>();
  receiver.respond('/slow', () => slow);
  await tenant.endpoint({ url: receiver.url('/slow') });
  const gone = new AbortController();
  const impatient = fetch(`${stack.api.url}${tenant.path}/events`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${stack.apiKey}`,
      'content-type': 'application/json',
      prefer: 'wait=25',
    },
    body: JSON.stringify(EVENT),
    signal: gone.signal,
  });
  const patient = Array.from({ length: 3 }, () => publish('wait=25'));
  await receiver.waitForRequests(4); // the lane's first window
  gone.abort();
  await expect(impatient).rejects.toThrow();
  release(200);
  for (const answer of await Promise.all(patient)) expect(statuses(answer)).toEqual(['delivered']);
});
