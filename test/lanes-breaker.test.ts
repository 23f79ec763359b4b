import { randomBytes } from 'node:crypto';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import {
  type AppProcess,
  Lane,
  type Loose,
  otherLaneMoves,
  payloadOf,
  type Response,
  type Stack,
  startStack,
  waitFor,
} from './harness/index.ts';
import { OtlpCollector } from './harness/otlp-collector.ts';

// These wait for 5 s of failures, some for the first probe after 30 s: so all run side by side, each on a lane of its own.
vi.setConfig({ maxConcurrency: 20 });

let stack: Stack;

let collector: OtlpCollector;

beforeAll(async () => {
  collector = await OtlpCollector.listen();
  stack = await startStack({
    env: {
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      OTEL_TRACES_SAMPLER: 'parentbased_always_off', // only what a producer has sampled
      OTEL_BSP_SCHEDULE_DELAY: '50',
    },
  });
});

/** Fails each attempt until the lane is closed, with everything in it. */
const failing = { strategy: 'schedule', schedule_seconds: [0.6], max_retries: 20 };

/** A lane whose receiver fails all that it gets, once the breaker has closed it over these deliveries. */
async function closedLane(
  count: number,
  { failure = 503 as Response, settings = {} }: { failure?: Response; settings?: object } = {},
): Promise<{ lane: Lane; ids: string[] }> {
  const lane = await Lane.open(stack, { retry: failing, ...settings });
  lane.receiver.respond(failure);
  const ids = await lane.sendMany(count);
  await lane.is({ state: 'closed' });
  await lane.is({ state: 'closed', queued: count, in_flight: 0 });
  return { lane, ids };
}

const attemptsOf = async (lane: Lane, ids: string[]): Promise<number[]> =>
  Promise.all(ids.map(async (id) => (await lane.tenant.delivery(id)).attempt_count));

