import { bool, cidrs, logLevel, masterKey, port, positiveInt, readSettings, redisUrl } from '@sealpost/core';
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
  SEALPOST_RETENTION_DAYS: positiveInt.default(7),
  SEALPOST_BODY_RETENTION_DAYS: positiveInt.default(3),
  LOG_LEVEL: logLevel.default('info'),
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
  logLevel: string;
  faultPoint: (typeof FAULT_POINTS)[number] | undefined;
};

const DAY_MS = 86_400_000;

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
    retention: {
      recordsMs: settings.SEALPOST_RETENTION_DAYS * DAY_MS,
      bodiesMs: settings.SEALPOST_BODY_RETENTION_DAYS * DAY_MS,
    },
    logLevel: settings.LOG_LEVEL,
    faultPoint: settings.SEALPOST_FAULT_POINT,
  };
}
