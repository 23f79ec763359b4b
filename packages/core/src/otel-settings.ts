import { bool, oneOf, positiveInt, type SettingProblem, SettingsError, setting } from './settings.ts';

/** How spans and metrics are sent: OTLP over HTTP, with bodies in protobuf or JSON. */
export const OTLP_PROTOCOLS = ['http/protobuf', 'http/json'] as const;
export type OtlpProtocol = (typeof OTLP_PROTOCOLS)[number];

export const SAMPLERS = [
  'always_on',
  'always_off',
  'traceidratio',
  'parentbased_always_on',
  'parentbased_always_off',
  'parentbased_traceidratio',
] as const;

/** What is sent where; what is undefined is not sent, and nothing of OpenTelemetry's SDK is loaded for it. */
export type OtelSettings = {
  traces: OtlpProtocol | undefined;
  metrics: OtlpProtocol | undefined;
  sampler: (typeof SAMPLERS)[number];
  /** Of the samplers by ratio. */
  ratio: number;
  /** Spans are sent after this at the latest, and metrics this often, ms. */
  spanDelayMs: number;
  metricIntervalMs: number;
};

const url = setting('must be an http:// or https:// URL', (text) =>
  /^https?:\/\//.test(text) && URL.canParse(text) ? text : undefined,
);
const exporter = oneOf(['otlp', 'none']);
const protocol = oneOf(OTLP_PROTOCOLS);
const ratio = setting('must be a number from 0 to 1', (text) => {
  const number = /^[0-9]{0,3}(?:\.[0-9]{1,12})?$/.test(text) && text !== '' ? Number(text) : Number.NaN;
  return number >= 0 && number <= 1 ? number : undefined;
});

/**
 * OpenTelemetry's own variables ("Environment Variable Specification", "OpenTelemetry Protocol Exporter") that decide what
 * is sent. Its exporters read the others themselves: headers, timeouts, compression, certificates, resource attributes.
 */
export const otelSettings = {
  OTEL_SDK_DISABLED: bool.default(false).describe('Send nothing, whatever the others say.'),
  OTEL_EXPORTER_OTLP_ENDPOINT: url
    .optional()
    .describe(
      'Where spans and metrics are sent by OTLP over HTTP: `http://otel-collector:4318`. Without an endpoint nothing is sent, and OpenTelemetry’s SDK is not even loaded.',
    ),
  OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: url
    .optional()
    .describe('Where spans are sent, in place of that; the whole URL.'),
  OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: url
    .optional()
    .describe('Where metrics are sent, in place of that; the whole URL.'),
  OTEL_EXPORTER_OTLP_PROTOCOL: protocol.default('http/protobuf').describe('The form of what is sent.'),
  OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: protocol.optional().describe('The form of spans, in place of that.'),
  OTEL_EXPORTER_OTLP_METRICS_PROTOCOL: protocol.optional().describe('The form of metrics, in place of that.'),
  OTEL_TRACES_EXPORTER: exporter
    .optional()
    .describe('`none`: send no spans; `otlp`: send them, without an endpoint to localhost:4318.'),
  OTEL_METRICS_EXPORTER: exporter
    .optional()
    .describe(
      '`none`: send no metrics, as where Prometheus reads `/metrics`; `otlp`: send them, without an endpoint to localhost:4318.',
    ),
  OTEL_TRACES_SAMPLER: oneOf(SAMPLERS)
    .default('parentbased_always_on')
    .describe(
      'Which traces are kept; `parentbased_…`: those that the producer keeps, and by the rest of the name where it does not say.',
    ),
  OTEL_TRACES_SAMPLER_ARG: ratio
    .optional()
    .describe('How many of all traces the samplers by ratio keep; required with them.'),
  OTEL_BSP_SCHEDULE_DELAY: positiveInt
    .default(5000)
    .describe('Spans are sent after so many ms at the latest.'),
  OTEL_METRIC_EXPORT_INTERVAL: positiveInt.default(60_000).describe('Metrics are sent every so many ms.'),
};

/** Used only where spans, or metrics, are sent. */
const OF_SIGNAL: Record<'TRACES' | 'METRICS', (keyof typeof otelSettings)[]> = {
  TRACES: [
    'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT',
    'OTEL_EXPORTER_OTLP_TRACES_PROTOCOL',
    'OTEL_TRACES_SAMPLER',
    'OTEL_TRACES_SAMPLER_ARG',
    'OTEL_BSP_SCHEDULE_DELAY',
  ],
  METRICS: [
    'OTEL_EXPORTER_OTLP_METRICS_ENDPOINT',
    'OTEL_EXPORTER_OTLP_METRICS_PROTOCOL',
    'OTEL_METRIC_EXPORT_INTERVAL',
  ],
};

