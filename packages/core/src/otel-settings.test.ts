import { expect, it } from 'vitest';
import { z } from 'zod';
import { otelOf, otelSettings, withoutUnusedOtel } from './otel-settings.ts';
import { readSettings, SettingsError } from './settings.ts';

const read = (env: Record<string, string>) =>
  otelOf(readSettings(z.object(otelSettings), withoutUnusedOtel(env)));
const ENDPOINT = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318' };

it.each<[Record<string, string>, string | undefined, string | undefined]>([
  [{}, undefined, undefined],
  [ENDPOINT, 'http/protobuf', 'http/protobuf'],
  [{ ...ENDPOINT, OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json' }, 'http/json', 'http/json'],
  [{ ...ENDPOINT, OTEL_EXPORTER_OTLP_METRICS_PROTOCOL: 'http/json' }, 'http/protobuf', 'http/json'],
  [{ ...ENDPOINT, OTEL_METRICS_EXPORTER: 'none' }, 'http/protobuf', undefined],
  [{ ...ENDPOINT, OTEL_SDK_DISABLED: 'true' }, undefined, undefined],
  [{ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'https://c/v1/traces' }, 'http/protobuf', undefined],
  [{ OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: 'https://c/v1/metrics' }, undefined, 'http/protobuf'],
  [{ OTEL_TRACES_EXPORTER: 'otlp' }, 'http/protobuf', undefined],
  [{ OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json' }, undefined, undefined],
])('%j sends traces by %s, metrics by %s', (env, traces, metrics) => {
  expect(read(env)).toMatchObject({ traces, metrics });
});

it('samples as the parent does by default, and by ratio where one is given', () => {
  expect(read(ENDPOINT)).toMatchObject({ sampler: 'parentbased_always_on', ratio: 1 });
  const byRatio = {
    ...ENDPOINT,
    OTEL_TRACES_SAMPLER: 'parentbased_traceidratio',
    OTEL_TRACES_SAMPLER_ARG: '0.1',
  };
  expect(read(byRatio)).toMatchObject({ sampler: 'parentbased_traceidratio', ratio: 0.1 });
  expect(() => read({ ...ENDPOINT, OTEL_TRACES_SAMPLER: 'traceidratio' })).toThrow(SettingsError);
});

it('refuses what it cannot do', () => {
  const env = {
    OTEL_EXPORTER_OTLP_ENDPOINT: 'collector:4317',
    OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc',
    OTEL_TRACES_EXPORTER: 'jaeger',
    OTEL_TRACES_SAMPLER_ARG: '2',
  };
  let message = '';
  try {
    read(env);
  } catch (error) {
    message = String(error);
  }
  for (const name of Object.keys(env)) expect(message).toContain(name);
});

const UNUSABLE = {
  OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc',
  OTEL_TRACES_SAMPLER: 'jaeger_remote',
  OTEL_TRACES_SAMPLER_ARG: 'endpoint=http://jaeger:14250',
  OTEL_BSP_SCHEDULE_DELAY: 'soon',
  OTEL_METRIC_EXPORT_INTERVAL: '-1',
};

it.each<[string, Record<string, string>]>([
  [
    'is switched off',
    { ...ENDPOINT, ...UNUSABLE, OTEL_TRACES_EXPORTER: 'jaeger', OTEL_SDK_DISABLED: 'true' },
  ],
  ['has nowhere to send to', UNUSABLE],
  [
    'is told to send nothing',
    { ...ENDPOINT, ...UNUSABLE, OTEL_TRACES_EXPORTER: 'none', OTEL_METRICS_EXPORTER: 'none' },
  ],
])('what it would not use stops nothing where it %s', (_, env) => {
  expect(read(env)).toMatchObject({ traces: undefined, metrics: undefined });
});

it.each<[string, Record<string, string>, string]>([
  [
    'spans',
    { OTEL_TRACES_EXPORTER: 'none', OTEL_TRACES_SAMPLER: 'x', OTEL_BSP_SCHEDULE_DELAY: 'x' },
    'metrics',
  ],
  ['metrics', { OTEL_METRICS_EXPORTER: 'none', OTEL_METRIC_EXPORT_INTERVAL: 'x' }, 'traces'],
])('nor does what only %s would use, where the other is sent', (_, env, sent) => {
  expect(read({ ...ENDPOINT, ...env })).toMatchObject({ [sent]: 'http/protobuf' });
});

it.each([
  'OTEL_SDK_DISABLED',
  'OTEL_TRACES_EXPORTER',
  'OTEL_METRICS_EXPORTER',
  'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT',
])('%s, which decides that, is never passed over', (name) => {
  expect(() => read({ [name]: 'x' })).toThrow(name);
});
