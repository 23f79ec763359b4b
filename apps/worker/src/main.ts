import { once } from 'node:events';
import type { Server } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { AddressPolicy, Keyring, SettingsError } from '@sealpost/core';
import { isParent, Member, Supervisor } from '@sealpost/processes';
import {
  checkServer,
  connect,
  lookAtRedis,
  type RedisClient,
  Shards,
  WriteProbe,
  whenReady,
} from '@sealpost/queue';
import { Expressions } from '@sealpost/sandbox';
import { Configs } from '@sealpost/store';
import {
  AddedUpMetrics,
  createLogger,
  createMetrics,
  endOnUncaught,
  type Logger,
  startOtel,
  type Tracing,
  watchReadiness,
  watchRedis,
} from '@sealpost/telemetry';
import { readWorkerSettings, type WorkerSettings } from './config.ts';
import { createHttpClient } from './deliver/choose-client.ts';
import { DeliveryCounts } from './deliver/count-deliveries.ts';
import { KilledInARow } from './deliver/count-killed.ts';
import type { DeliverOptions } from './deliver/deliver-job.ts';
import { Destinations } from './deliver/load-endpoint.ts';
import { createHealthServer } from './health.ts';
import { ShardServer } from './serve-shards.ts';

const VERSION = '0.1.0';
/** After SIGTERM, attempts may go on this long before they are handed back, ms; the rest of 25 s is for goodbyes. */
const FINISH_MS = 20_000;
const EXIT_MS = 25_000;
/** A draining worker without an attempt to record waits so long for a Redis that is away, ms. */
const AWAY_MS = 2000;
const AWAY_LOOK_MS = 100;
/** How long to wait for Redis at start, ms. */
const CONNECT_MS = 15_000;
/** After meeting a key that is not known here, the worker is unready this long, ms. */
const UNKNOWN_KEY_MS = 60_000;
// Names are resolved in libuv's pool, of which look-ups get half; its size must be set before Node starts.
const FEW_THREADS =
  'UV_THREADPOOL_SIZE is not set: two slow host names hold up the look-ups of all others. Set it to 64, as npm run worker does.';

async function main(member: Member): Promise<void> {
  const settings = readWorkerSettings(process.env);
  const logger = createLogger({
    name: 'worker',
    level: settings.logLevel,
    process: member.nr,
    isShared: settings.processes > 1,
  });
  endOnUncaught(logger);
  if (settings.processes > 1 && isParent()) await supervise(settings, logger);
  else await work(settings, logger, member);
}

/** Runs several workers, and answers for all of them. */
async function supervise(settings: WorkerSettings, logger: Logger): Promise<void> {
  const notReady = () => supervisor.notReady();
  const totals = new AddedUpMetrics(notReady);
  const supervisor = new Supervisor({ count: settings.processes, logger, totals });
  const health = createHealthServer({ notReady, metrics: () => supervisor.metrics() });
  await listen(health, settings);
  await supervisor.start();
  logger.info({ health: health.address(), processes: settings.processes }, 'all workers ready');
}

async function listen(health: Server, { healthPort, host }: WorkerSettings): Promise<void> {
  health.listen(healthPort, host);
  await once(health, 'listening');
}