/**
 * The environment without those of these variables that nothing would use. Unlike our own, they are often set for all
 * processes of a cluster, for what others can do: a protocol of theirs is no reason not to start where nothing is sent.
 */
export function withoutUnusedOtel<Env extends Readonly<Record<string, string | undefined>>>(env: Env): Env {
  const value = (name: keyof typeof otelSettings) => env[name]?.trim() || undefined;
  const disabled = bool.safeParse(value('OTEL_SDK_DISABLED')).data === true;
  const sends = (signal: 'TRACES' | 'METRICS') => {
    const named = value(`OTEL_${signal}_EXPORTER`);
    if (disabled || named === 'none') return false;
    const endpoint = value(`OTEL_EXPORTER_OTLP_${signal}_ENDPOINT`) ?? value('OTEL_EXPORTER_OTLP_ENDPOINT');
    return (named ?? endpoint) !== undefined;
  };
  const silent = (['TRACES', 'METRICS'] as const).filter((signal) => !sends(signal));
  const unused = silent.flatMap((signal) => OF_SIGNAL[signal]);
  if (silent.length === 2) unused.push('OTEL_EXPORTER_OTLP_ENDPOINT', 'OTEL_EXPORTER_OTLP_PROTOCOL');
  if (disabled) unused.push('OTEL_TRACES_EXPORTER', 'OTEL_METRICS_EXPORTER');
  return { ...env, ...Object.fromEntries(unused.map((name) => [name, undefined])) };
}

type Read = {
  OTEL_SDK_DISABLED: boolean;
  OTEL_EXPORTER_OTLP_ENDPOINT?: string | undefined;
  OTEL_EXPORTER_OTLP_TRACES_ENDPOINT?: string | undefined;
  OTEL_EXPORTER_OTLP_METRICS_ENDPOINT?: string | undefined;
  OTEL_EXPORTER_OTLP_PROTOCOL: OtlpProtocol;
  OTEL_EXPORTER_OTLP_TRACES_PROTOCOL?: OtlpProtocol | undefined;
  OTEL_EXPORTER_OTLP_METRICS_PROTOCOL?: OtlpProtocol | undefined;
  OTEL_TRACES_EXPORTER?: 'otlp' | 'none' | undefined;
  OTEL_METRICS_EXPORTER?: 'otlp' | 'none' | undefined;
  OTEL_TRACES_SAMPLER: OtelSettings['sampler'];
  OTEL_TRACES_SAMPLER_ARG?: number | undefined;
  OTEL_BSP_SCHEDULE_DELAY: number;
  OTEL_METRIC_EXPORT_INTERVAL: number;
};

/**
 * Sent is what has an endpoint, or is asked for by name (then to the default endpoint, localhost:4318).
 * @throws SettingsError when a sampler by ratio has no ratio: it would sample everything
 */
export function otelOf(read: Read): OtelSettings {
  const sends = (signal: 'TRACES' | 'METRICS'): OtlpProtocol | undefined => {
    const named = read[`OTEL_${signal}_EXPORTER`];
    const endpoint = read[`OTEL_EXPORTER_OTLP_${signal}_ENDPOINT`] ?? read.OTEL_EXPORTER_OTLP_ENDPOINT;
    if (read.OTEL_SDK_DISABLED || named === 'none' || (named === undefined && endpoint === undefined))
      return undefined;
    return read[`OTEL_EXPORTER_OTLP_${signal}_PROTOCOL`] ?? read.OTEL_EXPORTER_OTLP_PROTOCOL;
  };
  const sampler = read.OTEL_TRACES_SAMPLER;
  if (sampler.endsWith('traceidratio') && read.OTEL_TRACES_SAMPLER_ARG === undefined) {
    const message = `is missing; OTEL_TRACES_SAMPLER is ${sampler}, and it must say how many of all traces, 0 to 1`;
    const problem: SettingProblem = { name: 'OTEL_TRACES_SAMPLER_ARG', message };
    throw new SettingsError([problem]);
  }
  return {
    traces: sends('TRACES'),
    metrics: sends('METRICS'),
    sampler,
    ratio: read.OTEL_TRACES_SAMPLER_ARG ?? 1,
    spanDelayMs: read.OTEL_BSP_SCHEDULE_DELAY,
    metricIntervalMs: read.OTEL_METRIC_EXPORT_INTERVAL,
  };
}
