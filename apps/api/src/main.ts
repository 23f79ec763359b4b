import { once } from 'node:events';
import { createServer, type Server, STATUS_CODES } from 'node:http';
import { Server as TcpServer } from 'node:net';
import type { Duplex } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { SealpostError } from '@sealpost/core';
import { isParent, Member, Supervisor } from '@sealpost/processes';
import { connect, lookAtRedis, type RedisClient, whenReady } from '@sealpost/queue';
import { adoptFormerApiKeys, DEFAULT_APP, ensureApp, Idempotency } from '@sealpost/store';
import {
  AddedUpMetrics,
  createLogger,
  createMetrics,
  endOnUncaught,
  type Logger,
  type Metrics,
  type Otel,
  startOtel,
  type Tracing,
  watchReadiness,
  watchRedis,
} from '@sealpost/telemetry';
import { ADMIN_PATH, adminRouter } from './admin/admin-router.ts';
import { createApp } from './app.ts';
import { readApiSettings, type Settings } from './config.ts';
import { aifaiRoutes } from './dialects/aifai/routes.ts';
import { flagshipRoutes } from './dialects/flagship/routes.ts';
import { flockRoutes } from './dialects/flock/routes.ts';
import { taskflowRoutes } from './dialects/taskflow/routes.ts';
import { Authenticator } from './http/authenticate.ts';
import { presentProblem } from './http/problem.ts';
import type { Route } from './http/route.ts';
import { createIngest } from './ingest/create-ingest.ts';
import { assertPortIsFree, listen } from './listen.ts';
import { OutboxRelay } from './outbox/relay-outbox.ts';
import { Readiness } from './readiness.ts';
import { appRoutes } from './routes/apps.ts';
import { correlationRoutes } from './routes/correlations.ts';
import { deliveryRoutes } from './routes/deliveries.ts';
import { endpointRoutes } from './routes/endpoints.ts';
import { eventRoutes } from './routes/events.ts';
import { healthRoutes } from './routes/health.ts';
import { keyRoutes } from './routes/keys.ts';
import { laneRoutes } from './routes/lanes.ts';
import { metricsRoutes } from './routes/metrics.ts';
import { publishRoutes } from './routes/publish.ts';
import { referenceRoutes } from './routes/reference.ts';
import { replayRoutes } from './routes/replays.ts';
import { testRoutes } from './routes/test-endpoint.ts';
import type { Services } from './services.ts';

const VERSION = '0.1.0';
/** How long to wait for Redis at start, ms. */
const CONNECT_MS = 15_000;
/** After SIGTERM, requests may go on this long, ms. */
const EXIT_MS = 25_000;
/** Clients that keep their connection have this long to be told that it ends, ms. */
const LAST_REQUESTS_MS = 1000;
/** Whom one of several processes sends away connects anew: not to one that is just about to stop listening too, ms. */
const OTHERS_STOP_MS = 500;
/** Headers must arrive within this, ms; read-body.ts limits bodies, and a stream of lines may last. */
const HEADERS_MS = 10_000;
/** How often Node looks whether they have; every 30 s unless told, and so a slow one would have 40 s. */
const CHECKING_MS = 1000;
/** Longer than load balancers keep an idle connection (60 s), so that theirs never meets one that we have closed. */
const KEEP_ALIVE_MS = 65_000;

async function main(member: Member): Promise<void> {
  const settings = readApiSettings(process.env);
  const logger = createLogger({
    name: 'api',
    level: settings.logLevel,
    process: member.nr,
    isShared: settings.processes > 1,
  });
  endOnUncaught(logger);
  if (settings.processes > 1 && isParent()) await supervise(settings, logger);
  else await serve(settings, logger, member);
}

/** Runs several APIs, which answer for each other. */
async function supervise(settings: Settings, logger: Logger): Promise<void> {
  await assertPortIsFree(settings);
  const totals = new AddedUpMetrics(() => supervisor.notReady());
  const supervisor = new Supervisor({ count: settings.processes, logger, totals });
  await supervisor.start();
  logger.info({ processes: settings.processes }, 'all apis ready');
}

