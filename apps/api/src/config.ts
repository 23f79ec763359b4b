import {
  apiKeys,
  bool,
  durability,
  MAX_SHARDS,
  type OtelSettings,
  otelOf,
  otelSettings,
  port,
  positiveInt,
  processes,
  readSettings,
  retentionOf,
  share,
  sharedSettings,
  withoutUnusedOtel,
} from '@sealpost/core';
import type { Retention } from '@sealpost/queue';
import { z } from 'zod';

/** Named steps at which a test can have the process killed. */
export const FAULT_POINTS = ['after-accept'] as const;

/** A key shorter than this could be guessed. */
const SHORTEST_KEY = 16;
/** Every variable that the API reads; docs/configuration.md is made of it. */
export const apiSettingsSchema = z.object({
  ...sharedSettings,
  SEALPOST_API_KEYS: apiKeys
    .refine((keys) => keys.every((key) => key.length >= SHORTEST_KEY), {
      error: `must be keys of at least ${SHORTEST_KEY} characters each`,
    })
    .describe(
      `Operators’ keys, each of at least ${SHORTEST_KEY} characters: any of them may do everything in all apps.`,
    ),
  PORT: port.default(8080).describe('The port of the HTTP API. 0 lets the system choose.'),
  API_PROCESSES: processes
    .default(1)
    .describe(
      'How many processes `npm run api` runs, which share the port ([how](architecture.md#many-cores)).',
    ),
  SEALPOST_SHARDS: positiveInt
    .refine((shards) => shards <= MAX_SHARDS, { error: `must be at most ${MAX_SHARDS}` })
    .default(1)
    .describe(
      `Shards over which new apps are spread, at most ${MAX_SHARDS}; an app stays in the shard that it was made in, until it is moved (\`npm run move-app\`).`,
    ),
  SEALPOST_DURABILITY: durability
    .default('process')
    .describe(
      'How hard Redis must hold an event before it is answered with 202 ([what each promises](architecture.md#what-a-202-promises)).',
    ),
  SEALPOST_SHED_MEMORY: share
    .default(0.85)
    .describe(
      'Share of Redis’ `maxmemory` (without one: of its machine’s memory) at which publishing is answered with 503 `overloaded`.',
    ),
  SEALPOST_SHED_DEPTH: positiveInt
    .optional()
    .describe(
      'Open deliveries of a shard at which publishing is answered with 503 `overloaded`; by default none.',
    ),
  SEALPOST_BOARD_WRITABLE: bool
    .default(false)
    .describe('Allow changes in Bull Board (`/admin/queues`), which only shows otherwise.'),
  SEALPOST_METRICS_OPEN: bool
    .default(false)
    .describe('Serve `/metrics` without an operator’s key, as where only Prometheus gets to it.'),
  SEALPOST_BODY_LIMIT_BYTES: positiveInt
    .default(1024 * 1024)
    .describe('Largest body of a request, bytes; of a stream of NDJSON, the largest line.'),
  ...otelSettings,
  SEALPOST_FAULT_POINT: z
    .enum(FAULT_POINTS)
    .optional()
    .describe('For tests alone: the step at which the process kills itself.'),
});

const ingestSchema = apiSettingsSchema.omit({
  SEALPOST_API_KEYS: true,
  HOST: true,
  PORT: true,
  API_PROCESSES: true,
  SEALPOST_BOARD_WRITABLE: true,
  SEALPOST_METRICS_OPEN: true,
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
  /** API processes under one parent, which share the port. */
  processes: number;
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
  /** What is sent by OpenTelemetry's protocol, and where to. */
  otel: OtelSettings;
  logLevel: string;
  faultPoint: (typeof FAULT_POINTS)[number] | undefined;
};

/** What the main path goes by, whether an API or a publisher without one runs it. */
export type IngestSettings = Omit<
  Settings,
  'apiKeys' | 'host' | 'port' | 'processes' | 'boardWritable' | 'metricsOpen' | 'faultPoint'
>;

type Env = Readonly<Record<string, string | undefined>>;

/** @throws SettingsError naming every missing or malformed variable at once */
export function readApiSettings(env: Env): Settings {
  const settings = readSettings(apiSettingsSchema, withoutUnusedOtel(env));
  return {
    ...ingestSettings(settings),
    apiKeys: settings.SEALPOST_API_KEYS,
    host: settings.HOST,
    port: settings.PORT,
    processes: settings.API_PROCESSES,
    boardWritable: settings.SEALPOST_BOARD_WRITABLE,
    metricsOpen: settings.SEALPOST_METRICS_OPEN,
    faultPoint: settings.SEALPOST_FAULT_POINT,
  };
}

/** The same of a publisher without an API, which has no keys and no port. @throws SettingsError */
export function readPublisherSettings(env: Env): IngestSettings {
  return ingestSettings(readSettings(ingestSchema, withoutUnusedOtel(env)));
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
    shedDepth: settings.SEALPOST_SHED_DEPTH,
    bodyLimitBytes: settings.SEALPOST_BODY_LIMIT_BYTES,
    otel: otelOf(settings),
    logLevel: settings.LOG_LEVEL,
  };
}