async function work(settings: WorkerSettings, logger: Logger, member: Member): Promise<void> {
  const keyring = Keyring.fromMasterKeys(settings.masterKey, settings.previousMasterKey);
  const client = connect(settings.redisUrls, 'background', (error) => {
    logger.warn({ err: { message: error.message } }, 'trouble with Redis');
  });
  await whenReady(client, CONNECT_MS);
  for (const warning of await checkServer(client, { keyring })) logger.warn(warning);

  if (settings.threads === undefined) logger.warn(FEW_THREADS);

  const stop = new AbortController();
  const state = { starting: true, draining: false, unknownKeyAt: Number.NEGATIVE_INFINITY };
  const shards = new Shards(client);
  const http = await createHttpClient(settings.httpClient, {
    policy: new AddressPolicy(settings.allowSubnets),
    allowHttp: !settings.httpsOnly,
  });
  const expressions = new Expressions();
  const metrics = createMetrics('worker');
  const counts = new DeliveryCounts(metrics.instruments);
  const otel = await startOtel(settings.otel, {
    role: 'worker',
    version: VERSION,
    logger,
    metrics,
    process: member.nr,
  });
  const server = new ShardServer({
    shards,
    redisUrls: settings.redisUrls,
    concurrency: settings.concurrency,
    retention: settings.retention,
    maxAgeMs: settings.maxAgeMs,
    logger,
    deliver: deliverOptions(
      settings,
      keyring,
      shards,
      http,
      expressions,
      logger,
      counts,
      otel.tracing,
      stop.signal,
    ),
    onUnknownKey: () => {
      state.unknownKeyAt = performance.now();
    },
  });

  const probe = new WriteProbe(client);
  const notReady = async () => {
    if (state.draining) return 'draining';
    if (state.starting) return 'starting';
    if (performance.now() - state.unknownKeyAt < UNKNOWN_KEY_MS)
      return 'something is stored under a master key that is not known here';
    return server.trouble ?? probe.trouble();
  };
  watchRedis(metrics, (onRoundTrip) => lookAtRedis(shards, onRoundTrip));
  watchReadiness(metrics, notReady);
  metrics.beforeRead(async () => {
    metrics.instruments.deliveriesDetached.set(server.detached);
  });
  member.tells({ notReady, metrics: metrics.snapshot, text: metrics.text });
  const health = createHealthServer({ notReady, metrics: metrics.text });

  const drain = async (signal: string) => {
    state.draining = true;
    logger.info({ signal }, 'draining');
    const finish = setTimeout(() => stop.abort(new Error('the worker is stopping')), FINISH_MS);
    setTimeout(() => {
      const left = { attempts: server.underWay };
      logger.error(left, 'not drained in time; what is left comes back when its lock runs out');
      process.exit(0);
    }, EXIT_MS).unref();
    const drained = await Promise.race([server.stop(), whenPointless(client, server)]);
    clearTimeout(finish);
    if (drained === 'pointless') {
      logger.warn('Redis is away and nothing is under way: what this worker had comes back by itself');
      await otel.shutdown();
      process.exit(0);
    }
    http.close();
    expressions.close();
    health.close();
    await otel.shutdown();
    client.disconnect();
    logger.info('drained');
    process.exit(0);
  };

  // Before the first job: who must go, or has no port, shall have none under way, or finish it.
  member.drainsWith(drain);
  // Of several workers the parent answers for all.
  if (member.isAlone) await listen(health, settings);
  await server.start();
  if (state.draining) return;
  state.starting = false;
  logger.info(
    { health: health.address() ?? undefined, slots: settings.concurrency, client: settings.httpClient },
    'worker ready',
  );
  member.started();
}

/**
 * Resolves once Redis has been away for a while and no attempt waits to be recorded. Waiting on could only hand jobs back
 * sooner; an attempt that has been made is waited for to the end, since it would be made again.
 */
async function whenPointless(client: RedisClient, server: ShardServer): Promise<'pointless'> {
  for (let awaySince = performance.now(); ; await delay(AWAY_LOOK_MS)) {
    if (client.status === 'ready' || server.underWay > 0) awaySince = performance.now();
    else if (performance.now() - awaySince >= AWAY_MS) return 'pointless';
  }
}

function deliverOptions(
  settings: WorkerSettings,
  keyring: Keyring,
  shards: Shards,
  http: DeliverOptions['http'],
  expressions: Expressions,
  logger: Logger,
  counts: DeliveryCounts,
  tracing: Tracing,
  stop: AbortSignal,
): DeliverOptions {
  return {
    keyring,
    // A worker makes no apps.
    configs: new Configs({ shards, keyring, shardsForNewApps: 1 }),
    destinations: new Destinations(keyring),
    http,
    expressions,
    killed: new KilledInARow(),
    retention: settings.retention,
    disableAfterMs: settings.disableAfterMs,
    logger,
    counts,
    tracing,
    fault: (step) => {
      if (step === settings.faultPoint) process.kill(process.pid, 'SIGKILL');
    },
    stop,
    now: Date.now,
    random: Math.random,
  };
}

const member = new Member();
main(member).catch((error: unknown) => {
  // Before or without a logger: what stops the start must be readable.
  const message =
    error instanceof SettingsError ? error.message : String(error instanceof Error ? error.message : error);
  member.failed(message, (why) => process.stderr.write(`The worker cannot start. ${why}\n`));
});
