import { describe, expect, it } from 'vitest';
import {
  type AppProcess,
  childrenOf,
  Receiver,
  type Stack,
  startStack,
  Tenant,
  untilAllReady,
  waitFor,
} from './harness/index.ts';
import { OtlpCollector } from './harness/otlp-collector.ts';
import { amountOf, type Family, promtool, readMetrics } from './harness/prometheus-text.ts';

type Families = Map<string, Family>;
const ENDED = { status: 'delivered', reason: 'none' };
const PUBLISHED = { route: '/v1/apps/:app/events', status: '202' };
const EVENT = { type: 'a.b', payload: 1 };

/** As Prometheus may come: each time by a connection of its own, which any process may get. */
async function read(app: AppProcess, stack: Stack): Promise<Families> {
  const headers = { authorization: `Bearer ${stack.apiKey}`, connection: 'close' };
  const answer = await fetch(`${app.url}/metrics`, { headers });
  expect(answer.status).toBe(200);
  return readMetrics(await answer.text());
}

/** As `read`, once so many processes have answered: a starved one may be too late for who asks. */
async function readOf(processes: number, app: AppProcess, stack: Stack): Promise<Families> {
  const all = async () => {
    const families = await read(app, stack);
    return amountOf(families, 'sealpost_processes') === processes && families;
  };
  return waitFor(all, { describe: `metrics of ${processes} processes` });
}

/** All series of counters, and histograms' counts, sums and buckets. */
function counted(families: Families): Map<string, number> {
  const all = [...families.values()].filter(({ type }) => type !== 'gauge').flatMap(({ samples }) => samples);
  return new Map(
    all.map(({ name, labels, value }) => [JSON.stringify([name, Object.entries(labels).sort()]), value]),
  );
}

/** What has become less, or is gone: Prometheus would take it for a restart, and count all of it again. */
function lessIn(later: Families, earlier: Families): string[] {
  const now = counted(later);
  return [...counted(earlier)]
    .filter(([series, value]) => !((now.get(series) ?? -1) >= value))
    .map(([s]) => s);
}

const killed = (app: AppProcess, pid: number) => {
  process.kill(pid, 'SIGKILL');
  return waitFor(
    () => app.logs.some(({ msg, child }) => msg?.startsWith('a process died') && child === pid),
    {
      describe: 'its death to be seen',
    },
  );
};

describe('metrics of several processes', () => {
  it('workers: counters are added up and never get less, also when one dies; what is told of Redis is told once', async () => {
    const stack = await startStack({ workerEnv: { WORKER_PROCESSES: '2', WORKER_CONCURRENCY: '5' } });
    const worker = stack.workers[0]!;
    await untilAllReady(worker, 'all workers ready');
    const receiver = await Receiver.listen();
    const tenant = await Tenant.create(stack.client);
    await tenant.endpoint({ url: receiver.url('/hook') });
    const deliver = async (count: number) => {
      const ids = await Promise.all(Array.from({ length: count }, () => tenant.send()));
      for (const id of ids) await tenant.ended(id);
    };
    const atWork = () =>
      new Set(worker.logs.flatMap(({ msg, process }) => (msg === 'attempt' ? [process] : [])));
    let sent = 0;
    for (; atWork().size < 2; sent += 10) await deliver(10);
    const first = await readOf(2, worker, stack);
    await promtool(await (await fetch(`${worker.url}/metrics`)).text());
    expect(amountOf(first, 'sealpost_deliveries_total', ENDED)).toBe(sent);
    expect(amountOf(first, 'sealpost_attempt_duration_seconds')).toBe(sent);
    expect(first.get('sealpost_worker_slots')!.samples.map(({ value }) => value)).toEqual([10]);
    expect(amountOf(first, 'sealpost_up_ready')).toBe(1);

    await killed(worker, childrenOf(worker)[0]!);
    const second = await read(worker, stack);
    expect(lessIn(second, first)).toEqual([]);
    expect(amountOf(second, 'sealpost_deliveries_total', ENDED)).toBe(sent);
    expect(amountOf(second, 'sealpost_process_deaths_total')).toBe(1);
    expect(amountOf(second, 'sealpost_up_ready')).toBe(1);

    const again = () => worker.logs.filter(({ msg }) => msg === 'worker ready').length === 3;
    await waitFor(again, { describe: 'it to be started again' });
    await deliver(10);
    const third = await readOf(2, worker, stack);
    expect(lessIn(third, second)).toEqual([]);
    expect(amountOf(third, 'sealpost_deliveries_total', ENDED)).toBe(sent + 10);

    const stopped = childrenOf(worker).at(-1)!;
    process.kill(stopped, 'SIGSTOP');
    const fourth = await readOf(1, worker, stack);
    process.kill(stopped, 'SIGCONT');
    expect(lessIn(fourth, third)).toEqual([]);
    expect(amountOf(fourth, 'sealpost_up_ready')).toBe(0);
  });

  it('APIs: whichever is asked tells of all, and a restart takes nothing away', async () => {
    const stack = await startStack({ workers: 0, apiEnv: { API_PROCESSES: '2' } });
    const { api } = stack;
    await untilAllReady(api, 'all apis ready');
    const publish = () =>
      fetch(`${api.url}/v1/apps/default/events`, {
        method: 'POST',
        headers: {
          authorization: `Bearer ${stack.apiKey}`,
          'content-type': 'application/json',
          connection: 'close',
        },
        body: JSON.stringify(EVENT),
      });
    const publishers = () =>
      new Set(
        api.logs.filter(({ msg, status }) => msg === 'request' && status === 202).map((l) => l.process),
      );
    let published = 0;
    for (; published < 10 || publishers().size < 2; published++) expect((await publish()).status).toBe(202);
    const reads: Families[] = [];
    for (let i = 0; i < 12; i++) reads.push(await readOf(2, api, stack));
    for (const [i, families] of reads.entries()) {
      expect(amountOf(families, 'sealpost_events_accepted_total')).toBe(published);
      expect(amountOf(families, 'sealpost_http_request_duration_seconds', PUBLISHED)).toBe(published);
      expect(families.get('sealpost_redis_memory_used_bytes')!.samples).toHaveLength(1);
      if (i > 0) expect(lessIn(families, reads[i - 1]!)).toEqual([]);
    }
    await killed(api, childrenOf(api)[1]!);
    const after = await read(api, stack);
    expect(lessIn(after, reads.at(-1)!)).toEqual([]);
    expect((await publish()).status).toBe(202);
    expect(amountOf(await read(api, stack), 'sealpost_events_accepted_total')).toBe(published + 1);
  });

  it('by OTLP each process tells its own, under its own name also where one is given', async () => {
    const collector = await OtlpCollector.listen();
    const stack = await startStack({
      workerEnv: {
        WORKER_PROCESSES: '2',
        OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
        OTEL_METRIC_EXPORT_INTERVAL: '200',
        OTEL_RESOURCE_ATTRIBUTES: 'service.instance.id=pod-a',
      },
    });
    await untilAllReady(stack.workers[0]!, 'all workers ready');
    const instances = () => collector.metrics.get('sealpost_processes')?.map(({ instance }) => instance);
    await waitFor(() => instances()?.length === 2, { describe: 'metrics of both' });
    expect(new Set(instances())).toEqual(new Set(['pod-a-1', 'pod-a-2']));
  });
});
