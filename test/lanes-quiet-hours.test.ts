import { beforeAll, describe, expect, it, vi } from 'vitest';
import { jobsGone, jobsWaiting, Lane, otherLaneMoves, type Stack, startStack } from './harness/index.ts';

// On one stack, and they wait most of the time.
vi.setConfig({ maxConcurrency: 5 });

let stack: Stack;

beforeAll(async () => {
  stack = await startStack({ workers: 2 });
});

/** The hour that it is now in a zone. */
function hourIn(timezone: string): number {
  const parts = new Intl.DateTimeFormat('en', { timeZone: timezone, hour: 'numeric', hourCycle: 'h23' });
  return Number(parts.format(Date.now()));
}

/** Two hours each, so that the turn of the hour while a test runs changes nothing. */
function hoursFrom(ahead: number, timezone: string) {
  const start = (hourIn(timezone) + ahead) % 24;
  return { start_hour: start, end_hour: (start + 2) % 24, timezone };
}
const now = (timezone = 'UTC') => hoursFrom(0, timezone);
const later = (timezone = 'UTC') => hoursFrom(4, timezone);

describe.concurrent('quiet hours', () => {
  it('hold what comes, until they are taken away', async () => {
    const lane = await Lane.open(stack, { quiet_hours: now() });
    await lane.sendMany(5);
    await lane.is({ queued: 5, in_flight: 0 });
    await otherLaneMoves(stack);
    expect([lane.receiver.requests.length, await lane.count('pending')]).toEqual([0, 5]);
    await lane.patch({ quiet_hours: null });
    await lane.counted('delivered', 5);
    expect(lane.receiver.requests).toHaveLength(5);
  });

  it('that are moved elsewhere let out what they held', async () => {
    const lane = await Lane.open(stack, { quiet_hours: now() });
    await lane.sendMany(2);
    await lane.patch({ quiet_hours: later() });
    await lane.counted('delivered', 2);
  });

  it('that are not now hold nothing', async () => {
    const lane = await Lane.open(stack, { quiet_hours: later() });
    await lane.sendMany(5);
    await lane.counted('delivered', 5);
  });

  it('given to an endpoint hold what comes from then on, also a retry', async () => {
    const retry = { strategy: 'schedule', schedule_seconds: [3], max_retries: 5 };
    const lane = await Lane.open(stack, { retry });
    lane.receiver.respond(500);
    const id = await lane.send('fails');
    await lane.tenant.hasStatus(id, 'retrying');
    await lane.patch({ quiet_hours: now() });
    lane.receiver.respond(200);
    await lane.send('new');
    await lane.is({ queued: 2, in_flight: 0 });
    const before = lane.receiver.requests.length; // 1, or more on a very slow machine
    await otherLaneMoves(stack);
    expect(lane.receiver.requests).toHaveLength(before);
    expect(lane.arrived).not.toContain('new');
    await lane.patch({ quiet_hours: null });
    await lane.counted('delivered', 2);
    expect(lane.receiver.requests).toHaveLength(before + 2);
  });

  it.each(['Asia/Tokyo', 'America/St_Johns'])('are those of the time zone: %s', async (timezone) => {
    const [quiet, elsewhere] = await Promise.all([
      Lane.open(stack, { quiet_hours: now(timezone) }),
      Lane.open(stack, { quiet_hours: { ...now(timezone), timezone: 'UTC' } }),
    ]);
    for (const lane of [quiet, elsewhere]) await lane.send('here or there');
    await elsewhere.counted('delivered', 1);
    await quiet.is({ queued: 1, in_flight: 0 });
    await otherLaneMoves(stack);
    expect(quiet.receiver.requests).toHaveLength(0);
  });

  it('with during: skip skip what comes, with a reason', async () => {
    const lane = await Lane.open(stack, { quiet_hours: { ...now(), during: 'skip' } });
    const id = await lane.send('quiet');
    expect(await lane.tenant.hasStatus(id, 'skipped')).toMatchObject({
      reason: 'quiet_hours',
      attempt_count: 0,
    });
    await lane.patch({ quiet_hours: { ...later(), during: 'skip' } });
    await lane.tenant.hasStatus(await lane.send('loud'), 'delivered');
    expect(await lane.tenant.delivery(id)).toMatchObject({ status: 'skipped' });
    expect(lane.arrived).toEqual(['loud']);
  });
});

it('quiet hours hold across workers that come and go', async () => {
  const lane = await Lane.open(stack, { quiet_hours: now() });
  await lane.sendMany(3);
  const worker = await stack.addWorker();
  await lane.is({ queued: 3, in_flight: 0 });
  for (const old of stack.workers.splice(0)) await old.kill();
  await otherLaneMoves(stack);
  expect(lane.receiver.requests).toHaveLength(0);
  await worker.kill();
  stack.workers.push(await stack.addWorker());
  await otherLaneMoves(stack);
  expect(lane.receiver.requests).toHaveLength(0);
  await lane.patch({ quiet_hours: null });
  await lane.counted('delivered', 3);
});

describe('quiet hours that come while BullMQ has jobs already', () => {
  it.each([
    ['hold', 'pending'],
    ['skip', 'skipped'],
  ])('%s these', async (during, status) => {
    const lane = await Lane.open(stack);
    for (const worker of stack.workers) worker.freeze();
    try {
      await lane.sendEach(3);
      await jobsWaiting(stack, 3);
      await lane.patch({ quiet_hours: { ...now(), during } });
    } finally {
      for (const worker of stack.workers) worker.thaw();
    }
    await jobsGone(stack);
    await otherLaneMoves(stack);
    expect(await lane.count(status)).toBe(3);
    expect(lane.receiver.requests).toHaveLength(0);
    await lane.patch({ quiet_hours: null });
    await lane.counted(during === 'hold' ? 'delivered' : 'skipped', 3);
  });
});