async function serve(settings: Settings, logger: Logger, member: Member): Promise<void> {
  const onRedisError = (error: Error) =>
    logger.warn({ err: { message: error.message } }, 'trouble with Redis');
  // One for publishing, one for all else: Redis answers a connection's commands one after the other.
  const client = connect(settings.redisUrls, 'request', onRedisError);
  const publishing = connect(settings.redisUrls, 'request', onRedisError);
  const ready = [client, publishing].map((connection) => whenReady(connection, CONNECT_MS));
  await Promise.all(ready).catch((error: Error) => {
    throw new Error(`Redis, which REDIS_URL names, does not answer: ${error.message}`, { cause: error });
  });

  const metrics = createMetrics('api');
  const otel = await startOtel(settings.otel, {
    role: 'api',
    version: VERSION,
    logger,
    metrics,
    process: member.nr,
  });
  const services: Services = {
    ...(await createServices(settings, logger, metrics, otel.tracing, { client, publishing }, onRedisError)),
    onUnknownKey: () => {
      readiness.unknownKey = true;
    },
  };
  const readiness = new Readiness(client, services.publish);
  const { configs } = services;
  const preset = await ensureApp(configs, services.keyring, DEFAULT_APP, Date.now());
  await configs.confirm(preset).catch((error: Error) => {
    const todo = `PUT /v1/apps/${DEFAULT_APP} when a replica is back, or it may be lost with its Redis`;
    logger.warn({ err: error }, `the app ${DEFAULT_APP} is not held as SEALPOST_DURABILITY says: ${todo}`);
  });
  watchRedis(metrics, (onRoundTrip) => lookAtRedis(services.shards, onRoundTrip));
  const notReady = () => readiness.notReady();
  watchReadiness(metrics, notReady);
  member.tells({ notReady, metrics: metrics.snapshot, text: metrics.text });
  const authenticator = new Authenticator(services, settings.apiKeys);
  const { keyring, shards } = services;
  const board = adminRouter({ keyring, shards, authenticator, writable: settings.boardWritable, logger });
  const { messages, listener } = createApp(services, authenticator, allRoutes(services, member), {
    path: ADMIN_PATH,
    router: board,
  });
  const server = createServer(
    {
      ...messages,
      headersTimeout: HEADERS_MS,
      connectionsCheckingInterval: CHECKING_MS,
      requestTimeout: 0,
      keepAliveTimeout: KEEP_ALIVE_MS,
    },
    listener,
  );
  server.on('clientError', answerClientError);
  await listen(server, settings, member.isAlone);
  logger.info({ address: server.address() }, 'api ready');
  const relay = new OutboxRelay(services);
  relay.start();
  drainOnSignal(member, server, readiness, services, relay, [client, publishing], otel);
}

async function createServices(
  settings: Settings,
  logger: Logger,
  metrics: Metrics<'api'>,
  tracing: Tracing,
  connections: { client: RedisClient; publishing: RedisClient },
  onRedisError: (error: Error) => void,
): Promise<Services> {
  const ingest = await createIngest({
    settings,
    ...connections,
    logger,
    metrics,
    tracing,
    onRedisError,
    fault: (step) => {
      if (step === settings.faultPoint) process.kill(process.pid, 'SIGKILL');
    },
  });
  const { keyring } = ingest;
  for (const warning of await adoptFormerApiKeys(connections.client, keyring)) logger.warn(warning);
  return { ...ingest, settings, logger, metrics, tracing, idempotency: new Idempotency(keyring) };
}

function allRoutes(services: Services, member: Member): Route[] {
  const routes = [
    ...appRoutes(services),
    ...keyRoutes(services),
    ...endpointRoutes(services),
    ...laneRoutes(services),
    ...testRoutes(services),
    ...publishRoutes(services),
    ...eventRoutes(services),
    ...deliveryRoutes(services),
    ...replayRoutes(services),
    ...correlationRoutes(services),
    ...taskflowRoutes(services),
    ...flagshipRoutes(services),
    ...aifaiRoutes(services),
    ...flockRoutes(services),
    ...healthRoutes(
      () => member.allNotReady(),
      () => services.publish.sheds,
    ),
    ...metricsRoutes(() => member.allMetrics(), services.settings.metricsOpen),
  ];
  return [...routes, ...referenceRoutes(routes, VERSION)];
}

/** What is no HTTP, or too much of it, never gets to a route. */
function answerClientError(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  const problem = presentProblem(clientProblem(error.code));
  const json = JSON.stringify(problem);
  socket.end(
    `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status]}\r\nconnection: close\r\n` +
      'content-type: application/problem+json; charset=utf-8\r\nx-content-type-options: nosniff\r\n' +
      `content-length: ${Buffer.byteLength(json)}\r\n\r\n${json}`,
  );
}

function clientProblem(code: string | undefined): SealpostError {
  if (code === 'HPE_HEADER_OVERFLOW') {
    return new SealpostError('headers_too_large', 'Path and headers may have 16 KiB together.');
  }
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') {
    return new SealpostError(
      'request_timeout',
      `The headers did not arrive within ${HEADERS_MS / 1000} seconds.`,
    );
  }
  return new SealpostError('malformed_request', 'This is not valid HTTP.');
}

/** Readiness off, no new work, what is under way is finished; a second signal ends at once. */
function drainOnSignal(
  member: Member,
  server: Server,
  readiness: Readiness,
  services: Services,
  relay: OutboxRelay,
  connections: RedisClient[],
  otel: Otel,
): void {
  const { logger, firstAttempts, expressions } = services;
  const drain = async (signal: string) => {
    readiness.draining = true;
    logger.info({ signal }, 'draining');
    setTimeout(() => {
      logger.error('not drained in time; requests that were still running are cut off');
      process.exit(0);
    }, EXIT_MS).unref();
    const closed = once(server, 'close');
    // Node's own close would cut the connections off that are between two requests: they get a second for one more.
    TcpServer.prototype.close.call(server);
    if (!member.isAlone) await delay(OTHERS_STOP_MS);
    // A connection that is kept open would bring new work: each answer is the last on its connection.
    server.prependListener('request', (_request, response) => response.setHeader('connection', 'close'));
    setTimeout(() => server.close(), LAST_REQUESTS_MS);
    await Promise.all([firstAttempts.close(), relay.stop(), closed]);
    expressions.close();
    await otel.shutdown();
    for (const connection of connections) connection.disconnect();
    logger.info('drained');
    process.exit(0);
  };
  member.drainsWith(drain);
  member.started();
}

const member = new Member();
main(member).catch((error: unknown) => {
  // Before or without a logger: what stops the start must be readable.
  member.failed(error instanceof Error ? error.message : String(error), (why) => {
    process.stderr.write(`The API cannot start. ${why}\n`);
  });
});
