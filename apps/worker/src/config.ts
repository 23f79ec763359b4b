import {
  hours,
  type OtelSettings,
  oneOf,
  otelOf,
  otelSettings,
  port,
  positiveInt,
  processes,
  readSettings,
  retentionOf,
  sharedSettings,
  withoutUnusedOtel,
} from '@sealpost/core';
import type { Retention } from '@sealpost/queue';
import { z } from 'zod';
import { HTTP_CLIENTS, type HttpClientName } from './deliver/choose-client.ts';

/** Named steps at which a test can have the process killed. */
export const FAULT_POINTS = ['after-claim', 'after-post', 'after-settle'] as const;

/** Every variable that a worker reads; docs/configuration.md is made of it. */
export const workerSettingsSchema = z.object({
  ...sharedSettings,
  HEALTH_PORT: port
    .default(8081)
    .describe('The port of the worker’s `/livez`, `/readyz` and `/metrics`. 0 lets the system choose.'),
  WORKER_CONCURRENCY: positiveInt
    .default(200)
    .describe(
      'Slots of each worker process over all shards: attempts at a time, without those that have waited long for their answer.',
    ),
  WORKER_PROCESSES: processes
    .default(1)
    .describe(
      'How many workers `npm run worker` runs, behind one HEALTH_PORT ([how](architecture.md#many-cores)).',
    ),
  HTTP_CLIENT: oneOf(HTTP_CLIENTS)
    .default(HTTP_CLIENTS[0])
    .describe('What posts deliveries: undici takes a fifth of the CPU time of got.'),
  SEALPOST_MAX_AGE_HOURS: hours
    .prefault('72')
    .describe('How long a closed, paused or disabled lane holds a delivery; then it is dead (`expired`).'),
  SEALPOST_DISABLE_AFTER_HOURS: hours
    .prefault('120')
    .describe('An endpoint that has only failed for so long is disabled.'),
  ...otelSettings,
  UV_THREADPOOL_SIZE: positiveInt
    .optional()
    .describe(
      'Threads of Node’s own for look-ups of names, of which it takes 4 unless this is set before it starts; `npm run worker` and the image set 64.',
    ),
  SEALPOST_FAULT_POINT: z
    .enum(FAULT_POINTS)
    .optional()
    .describe('For tests alone: the step at which the process kills itself.'),
});

export type WorkerSettings = {
  redisUrls: string[];
  masterKey: Buffer;
  previousMasterKey: Buffer | undefined;
  host: string;
  healthPort: number;
  /** Jobs at a time of one process, over all shards. */
  concurrency: number;
  /** Worker processes under one parent. */
  processes: number;
  httpClient: HttpClientName;
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
  const settings = readSettings(workerSettingsSchema, withoutUnusedOtel(env));
  return {
    redisUrls: settings.REDIS_URL,
    masterKey: settings.SEALPOST_MASTER_KEY,
    previousMasterKey: settings.SEALPOST_MASTER_KEY_PREVIOUS,
    host: settings.HOST,
    healthPort: settings.HEALTH_PORT,
    concurrency: settings.WORKER_CONCURRENCY,
    processes: settings.WORKER_PROCESSES,
    httpClient: settings.HTTP_CLIENT,
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
