import { randomBytes } from 'node:crypto';
import { ApiClient } from './api-client.ts';
import { type AppProcess, type Env, startApi, startWorker } from './processes.ts';
import { startRedis, type TestRedis, type TestRedisOptions } from './redis.ts';

export type StackOptions = {
  /** A Redis that runs already, or options for a new one. */
  redis?: TestRedis | TestRedisOptions;
  /** How many workers; default 1. */
  workers?: number;
  /** Settings for all processes, over the harness's own. */
  env?: Env;
  apiEnv?: Env;
  workerEnv?: Env;
};

/** A whole Sealpost on a Redis of its own. */
export type Stack = {
  redis: TestRedis;
  api: AppProcess;
  workers: AppProcess[];
  /** With the operator's key. */
  client: ApiClient;
  apiKey: string;
  masterKey: string;
  /** Starts another one on the same Redis and keys; `env` goes over that of the stack. */
  addApi(env?: Env): Promise<AppProcess>;
  addWorker(env?: Env): Promise<AppProcess>;
};

/** Starts Redis, API and workers and waits until all are ready. Loopback may be delivered to. */
export async function startStack(options: StackOptions = {}): Promise<Stack> {
  const redis = isRunning(options.redis) ? options.redis : await startRedis(options.redis);
  return { redis, ...(await startProcesses(redis.url, options)) };
}

/** As `startStack`, on a Redis that is there. */
export async function startProcesses(
  redisUrl: string,
  options: Omit<StackOptions, 'redis'>,
): Promise<Omit<Stack, 'redis'>> {
  const apiKey = `sk_${randomBytes(24).toString('base64url')}`;
  const masterKey = randomBytes(32).toString('base64');
  const env: Env = {
    REDIS_URL: redisUrl,
    SEALPOST_API_KEYS: apiKey,
    SEALPOST_MASTER_KEY: masterKey,
    SEALPOST_ALLOW_SUBNETS: '127.0.0.0/8,::1/128',
    WORKER_CONCURRENCY: '20',
    ...options.env,
  };
  const addApi = (more: Env = {}) => startApi({ ...env, ...options.apiEnv, ...more });
  const addWorker = (more: Env = {}) => startWorker({ ...env, ...options.workerEnv, ...more });
  const [api, ...workers] = await Promise.all([
    addApi(),
    ...Array.from({ length: options.workers ?? 1 }, () => addWorker()),
  ]);
  const client = new ApiClient(api.url, env.SEALPOST_API_KEYS?.split(',')[0]);
  return { api, workers, client, apiKey, masterKey, addApi, addWorker };
}

function isRunning(redis: StackOptions['redis']): redis is TestRedis {
  return redis !== undefined && 'client' in redis;
}
