import { monitorEventLoopDelay } from 'node:perf_hooks';
import {
  Counter,
  collectDefaultMetrics,
  Gauge,
  Histogram,
  type MetricObjectWithValues,
  type MetricValue,
  Registry,
} from 'prom-client';
import {
  METRICS,
  type MetricKey,
  type MetricSpec,
  OF_PARENT,
  PROCESS_PREFIX,
  type Role,
  type Together,
} from './metrics.ts';

/** How finely delays of the event loop are measured, ms. */
const LAG_RESOLUTION_MS = 50;
const NS_PER_S = 1e9;

type InstrumentOf<K extends MetricKey> = (typeof METRICS)[K]['type'] extends 'counter'
  ? Counter<(typeof METRICS)[K]['labels'][number]>
  : (typeof METRICS)[K]['type'] extends 'gauge'
    ? Gauge<(typeof METRICS)[K]['labels'][number]>
    : Histogram<(typeof METRICS)[K]['labels'][number]>;
type KeysOf<R extends Role> = {
  [K in MetricKey]: R extends (typeof METRICS)[K]['of'][number] ? K : never;
}[MetricKey];
export type Instruments<R extends Role> = { [K in KeysOf<R>]: InstrumentOf<K> };

/** All metrics and their values at one time. */
export type Snapshot = MetricObjectWithValues<MetricValue<string>>[];

/** The instruments of one process, and what reads them. */
export type Metrics<R extends Role> = {
  instruments: Instruments<R>;
  registry: Registry;
  /** Called before the metrics are read, so that gauges can be set. Must neither throw nor last. */
  beforeRead(refresh: () => Promise<void>): void;
  /** Does so. */
  refresh(): Promise<void>;
  /** In Prometheus' text format, version 0.0.4. */
  text(): Promise<string>;
  /** For adding up with those of other processes. */
  snapshot(): Promise<Snapshot>;
};

/** Makes the metrics of an API or a worker: those of `METRICS` that it has, and those of its process. */
export function createMetrics<R extends Role>(role: R): Metrics<R> {
  const specs = Object.entries<MetricSpec>(METRICS).filter(([, spec]) => spec.of.includes(role));
  const metrics = create(specs);
  metrics.instruments.processes.set(1);
  return metrics as unknown as Metrics<R>;
}

/** What the parent of several processes tells of itself. */
export type ParentMetrics = Omit<Metrics<Role>, 'instruments'> & {
  instruments: Pick<Instruments<Role>, (typeof OF_PARENT)[number]>;
};

export function createParentMetrics(): ParentMetrics {
  return create(OF_PARENT.map((key) => [key, METRICS[key]]));
}

function create(specs: [key: string, spec: MetricSpec][]): Metrics<Role> {
  const registry = new Registry();
  const refreshers: (() => Promise<void>)[] = [];
  const instruments = {} as Record<string, unknown>;
  for (const [key, spec] of specs) instruments[key] = createInstrument(spec, registry);
  collectProcessMetrics(registry);
  const refresh = async () => {
    await Promise.all(refreshers.map((refresher) => refresher()));
  };
  const metrics: Metrics<Role> = {
    instruments: instruments as Instruments<Role>,
    registry,
    beforeRead: (refresher) => void refreshers.push(refresher),
    refresh,
    text: async () => {
      await refresh();
      return registry.metrics();
    },
    snapshot: async () => {
      await refresh();
      return (await registry.getMetricsAsJSON()) as Snapshot;
    },
  };
  metrics.beforeRead(lagReader(instruments.eventLoopLag as Gauge));
  return metrics;
}

/** Its own look at the event loop, which ours replaces, hardly ever runs so, ms: an idle process should do nothing. */
const UNUSED_LAG_MS = 10_000;

/** Where it is not the sum: the service began with its parent, and each process has a limit of its own to keep. */
const PROCESSES_TOGETHER: Record<string, Together> = {
  process_start_time_seconds: 'first',
  process_open_fds: 'max',
  process_max_fds: 'first',
};

/** prom-client's default metrics, but those that break Prometheus' rules (gauges named `_total`) or say too much. */
function collectProcessMetrics(registry: Registry): void {
  collectDefaultMetrics({
    register: registry,
    prefix: PROCESS_PREFIX,
    eventLoopMonitoringPrecision: UNUSED_LAG_MS,
  });
  for (const { name } of registry.getMetricsAsArray()) {
    if (/_nodejs_(?:active_|heap_space_|eventloop_)/.test(name)) registry.removeSingleMetric(name);
  }
  for (const [name, together] of Object.entries(PROCESSES_TOGETHER)) {
    const metric = registry.getSingleMetric(PROCESS_PREFIX + name);
    if (metric) Object.assign(metric, { aggregator: together });
  }
}

function createInstrument(spec: MetricSpec, registry: Registry): unknown {
  const { name, help, labels, buckets, begins = [] } = spec;
  const options = { name, help, labelNames: [...labels], registers: [registry] };
  if (spec.type === 'counter') {
    const counter = new Counter(options);
    for (const series of begins) counter.inc(series, 0);
    return counter;
  }
  if (spec.type === 'gauge') return new Gauge({ ...options, aggregator: spec.together });
  return new Histogram({ ...options, buckets: [...(buckets ?? [])] });
}

function lagReader(gauge: Gauge): () => Promise<void> {
  const histogram = monitorEventLoopDelay({ resolution: LAG_RESOLUTION_MS });
  histogram.enable();
  return async () => {
    // What is measured is the time between two looks, which are this far apart when nothing holds the loop up.
    const lag = histogram.count === 0 ? 0 : histogram.max / NS_PER_S - LAG_RESOLUTION_MS / 1000;
    gauge.set(Math.max(0, lag));
    histogram.reset();
  };
}
