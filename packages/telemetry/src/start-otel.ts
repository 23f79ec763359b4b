import { randomUUID } from 'node:crypto';
import { DiagLogLevel, diag } from '@opentelemetry/api';
import type { Resource } from '@opentelemetry/resources';
import type { Sampler } from '@opentelemetry/sdk-trace';
import type { OtelSettings, OtlpProtocol } from '@sealpost/core';
import type { Logger } from './logger.ts';
import type { Role } from './metrics.ts';
import type { Metrics } from './registry.ts';
import { ATTRIBUTE, VALUE } from './semantic-conventions.ts';
import { Tracing } from './tracing.ts';

/** What is still unsent when the process ends has this long, ms. */
const FLUSH_MS = 2500;
/** The same trouble with the collector is logged once in this time, ms. */
const QUIET_MS = 60_000;

export type Otel = {
  tracing: Tracing;
  /** Sends what is left; resolves within 2.5 s whatever the collector does. */
  shutdown(): Promise<void>;
};

type Options = {
  role: Role;
  version: string;
  logger: Logger;
  metrics: Metrics<Role>;
  /** Which of several processes under one parent. */
  process: number | undefined;
};
type Shutdown = () => Promise<void>;

/**
 * Starts sending spans and metrics by OTLP, each if the settings say where to. OpenTelemetry's SDK is loaded only then: a
 * process that sends nothing pays nothing for it.
 */
export async function startOtel(settings: OtelSettings, options: Options): Promise<Otel> {
  if (!settings.traces && !settings.metrics) return { tracing: new Tracing(), shutdown: async () => {} };
  tellTrouble(options.logger);
  const resource = await describeProcess(options);
  const shutdowns: Shutdown[] = [];
  let tracing = new Tracing();
  if (settings.traces) {
    const traces = await startTraces(settings, settings.traces, resource, options.version);
    tracing = traces.tracing;
    shutdowns.push(traces.shutdown);
  }
  if (settings.metrics) {
    shutdowns.push(await startMetrics(settings, settings.metrics, resource, options.metrics));
  }
  options.logger.info({ traces: settings.traces, metrics: settings.metrics }, 'OpenTelemetry is on');
  return { tracing, shutdown: () => withinTime(shutdowns, options.logger) };
}

async function startTraces(
  settings: OtelSettings,
  protocol: OtlpProtocol,
  resource: Resource,
  version: string,
) {
  const [{ TracerProvider, BatchSpanProcessor }, { OTLPTraceExporter }] = await Promise.all([
    import('@opentelemetry/sdk-trace'),
    protocol === 'http/json'
      ? import('@opentelemetry/exporter-trace-otlp-http')
      : import('@opentelemetry/exporter-trace-otlp-proto'),
  ]);
  const processor = new BatchSpanProcessor({
    exporter: new OTLPTraceExporter(),
    scheduledDelayMillis: settings.spanDelayMs,
  });
  const sampler = await createSampler(settings);
  const provider = new TracerProvider({ resource, sampler, spanProcessors: [processor] });
  return {
    tracing: new Tracing(provider.getTracer(VALUE.system, version)),
    shutdown: () => provider.shutdown(),
  };
}

async function createSampler({ sampler, ratio }: OtelSettings): Promise<Sampler> {
  const { AlwaysOffSampler, AlwaysOnSampler, ParentBasedSampler, TraceIdRatioBasedSampler } = await import(
    '@opentelemetry/sdk-trace'
  );
  const root = sampler.endsWith('always_on')
    ? new AlwaysOnSampler()
    : sampler.endsWith('always_off')
      ? new AlwaysOffSampler()
      : new TraceIdRatioBasedSampler(ratio);
  return sampler.startsWith('parentbased_') ? new ParentBasedSampler({ root }) : root;
}

async function startMetrics(
  { metricIntervalMs }: OtelSettings,
  protocol: OtlpProtocol,
  resource: Resource,
  metrics: Metrics<Role>,
): Promise<Shutdown> {
  const [{ MeterProvider, PeriodicExportingMetricReader }, { RegistryProducer }, { OTLPMetricExporter }] =
    await Promise.all([
      import('@opentelemetry/sdk-metrics'),
      import('./otlp-metrics.ts'),
      protocol === 'http/json'
        ? import('@opentelemetry/exporter-metrics-otlp-http')
        : import('@opentelemetry/exporter-metrics-otlp-proto'),
    ]);
  const reader = new PeriodicExportingMetricReader({
    exporter: new OTLPMetricExporter(),
    exportIntervalMillis: metricIntervalMs,
    exportTimeoutMillis: Math.min(metricIntervalMs, 10_000),
    metricProducers: [new RegistryProducer(metrics.registry, metrics.refresh, Date.now())],
  });
  const provider = new MeterProvider({ resource, readers: [reader] });
  return () => provider.shutdown();
}

/** What OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say goes over what we say. */
async function describeProcess({ role, version, process }: Options): Promise<Resource> {
  const { defaultResource, detectResources, envDetector, resourceFromAttributes } = await import(
    '@opentelemetry/resources'
  );
  const own = resourceFromAttributes({
    [ATTRIBUTE.serviceName]: `sealpost-${role}`,
    [ATTRIBUTE.serviceVersion]: version,
    [ATTRIBUTE.serviceInstanceId]: randomUUID(),
  });
  const said = detectResources({ detectors: [envDetector] });
  const resource = defaultResource().merge(own).merge(said);
  const instance = said.attributes[ATTRIBUTE.serviceInstanceId];
  if (instance === undefined || process === undefined) return resource;
  // Under one name, the metrics of all that were given it would be one process's whose counters jump to and fro.
  return resource.merge(resourceFromAttributes({ [ATTRIBUTE.serviceInstanceId]: `${instance}-${process}` }));
}

/** The SDK's own trouble, as when the collector is away, into our log: now and then, since it goes on. */
function tellTrouble(logger: Logger): void {
  let toldAt = Number.NEGATIVE_INFINITY;
  const tell = (message: string, ...details: unknown[]) => {
    if (performance.now() - toldAt < QUIET_MS) return;
    toldAt = performance.now();
    logger.warn(
      { trouble: [message, ...details].map(String).join(' ').slice(0, 500) },
      'trouble with OpenTelemetry',
    );
  };
  const ignore = () => {};
  const logs = { error: tell, warn: tell, info: ignore, debug: ignore, verbose: ignore };
  diag.setLogger(logs, { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true });
}

async function withinTime(shutdowns: Shutdown[], logger: Logger): Promise<void> {
  const late = new Promise<'late'>((resolve) => {
    setTimeout(() => resolve('late'), FLUSH_MS).unref();
  });
  const all = Promise.allSettled(shutdowns.map((shutdown) => shutdown()));
  if ((await Promise.race([all, late])) === 'late')
    logger.warn('the last spans and metrics could not be sent in time');
}
