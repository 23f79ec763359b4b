import {
  bool,
  cidrs,
  hours,
  logLevel,
  masterKey,
  type OtelSettings,
  otelOf,
  otelSettings,
  port,
  positiveInt,
  readSettings,
  redisUrl,
  retentionOf,
  retentionSettings,
} from '@sealpost/core';
import type { Retention } from '@sealpost/queue';
import { z } from 'zod';

/** Named steps at which a test can have the process killed. */
export const FAULT_POINTS = ['after-claim', 'after-post', 'after-settle'] as const;

const schema = z.object({
  REDIS_URL: redisUrl,
  SEALPOST_MASTER_KEY: masterKey,
  SEALPOST_MASTER_KEY_PREVIOUS: masterKey.optional(),
  HOST: z.string().default('127.0.0.1'),
  HEALTH_PORT: port.default(8081),
  WORKER_CONCURRENCY: positiveInt.default(200),
  SEALPOST_ALLOW_SUBNETS: cidrs.default([]),
  SEALPOST_HTTPS_ONLY: bool.default(false),
  ...retentionSettings,
  SEALPOST_MAX_AGE_HOURS: hours.prefault('72'),
  SEALPOST_DISABLE_AFTER_HOURS: hours.prefault('120'),
  ...otelSettings,
  LOG_LEVEL: logLevel.default('info'),
  UV_THREADPOOL_SIZE: positiveInt.optional(),
  SEALPOST_FAULT_POINT: z.enum(FAULT_POINTS).optional(),
});

export type WorkerSettings = {
  redisUrls: string[];
  masterKey: Buffer;
  previousMasterKey: Buffer | undefined;
  host: string;
  healthPort: number;
  /** Jobs at a time, over all shards. */
  concurrency: number;
  allowSubnets: string[];
  httpsOnly: boolean;
  retention: Retention;
  /** How long a closed, paused or disabled lane may hold a delivery, ms. */
  maxAgeMs: number;
  /** An endpoint that has only failed for so long, ms, is disabled. */
  disableAfterMs: number;
  /** What is sent by OpenTelemetry's protocol, and where to. */
  otel: OtelSettings;
  logLevel: string;
  /** Of libuv's pool; undefined: Node's default of 4. */
  threads: number | undefined;
  faultPoint: (typeof FAULT_POINTS)[number] | undefined;
};

/** @throws SettingsError naming every missing or malformed variable at once */
export function readWorkerSettings(env: Record<string, string | undefined>): WorkerSettings {
  const settings = readSettings(schema, env);
  return {
    redisUrls: settings.REDIS_URL,
    masterKey: settings.SEALPOST_MASTER_KEY,
    previousMasterKey: settings.SEALPOST_MASTER_KEY_PREVIOUS,
    host: settings.HOST,
    healthPort: settings.HEALTH_PORT,
    concurrency: settings.WORKER_CONCURRENCY,
    allowSubnets: settings.SEALPOST_ALLOW_SUBNETS,
    httpsOnly: settings.SEALPOST_HTTPS_ONLY,
    retention: retentionOf(settings),
    maxAgeMs: settings.SEALPOST_MAX_AGE_HOURS,
    disableAfterMs: settings.SEALPOST_DISABLE_AFTER_HOURS,
    otel: otelOf(settings),
    logLevel: settings.LOG_LEVEL,
    threads: settings.UV_THREADPOOL_SIZE,
    faultPoint: settings.SEALPOST_FAULT_POINT,
  };
}