describe.concurrent('a lane closes', () => {
  it.each([
    ['server errors', 503],
    ['connections that are cut', 'reset'],
  ] as [string, Response][])(
    'after 5 deliveries failed and none succeeded for 5 s: %s',
    async (_, failure) => {
      const { lane } = await closedLane(5, { failure });
      const { requests } = lane.receiver;
      // The failure that closed it came 5 s after the first one, or later.
      expect(requests.at(-1)!.at - requests[0]!.at).toBeGreaterThanOrEqual(4500);
      const posted = requests.length;
      const id = await lane.send('new');
      expect(await lane.tenant.delivery(id)).toMatchObject({ status: 'pending', attempt_count: 0 });
      await lane.is({ state: 'closed', queued: 6, in_flight: 0 });
      await otherLaneMoves(stack);
      expect(requests).toHaveLength(posted);
    },
  );

  it('after 5 deliveries that failed for good, without a retry; a probe of its last retry is told as what it is', async () => {
    const lane = await Lane.open(stack, { retry: { max_retries: 0 } });
    lane.receiver.respond(500);
    const [worker] = stack.workers as [AppProcess];
    const traceId = randomBytes(16).toString('hex');
    const traced = { traceparent: `00-${traceId}-00f067aa0ba902b7-01` };
    const sendTraced = async (payload: number) =>
      (await lane.tenant.publish({ type: lane.type, payload }, traced)).deliveries[0].id;
    let closed = false;
    const sending = (async () => {
      for (let n = 0; !closed; n++) {
        const failed = ({ status }: Loose) => status !== 'pending' || closed;
        await lane.tenant.until(await sendTraced(n), failed, 'fail');
      }
    })();
    await lane.is({ state: 'closed' }).finally(() => {
      closed = true;
    });
    await sending;
    const posted = lane.receiver.requests.length;
    expect(posted).toBeGreaterThanOrEqual(5);

    await sendTraced(-1); // there is something to probe with
    const attempts = () =>
      worker.logs.filter(({ msg, endpoint }) => msg === 'attempt' && endpoint === lane.id);
    await waitFor(() => attempts().length > posted, {
      describe: 'the probe to be logged',
    });
    const told = attempts().map(({ status, error }) => [status, error]);
    const dead = Array.from({ length: posted }, () => ['dead', 'http_status']);
    expect(told).toEqual([...dead, ['retrying', 'http_status']]);
    const spans = () => collector.trace(traceId).filter(({ name }) => name === 'POST webhook');
    await waitFor(() => spans().length > posted, { describe: 'the span of the probe' });
    expect(spans().map(({ attributes }) => attributes['sealpost.delivery.status'])).toEqual(
      told.map(([status]) => status),
    );
    const metrics = await (await fetch(`${worker.url}/metrics`)).text();
    expect(metrics).not.toMatch(/^sealpost_retries_total\{reason="retries_exhausted"/m);
  });

  it('not before 5 deliveries failed: one that fails again and again closes nothing', async () => {
    const lane = await Lane.open(stack, { retry: { ...failing, schedule_seconds: [0.3], max_retries: 30 } });
    lane.receiver.respond('/hook', (_, nth) => (nth <= 25 ? 500 : 200));
    const id = await lane.send('poison');
    await lane.countedWhileOpen('delivered', 1);
    expect(await lane.tenant.delivery(id)).toMatchObject({ attempt_count: 26 });
  });

  it('not over fewer than 5, however often these fail', async () => {
    const lane = await Lane.open(stack, { retry: { ...failing, schedule_seconds: [0.3], max_retries: 25 } });
    lane.receiver.respond(500);
    await lane.sendMany(4);
    await lane.countedWhileOpen('dead', 4);
    expect(lane.receiver.requests).toHaveLength(4 * 26);
  });

  it('not while others succeed between the failures of some', async () => {
    const lane = await Lane.open(stack, { retry: { ...failing, schedule_seconds: [0.3], max_retries: 25 } });
    const good: Promise<string>[] = [];
    lane.receiver.respond('/hook', (request, nth) => {
      if (payloadOf(request) === 'good') return 200;
      // So many that a starved machine has one within 5 s: after as long without, the lane would be closed rightly.
      if (nth % 3 === 0) good.push(lane.send('good'));
      return 500;
    });
    await lane.sendMany(8);
    await lane.countedWhileOpen('dead', 8);
    await lane.counted('delivered', (await Promise.all(good)).length);
    expect(good.length).toBeGreaterThan(10);
  });

  it('not over answers that blame the request: the receiver is well', async () => {
    const lane = await Lane.open(stack, { retry: { ...failing, schedule_seconds: [0.5], max_retries: 13 } });
    lane.receiver.respond(404);
    await lane.sendMany(6);
    await lane.countedWhileOpen('dead', 6);
  });
});

describe.concurrent('a closed lane', () => {
  it('is opened by another URL, and all that waited goes there, few at once', async () => {
    const { lane, ids } = await closedLane(8);
    const posted = lane.receiver.requests.length;
    await lane.sendMany(20, 8);
    lane.receiver.respond('/mended', lane.underWay.holding);
    await lane.patch({ url: lane.receiver.url('/mended') });
    await lane.receiver.waitForRequests(1, { path: '/mended' });
    await otherLaneMoves(stack);
    expect(lane.underWay.most).toBeLessThanOrEqual(4);
    lane.receiver.respond('/mended', 200);
    lane.underWay.release();
    await lane.counted('delivered', 28);
    expect(lane.receiver.to('/hook')).toHaveLength(posted);
    expect(lane.receiver.to('/mended')).toHaveLength(28);
    for (const id of ids) expect((await lane.tenant.delivery(id)).status).toBe('delivered');
    await lane.is({ state: 'open', queued: 0, in_flight: 0 });
  });

  it('is not opened by a change that says nothing of the receiver', async () => {
    const { lane } = await closedLane(5);
    const posted = lane.receiver.requests.length;
    await lane.patch({ description: 'the same receiver', max_concurrency: 10 });
    await otherLaneMoves(stack);
    await lane.is({ state: 'closed', queued: 5 });
    expect(lane.receiver.requests).toHaveLength(posted);
  });

  it('is opened by pause and resume', async () => {
    const { lane } = await closedLane(8);
    lane.receiver.respond(200);
    await lane.pause();
    await lane.resume();
    await lane.counted('delivered', 8);
    await lane.is({ state: 'open', queued: 0, in_flight: 0 });
  });

  it('holds up no other endpoint of its app', async () => {
    const { lane } = await closedLane(5);
    const other = await Lane.open(stack, {}, lane.tenant);
    await other.sendMany(20);
    await other.counted('delivered', 20);
  });

  it('is probed with one delivery after a while, which costs that one no retry', async () => {
    // Retries that end soon after the lane is opened by hand, before it could close again.
    const retry = { ...failing, schedule_seconds: [1.2], max_retries: 7 };
    const { lane, ids } = await closedLane(6, { settings: { retry } });
    const before = await attemptsOf(lane, ids);
    const posted = lane.receiver.requests.length;
    const failedLast = lane.receiver.requests.at(-1)!.at;
    await lane.receiver.waitForRequests(posted + 1);
    await lane.is({ state: 'closed', queued: 6, in_flight: 0 });
    expect(lane.receiver.requests[posted]!.at - failedLast).toBeGreaterThan(10_000); // 30 s, jittered
    const after = await attemptsOf(lane, ids);
    const probed = ids.filter((_, i) => after[i]! > before[i]!);
    expect([probed.length, lane.receiver.requests.length]).toEqual([1, posted + 1]);
    const shown: Loose = await lane.tenant.delivery(probed[0]!);
    expect(shown).toMatchObject({ status: 'retrying', ended_at: null });
    expect(shown.attempts.at(-1)).toMatchObject({ number: shown.attempt_count, status_code: 503 });

    // On a busy machine it may close again before that, and would wait for its next probe.
    const open = async () => {
      if ((await lane.state()).state === 'open') return;
      await lane.pause();
      await lane.resume();
    };
    await waitFor(async () => open().then(async () => (await lane.count('dead')) === 6), {
      describe: 'all to be dead',
    });
    for (const id of ids) {
      expect((await lane.tenant.delivery(id)).attempt_count).toBe(id === probed[0] ? 9 : 8);
    }
  });

  it('is opened by a probe that succeeds, and all that waited goes out', async () => {
    const { lane } = await closedLane(6);
    await lane.sendMany(14, 6);
    const posted = lane.receiver.requests.length;
    lane.receiver.respond(200);
    await lane.counted('delivered', 20);
    expect(lane.receiver.requests).toHaveLength(posted + 20);
    await lane.is({ state: 'open', queued: 0, in_flight: 0 });
  });
});

describe.concurrent('Retry-After', () => {
  it.each([429, 503])('with a %i holds the whole lane, and no other one', async (status) => {
    const lane = await Lane.open(stack, { max_concurrency: 4 });
    let until = 0;
    lane.receiver.respond('/hook', (_, nth) => {
      if (nth > 1) return 200;
      until = Date.now() + 15_000; // long enough for what follows on a busy machine; others of this file wait longer
      return { status, headers: { 'retry-after': '15' } };
    });
    const first = await lane.send('first');
    await lane.tenant.hasStatus(first, 'retrying');
    await otherLaneMoves(stack);
    expect(lane.receiver.requests).toHaveLength(1);
    await lane.sendMany(5);
    await lane.counted('delivered', 6);
    for (const { at } of lane.receiver.requests.slice(1)) expect(at).toBeGreaterThanOrEqual(until);
    expect(lane.receiver.requests).toHaveLength(7);
  });
});
