import { parseId } from '@sealpost/core';
import { beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  inTurn,
  type Loose,
  Receiver,
  type Stack,
  startStack,
  Tenant,
  verifySignature,
  waitFor,
} from './harness/index.ts';

// On one stack, and they wait most of the time.
vi.setConfig({ maxConcurrency: 5 });

let stack: Stack;
let receiver: Receiver;
let tenant: Tenant;

beforeAll(async () => {
  stack = await startStack();
  receiver = await Receiver.listen();
});

beforeEach(async () => {
  // Requests are told apart by path: some of these tests run side by side.
  tenant = await Tenant.create(stack.client);
});

/** Milliseconds between the arrivals at a path. */
function gaps(path: string): number[] {
  return receiver
    .to(path)
    .map(({ at }) => at)
    .flatMap((at, i, all) => (i === 0 ? [] : [at - all[i - 1]!]));
}

describe('the delay before a retry is at least the one configured', () => {
  const policies = {
    exponential: {
      retry: { strategy: 'exponential', base_seconds: 0.15, factor: 3, max_retries: 2 },
      atLeastMs: [150, 450],
    },
    // Without the cap, the third retry would come after 1,000 s.
    capped: {
      retry: { base_seconds: 0.1, factor: 100, max_delay_seconds: 0.25, max_retries: 3 },
      atLeastMs: [100, 250, 250],
    },
    linear: { retry: { strategy: 'linear', base_seconds: 0.15, max_retries: 3 }, atLeastMs: [150, 300, 450] },
    schedule: {
      retry: { strategy: 'schedule', schedule_seconds: [0.4, 0.05, 0.3] },
      atLeastMs: [400, 50, 300],
    },
    'schedule whose last entry repeats': {
      retry: { strategy: 'schedule', schedule_seconds: [0.05, 0.2], max_retries: 4 },
      atLeastMs: [50, 200, 200, 200],
    },
    'schedule of the app': { defaults: true, atLeastMs: [300, 100] },
  };

  it.concurrent.each(Object.entries(policies))('%s', async (name, { atLeastMs, ...policy }) => {
    const path = `/${name.replaceAll(' ', '-')}`;
    receiver.respond(path, 503);
    const defaults = { retry: { strategy: 'schedule', schedule_seconds: [0.3, 0.1] } };
    const own = await Tenant.create(stack.client, 'defaults' in policy ? { defaults } : {});
    await own.endpoint({ url: receiver.url(path), ...('retry' in policy ? { retry: policy.retry } : {}) });
    const delivery = await own.ended(await own.send());
    expect(delivery).toMatchObject({ status: 'dead', attempt_count: atLeastMs.length + 1 });
    const measured = gaps(path);
    expect(measured).toHaveLength(atLeastMs.length);
    for (const [i, ms] of atLeastMs.entries())
      expect(measured[i], `retry ${i + 1}`).toBeGreaterThanOrEqual(ms);
  });
});

describe('Retry-After', () => {
  it('in seconds lengthens the delay', async () => {
    receiver.respond('/seconds', inTurn({ status: 429, headers: { 'retry-after': '1' } }, 200));
    await tenant.endpoint({ url: receiver.url('/seconds'), retry: { base_seconds: 0.01 } });
    await tenant.ended(await tenant.send());
    expect(gaps('/seconds')[0]).toBeGreaterThanOrEqual(1000);
  });

  it('as a date lengthens the delay', async () => {
    let date = '';
    receiver.respond('/date', (_, nth) => {
      date ||= new Date(Date.now() + 2000).toUTCString();
      return nth === 1 ? { status: 503, headers: { 'retry-after': date } } : 200;
    });
    await tenant.endpoint({ url: receiver.url('/date'), retry: { base_seconds: 0.01 } });
    await tenant.ended(await tenant.send());
    expect(receiver.to('/date')[1]!.at).toBeGreaterThanOrEqual(Date.parse(date));
  });

  it('does not shorten it, and is no reason to fail when it is malformed', async () => {
    const answers = ['0', 'soon', '-1'].map((value) => ({ status: 503, headers: { 'retry-after': value } }));
    receiver.respond('/short', inTurn(answers[0]!, answers[1]!, answers[2]!, 200));
    const retry = { strategy: 'linear', base_seconds: 0.1 };
    await tenant.endpoint({ url: receiver.url('/short'), retry });
    expect(await tenant.ended(await tenant.send())).toMatchObject({ status: 'delivered', attempt_count: 4 });
    for (const [i, gap] of gaps('/short').entries()) expect(gap).toBeGreaterThanOrEqual(100 * (i + 1));
  });

  it('counts for 24 hours at most', async () => {
    receiver.respond('/long', { status: 503, headers: { 'retry-after': '999999999' } });
    await tenant.endpoint({ url: receiver.url('/long') });
    const delivery = await tenant.hasStatus(await tenant.send(), 'retrying');
    const [attempt] = delivery.attempts;
    const settled = Date.parse(attempt.started_at) + attempt.duration_ms;
    const hours = (Date.parse(delivery.next_attempt_at) - settled) / 3_600_000;
    expect(hours).toBeCloseTo(24, 1);
  });
});

