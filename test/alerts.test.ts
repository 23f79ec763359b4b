import { setTimeout as delay } from 'node:timers/promises';
import { parseId } from '@sealpost/core';
import { FLAG } from '@sealpost/queue';
import { beforeAll, describe, expect, it } from 'vitest';
import { floodLanes, haveWaited } from './deploy/conditions.ts';
import { queries, rules } from './deploy/expressions.ts';
import { hasPrometheus, TestPrometheus } from './deploy/prometheus.ts';
import {
  type AppProcess,
  jobCounts,
  Receiver,
  type Stack,
  startStack,
  Tenant,
  waitFor,
} from './harness/index.ts';

/** Alerts on time that passes: on a busy machine they may well be right. */
const ON_SPEED = ['SealpostFirstAttemptSlow', 'SealpostEventLoopLag', 'SealpostRedisSlow'];
const EVENT = { type: 'order.created', payload: { n: 1 } };
const FAILING = 12;
const SLOTS = 50;
const HOUR_MS = 3_600_000;
/** Never ends in time, whatever the machine. */
const ENDLESS = 'payload.map(a, payload.map(b, payload.map(c, payload.map(d, payload.map(e, e)))))';

/**
 * What each alert is there for, brought about on the processes themselves, but for how long it has lasted: the shipped rules wait
 * for minutes, which deploy/prometheus/alerts.test.yml has pass. Each test goes on where the one before ended.
 */
describe.skipIf(!hasPrometheus)('alerts of a real Prometheus, which is skipped where there is none', () => {
  let stack: Stack;
  let worker: AppProcess;
  let receiver: Receiver;
  let good: Tenant;
  let bad: Tenant;
  let prometheus: TestPrometheus;

  beforeAll(async () => {
    stack = await startStack({ redis: { maxmemory: '512mb' }, env: { WORKER_CONCURRENCY: String(SLOTS) } });
    [worker] = stack.workers as [AppProcess];
    receiver = await Receiver.listen({ host: '0.0.0.0' });
    receiver.respond('/bad', 500);
    receiver.respond('/hangs', 'hang');
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

  it('fire for what is wrong with receivers, expressions and lanes', async () => {
    const failing = [
      'SealpostSuccessLow',
      'SealpostDeadRateHigh',
      'SealpostLaneClosed',
      'SealpostManyLanesClosed',
    ];
    const [hanging, endless, held] = (await Promise.all(
      [1, 2, 3].map(() => Tenant.create(stack.client)),
    )) as [Tenant, Tenant, Tenant];
    const publishBad = async () => {
      await bad.publish(EVENT);
      await delay(300); // a failure now and then, as they come: a lane closes after 5 s of them
    };
    const killing = async () => {
      const list = Array.from({ length: 100 }, (_, i) => i);
      const transforms = Array.from({ length: 8 }, () =>
        endless.endpoint({ url: receiver.url('/good'), transform: ENDLESS }),
      );
      await Promise.all(transforms);
      for (let i = 0; i < 2; i++) await endless.publish({ type: 'endless', payload: list });
      await prometheus.untilFiring(['SealpostExpressionsKilled']);
    };
    const detaching = async () => {
      await floodLanes(hanging, receiver, '/hangs', 950, 2);
      await prometheus.untilFiring(['SealpostDetachedFull']);
      await stack.client.delete(hanging.path);
    };
    const holding = async () => {
      const { id, number } = await endpointOf(held, receiver.url('/good'));
      await stack.client.post(`${held.path}/endpoints/${id}/pause`);
      await held.send();
      const changed = await haveWaited(stack, 49 * HOUR_MS, ({ endpoint }) => endpoint === number);
      expect(changed).toBe(1);
      await prometheus.untilFiring(['SealpostHeldForLong']);
    };
    await Promise.all([prometheus.untilFiring(failing, publishBad), killing(), detaching(), holding()]);
  });

  it('fire when there is more to send than is sent, and when the last worker is killed', async () => {
    const flooding = await Tenant.create(stack.client);
    await floodLanes(flooding, receiver, '/hangs', 500);
    await waitFor(
      async () => {
        const { wait, active } = await jobCounts(stack);
        return wait + active > 1.8 * SLOTS;
      },
      { describe: 'all slots to be taken' },
    );
    worker.freeze(); // and so it stays
    // A worker that has said nothing for 10 s has no slots that could be taken.
    await prometheus.untilFiring(['SealpostWorkersSaturated']);
    await haveWaited(stack, 120_000, ({ endpoint, flags }) => endpoint === 0 && (flags & FLAG.waiting) > 0);
    await prometheus.untilFiring(['SealpostReadyWorkWaits']);
    await worker.kill();
    await prometheus.untilFiring(['SealpostScrapeFails', 'SealpostNoWorker']);
    await stack.client.delete(flooding.path);
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

  it('fire when a process or Redis is held up', async () => {
    await prometheus.untilFiring(['SealpostEventLoopLag'], async () => {
      stack.api.freeze();
      await delay(400);
      stack.api.thaw();
      await delay(600);
    });
    stack.redis.freeze();
    await prometheus.untilFiring(['SealpostRedisSlow']);
    stack.redis.thaw();
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
    worker = await stack.addWorker({ HEALTH_PORT: new URL(worker.url).port, WORKER_PROCESSES: '2' });
    await prometheus.untilFiring(['SealpostOutboxStuck', 'SealpostNoApi']);
  });

  it('fire when one of several processes dies again and again', async () => {
    const killed = new Set<number>();
    await prometheus.untilFiring(['SealpostProcessDies'], async () => {
      const started = worker.logs
        .filter(({ msg }) => msg === 'process started')
        .map(({ child }) => Number(child));
      const alive = started.find((pid) => !killed.has(pid));
      if (alive !== undefined) process.kill(alive, 'SIGKILL');
      if (alive !== undefined) killed.add(alive);
      await delay(500);
    });
  });

  it('are all seen to fire', () => {
    expect([...prometheus.seen].sort()).toEqual(rules.flatMap(({ alert }) => alert ?? []).sort());
  });
});

async function endpointOf(tenant: Tenant, url: string): Promise<{ id: string; number: number }> {
  const { id } = await tenant.endpoint({ url });
  return { id, number: parseId('ep', id)!.number };
}

function hostOf(app: AppProcess): string {
  return new URL(app.url).host;
}
