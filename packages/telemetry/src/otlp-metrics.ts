import { ValueType } from '@opentelemetry/api';
import { emptyResource } from '@opentelemetry/resources';
import {
  AggregationTemporality,
  type CollectionResult,
  type DataPoint,
  DataPointType,
  type MetricData,
  type MetricProducer,
} from '@opentelemetry/sdk-metrics';
import type { Registry } from 'prom-client';
import { VALUE } from './semantic-conventions.ts';

/** Loaded only where metrics are sent by OTLP: it needs the SDK. */

type Value = { value: number; labels: Record<string, string | number>; metricName?: string };
type Time = [number, number];

/** The metrics of a registry as OpenTelemetry has them, cumulative since `startedAt` (ms epoch), under the same names. */
export class RegistryProducer implements MetricProducer {
  readonly #registry: Registry;
  readonly #refresh: () => Promise<void>;
  readonly #startTime: Time;

  constructor(registry: Registry, refresh: () => Promise<void>, startedAt: number) {
    this.#registry = registry;
    this.#refresh = refresh;
    this.#startTime = timeOf(startedAt);
  }

  async collect(): Promise<CollectionResult> {
    await this.#refresh();
    const times = { startTime: this.#startTime, endTime: timeOf(Date.now()) };
    const metrics = (await this.#registry.getMetricsAsJSON()).map((metric) =>
      // What it is typed as is not what it is: `type` is a word, and `metricName` that of a bucket, sum or count.
      toMetricData(metric as unknown as Family, times),
    );
    return {
      resourceMetrics: {
        resource: emptyResource(),
        scopeMetrics: [{ scope: { name: VALUE.system }, metrics }],
      },
      errors: [],
    };
  }
}

type Family = { name: string; help: string; type: 'counter' | 'gauge' | 'histogram'; values: Value[] };
type Times = { startTime: Time; endTime: Time };

function toMetricData({ name, help, type, values }: Family, times: Times): MetricData {
  const common = {
    descriptor: { name, description: help, unit: unitOf(name), valueType: ValueType.DOUBLE },
    aggregationTemporality: AggregationTemporality.CUMULATIVE,
  };
  const points = () =>
    values.map(({ value, labels }): DataPoint<number> => ({ ...times, attributes: labels, value }));
  if (type === 'counter')
    return { ...common, dataPointType: DataPointType.SUM, isMonotonic: true, dataPoints: points() };
  if (type === 'gauge') return { ...common, dataPointType: DataPointType.GAUGE, dataPoints: points() };
  return {
    ...common,
    dataPointType: DataPointType.HISTOGRAM,
    dataPoints: histogramPoints(name, values, times),
  };
}

function histogramPoints(name: string, values: Value[], times: Times) {
  const series = Map.groupBy(values, ({ labels: { le: _, ...labels } }) => JSON.stringify(labels));
  return [...series].map(([labels, own]) => {
    const buckets = own.filter(({ metricName }) => metricName === `${name}_bucket`);
    const find = (suffix: string) =>
      own.find(({ metricName }) => metricName === `${name}${suffix}`)?.value ?? 0;
    // Prometheus' buckets hold all that is smaller, OpenTelemetry's only what is in none before.
    const counts = buckets.map(({ value }, i) => value - (buckets[i - 1]?.value ?? 0));
    const boundaries = buckets.map(({ labels: { le } }) => Number(le)).filter(Number.isFinite);
    const value = { buckets: { boundaries, counts }, count: find('_count'), sum: find('_sum') };
    return { ...times, attributes: JSON.parse(labels) as Record<string, string>, value };
  });
}

/** UCUM, as OTLP has units. */
function unitOf(name: string): string {
  if (/_seconds(?:_total)?$/.test(name)) return 's';
  return /_bytes(?:_total)?$/.test(name) ? 'By' : '1';
}

function timeOf(ms: number): Time {
  return [Math.floor(ms / 1000), (ms % 1000) * 1_000_000];
}
