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
  SEALPOST_BOARD_WRITABLE: bool.default(false),
  SEALPOST_BODY_LIMIT_BYTES: positiveInt.default(1024 * 1024),
  LOG_LEVEL: logLevel.default('info'),
  SEALPOST_FAULT_POINT: z.enum(FAULT_POINTS).optional(),
});

const ingestSchema = schema.omit({
  SEALPOST_API_KEYS: true,
  HOST: true,
  PORT: true,
  SEALPOST_BOARD_WRITABLE: true,
  SEALPOST_FAULT_POINT: true,
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
  boardWritable: boolean;
  bodyLimitBytes: number;
  logLevel: string;
  faultPoint: (typeof FAULT_POINTS)[number] | undefined;
};

/** What the main path goes by, whether an API or a publisher without one runs it. */
export type IngestSettings = Omit<Settings, 'apiKeys' | 'host' | 'port' | 'boardWritable' | 'faultPoint'>;

type Env = Readonly<Record<string, string | undefined>>;

/** @throws SettingsError naming every missing or malformed variable at once */
export function readApiSettings(env: Env): Settings {
  const settings = readSettings(schema, env);
  return {
    ...ingestSettings(settings),
    apiKeys: settings.SEALPOST_API_KEYS,
    host: settings.HOST,
    port: settings.PORT,
    boardWritable: settings.SEALPOST_BOARD_WRITABLE,
    faultPoint: settings.SEALPOST_FAULT_POINT,
  };
}

/** The same of a publisher without an API, which has no keys and no port. @throws SettingsError */
export function readPublisherSettings(env: Env): IngestSettings {
  return ingestSettings(readSettings(ingestSchema, env));
}

function ingestSettings(settings: z.output<typeof ingestSchema>): IngestSettings {
  return {
    redisUrls: settings.REDIS_URL,
    masterKey: settings.SEALPOST_MASTER_KEY,
    previousMasterKey: settings.SEALPOST_MASTER_KEY_PREVIOUS,
    shards: settings.SEALPOST_SHARDS,
    allowSubnets: settings.SEALPOST_ALLOW_SUBNETS,
    httpsOnly: settings.SEALPOST_HTTPS_ONLY,
    retention: retentionOf(settings),
    durability: settings.SEALPOST_DURABILITY,
    shedMemory: settings.SEALPOST_SHED_MEMORY,
    bodyLimitBytes: settings.SEALPOST_BODY_LIMIT_BYTES,
    logLevel: settings.LOG_LEVEL,
  };
}