describe('what is retried', () => {
  it('under transient: a 400 is dead at once, a 503 is retried', async () => {
    const retry = { base_seconds: 0.01, retry_on: 'transient' };
    await tenant.endpoint({ url: receiver.url('/transient'), retry });
    receiver.respond('/transient', 400);
    expect(await tenant.ended(await tenant.send())).toMatchObject({
      status: 'dead',
      reason: 'http_status',
      attempt_count: 1,
      last_status_code: 400,
    });
    receiver.clear();
    receiver.respond('/transient', inTurn(503, 429, 408, 200));
    expect(await tenant.ended(await tenant.send())).toMatchObject({ status: 'delivered', attempt_count: 4 });
  });

  it('under non_2xx, the default: a 400 too', async () => {
    receiver.respond('/any', inTurn(400, 404, 200));
    await tenant.endpoint({ url: receiver.url('/any'), retry: { base_seconds: 0.01 } });
    expect(await tenant.ended(await tenant.send())).toMatchObject({ status: 'delivered', attempt_count: 3 });
  });
});

it('a retry is the same event, signed anew', async () => {
  receiver.respond('/again', inTurn({ status: 503, headers: { 'retry-after': '1' } }, 200));
  const endpoint = await tenant.endpoint({ url: receiver.url('/again') });
  await tenant.send();
  const [first, second] = await receiver.waitForRequests(2, { path: '/again' });
  expect(second!.text).toBe(first!.text);
  expect(second!.headers['webhook-id']).toBe(first!.headers['webhook-id']);
  const times = [first, second].map((request) => Number(request!.headers['webhook-timestamp']));
  expect(times[1]).toBeGreaterThan(times[0]!);
  verifySignature(second!, endpoint.secret);
});

it('after the last retry a delivery is dead, and its attempts tell why', async () => {
  receiver.respond('/dead', (_, nth) => ({
    status: 500 + nth,
    body: `no ${nth}`,
    headers: { 'x-n': `${nth}` },
  }));
  await tenant.endpoint({ url: receiver.url('/dead'), retry: { base_seconds: 0.01, max_retries: 2 } });
  const delivery = await tenant.ended(await tenant.send());
  expect(delivery).toMatchObject({
    status: 'dead',
    reason: 'retries_exhausted',
    attempt_count: 3,
    last_status_code: 503,
    next_attempt_at: null,
  });
  expect(delivery.attempts).toMatchObject(
    [1, 2, 3].map((n) => ({
      number: n,
      status_code: 500 + n,
      error: 'http_status',
      response: { body: `no ${n}`, headers: { 'x-n': `${n}` }, truncated: false },
    })),
  );
  const starts = delivery.attempts.map((attempt: { started_at: string }) => attempt.started_at);
  expect(starts).toEqual([...starts].sort());
  expect(receiver.to('/dead')).toHaveLength(3);
});

it('max_retries 0 is one attempt', async () => {
  receiver.respond('/once', 500);
  await tenant.endpoint({ url: receiver.url('/once'), retry: { max_retries: 0 } });
  expect(await tenant.ended(await tenant.send())).toMatchObject({ status: 'dead', attempt_count: 1 });
});

describe('a 410', () => {
  it('is dead and disables the endpoint, whose backlog waits until it is enabled again', async () => {
    receiver.respond('/gone', inTurn(500, 410));
    const retry = { strategy: 'schedule', schedule_seconds: [4], max_retries: 5 };
    const { id } = await tenant.endpoint({ url: receiver.url('/gone'), retry });
    const backlog = await tenant.send();
    await tenant.hasStatus(backlog, 'retrying');
    expect(await tenant.ended(await tenant.send())).toMatchObject({
      status: 'dead',
      reason: 'http_status',
      attempt_count: 1,
    });
    expect((await tenant.get(`/endpoints/${id}`)).json.enabled).toBe(false);
    expect((await tenant.publish({ type: 'a', payload: 1 })).deliveries[0].status).toBe('skipped');

    const lane = `{sp:0}:lane:${parseId('ep', id)!.number}`;
    await waitFor(() => stack.redis.client.hget(lane, 'q'), { describe: 'the retry to be held in its lane' });
    expect(receiver.to('/gone')).toHaveLength(2);
    expect(await tenant.delivery(backlog)).toMatchObject({ status: 'retrying', attempt_count: 1 });

    receiver.respond('/gone', 200);
    const enabled = await tenant.client.patch(`${tenant.path}/endpoints/${id}`, { enabled: true });
    expect(enabled.json.enabled, enabled.text).toBe(true);
    expect(await tenant.ended(backlog)).toMatchObject({ status: 'delivered', attempt_count: 2 });
    expect(receiver.to('/gone')).toHaveLength(3);
    expect(await tenant.ended(await tenant.send())).toMatchObject({ status: 'delivered' });
  });

  it('does not disable what other endpoints of the app get', async () => {
    receiver.respond('/one', 410);
    const gone = await tenant.endpoint({ url: receiver.url('/one') });
    const other = await tenant.endpoint({ url: receiver.url('/two') });
    const first = await tenant.publish({ type: 'a', payload: 1 });
    for (const { id } of first.deliveries) await tenant.ended(id);
    const second = await tenant.publish({ type: 'a', payload: 1 });
    const to = (endpoint: Loose) => second.deliveries.find((d: Loose) => d.endpoint_id === endpoint.id);
    expect(await tenant.ended(to(other).id)).toMatchObject({ status: 'delivered' });
    expect(to(gone).status).toBe('skipped');
  });
});
