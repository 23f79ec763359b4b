import {
  apiKeys,
  bool,
  cidrs,
  durability,
  logLevel,
  MAX_SHARDS,
  masterKey,
  port,
  positiveInt,
  readSettings,
  redisUrl,
  retentionOf,
  retentionSettings,
  share,
} from '@sealpost/core';
import type { Retention } from '@sealpost/queue';
import { z } from 'zod';

/** Named steps at which a test can have the process killed. */
export const FAULT_POINTS = ['after-accept'] as const;

/** A key shorter than this could be guessed. */
const SHORTEST_KEY = 16;
const schema = z.object({
  REDIS_URL: redisUrl,
  SEALPOST_API_KEYS: apiKeys.refine((keys) => keys.every((key) => key.length >= SHORTEST_KEY), {
    error: `must be keys of at least ${SHORTEST_KEY} characters each`,
  }),
  SEALPOST_MASTER_KEY: masterKey,
  SEALPOST_MASTER_KEY_PREVIOUS: masterKey.optional(),
  HOST: z.string().default('127.0.0.1'),
  PORT: port.default(8080),
  SEALPOST_SHARDS: positiveInt
    .refine((shards) => shards <= MAX_SHARDS, { error: `must be at most ${MAX_SHARDS}` })
    .default(1),
  SEALPOST_ALLOW_SUBNETS: cidrs.default([]),
  SEALPOST_HTTPS_ONLY: bool.default(false),
  ...retentionSettings,
  SEALPOST_DURABILITY: durability.default('process'),
  SEALPOST_SHED_MEMORY: share.default(0.85),
  SEALPOST_SHED_DEPTH: positiveInt.optional(),
  SEALPOST_BOARD_WRITABLE: bool.default(false),
  SEALPOST_METRICS_OPEN: bool.default(false),
  SEALPOST_BODY_LIMIT_BYTES: positiveInt.default(1024 * 1024),
  LOG_LEVEL: logLevel.default('info'),
  SEALPOST_FAULT_POINT: z.enum(FAULT_POINTS).optional(),
});

export type Settings = {
  redisUrls: string[];
  /** Keys of the operators. */
  apiKeys: string[];
  masterKey: Buffer;
  previousMasterKey: Buffer | undefined;
  host: string;
  port: number;
  /** Shards over which new apps are spread. */
  shards: number;
  allowSubnets: string[];
  httpsOnly: boolean;
  retention: Retention;
  durability: 'process' | 'disk' | 'replica';
  /** Share of Redis' memory at which publishing is refused. */
  shedMemory: number;
  /** Open deliveries of a shard at which publishing is refused. */
  shedDepth: number | undefined;
  boardWritable: boolean;
  /** `/metrics` needs no key. */
  metricsOpen: boolean;
  bodyLimitBytes: number;
  logLevel: string;
  faultPoint: (typeof FAULT_POINTS)[number] | undefined;
};

/** @throws SettingsError naming every missing or malformed variable at once */
export function readApiSettings(env: Readonly<Record<string, string | undefined>>): Settings {
  const settings = readSettings(schema, env);
  return {
    redisUrls: settings.REDIS_URL,
    apiKeys: settings.SEALPOST_API_KEYS,
    masterKey: settings.SEALPOST_MASTER_KEY,
    previousMasterKey: settings.SEALPOST_MASTER_KEY_PREVIOUS,
    host: settings.HOST,
    port: settings.PORT,
    shards: settings.SEALPOST_SHARDS,
    allowSubnets: settings.SEALPOST_ALLOW_SUBNETS,
    httpsOnly: settings.SEALPOST_HTTPS_ONLY,
    retention: retentionOf(settings),
    durability: settings.SEALPOST_DURABILITY,
    shedMemory: settings.SEALPOST_SHED_MEMORY,
    shedDepth: settings.SEALPOST_SHED_DEPTH,
    boardWritable: settings.SEALPOST_BOARD_WRITABLE,
    metricsOpen: settings.SEALPOST_METRICS_OPEN,
    bodyLimitBytes: settings.SEALPOST_BODY_LIMIT_BYTES,
    logLevel: settings.LOG_LEVEL,
    faultPoint: settings.SEALPOST_FAULT_POINT,
  };
}
