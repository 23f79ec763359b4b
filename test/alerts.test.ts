import { setTimeout as delay } from 'node:timers/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import { queries } from './deploy/expressions.ts';
import { hasPrometheus, TestPrometheus } from './deploy/prometheus.ts';
import { type AppProcess, Receiver, type Stack, startStack, Tenant, waitFor } from './harness/index.ts';

/** Alerts on time that passes: on a busy machine they may well be right. */
const ON_SPEED = ['SealpostFirstAttemptSlow', 'SealpostEventLoopLag', 'SealpostRedisSlow'];
const EVENT = { type: 'order.created', payload: { n: 1 } };
const FAILING = 12;

/**
 * What can be brought about within seconds, on the processes themselves; every alert fires in
 * deploy/prometheus/alerts.test.yml. Each test goes on where the one before ended.
 */
describe.skipIf(!hasPrometheus)('alerts of a real Prometheus, which is skipped where there is none', () => {
  let stack: Stack;
  let worker: AppProcess;
  let receiver: Receiver;
  let good: Tenant;
  let bad: Tenant;
  let prometheus: TestPrometheus;

  beforeAll(async () => {
    stack = await startStack({ redis: { maxmemory: '512mb' } });
    [worker] = stack.workers as [AppProcess];
    receiver = await Receiver.listen();
    receiver.respond('/bad', 500);
    good = await Tenant.create(stack.client);
    await good.endpoint({ url: receiver.url('/good') });
    bad = await Tenant.create(stack.client);
    const retry = { max_retries: 0 };
    for (let i = 0; i < FAILING; i++) await bad.endpoint({ url: receiver.url('/bad'), retry });
    const targets = { 'sealpost-api': [hostOf(stack.api)], 'sealpost-worker': [hostOf(worker)] };
    prometheus = await TestPrometheus.start(targets, stack.apiKey);
  });

  it('are silent while all is well', async () => {
    for (let i = 0; i < 10; i++) await good.send();
    await waitFor(
      async () => (await prometheus.value('sum(sealpost_deliveries_total{status="delivered"})')) === 10,
      {
        describe: 'Prometheus to have seen the deliveries of the worker',
      },
    );
    await waitFor(async () => (await prometheus.firing()).every((name) => ON_SPEED.includes(name)), {
      describe: 'no alert to fire',
    });
    expect(await prometheus.value('count(up{job=~"sealpost-.*"} == 1)')).toBe(2);
  });

  it('and the dashboard gets an answer to each of its questions', async () => {
    // It rejects what Prometheus refuses.
    await Promise.all(queries.map(({ expr }) => prometheus.value(expr)));
  });

  it('fire when endpoints fail, together and until their lanes close', async () => {
    const expected = [
      'SealpostSuccessLow',
      'SealpostDeadRateHigh',
      'SealpostLaneClosed',
      'SealpostManyLanesClosed',
    ];
    await prometheus.untilFiring(expected, async () => {
      await bad.publish(EVENT);
      await delay(300); // a failure now and then, as they come: a lane closes after 5 s of them
    });
  });

  it('fire when the last worker is killed', async () => {
    await worker.kill();
    await prometheus.untilFiring(['SealpostScrapeFails', 'SealpostNoWorker']);
  });

  it('fire when events had to wait for a worker', async () => {
    for (let i = 0; i < 30; i++) await good.send();
    await delay(1000); // longer than what is promised
    worker = await stack.addWorker({ HEALTH_PORT: new URL(worker.url).port });
    await prometheus.untilFiring(['SealpostFirstAttemptSlow']);
    await waitFor(async () => !(await prometheus.firing()).includes('SealpostNoWorker'), {
      describe: 'the new worker to be seen',
    });
  });

  it('fire when Redis fills, and when nobody keeps it from that', async () => {
    const limitAt = async (share: number) => {
      const used = Number(/used_memory:(\d+)/.exec(await stack.redis.client.info('memory'))?.[1]);
      await stack.redis.client.config('SET', 'maxmemory', String(Math.floor(used / share)));
    };
    await limitAt(0.8);
    await prometheus.untilFiring(['SealpostRedisMemoryHigh']);
    await limitAt(0.92);
    const publish = () => stack.client.post(`${good.path}/events`, EVENT);
    await prometheus.untilFiring(
      ['SealpostRedisMemoryFull', 'SealpostPublishRefused', 'SealpostApiErrors'],
      publish,
    );
    await stack.redis.client.config('SET', 'maxmemory', '0');
    await prometheus.untilFiring(['SealpostRedisMemoryUnlimited']);
  });

  it('fire when Redis refuses to write', async () => {
    await stack.redis.client.config('SET', 'maxmemory', '1');
    await prometheus.untilFiring(['SealpostNotReady', 'SealpostNoApi']);
    await stack.redis.client.config('SET', 'maxmemory', '0');
    await waitFor(async () => !(await prometheus.firing()).includes('SealpostNoApi'), {
      describe: 'the API to be ready again',
    });
  });

  it('fire when no API takes operational events away', async () => {
    await worker.stop();
    const dying = await Tenant.create(stack.client);
    receiver.respond('/refuses', 400);
    await dying.endpoint({ url: receiver.url('/refuses'), retry: { max_retries: 0 } });
    const events = Array.from({ length: 150 }, () => EVENT);
    // The API looks at Redis' memory once a second, and may still think that it is full.
    await waitFor(
      async () => (await stack.client.post(`${dying.path}/events/batch`, { events })).status < 300,
      {
        describe: 'events to be taken again',
      },
    );
    await stack.api.kill();
    worker = await stack.addWorker({ HEALTH_PORT: new URL(worker.url).port });
    await prometheus.untilFiring(['SealpostOutboxStuck', 'SealpostNoApi']);
  });
});

function hostOf(app: AppProcess): string {
  return new URL(app.url).host;
}
