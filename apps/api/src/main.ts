import { once } from 'node:events';
import { AddressPolicy, inputParser, Keyring, SettingsError } from '@sealpost/core';
import { checkDurability, checkServer, connect, Shards, whenReady } from '@sealpost/queue';
import { Configs, Deliveries, Events, Idempotency } from '@sealpost/store';
import { createLogger } from '@sealpost/telemetry';
import { createApp } from './app.ts';
import { readApiSettings } from './config.ts';
import { defineRoute } from './http/route.ts';
import { FirstAttempts } from './ingest/await-first-attempts.ts';
import { PublishEvents } from './ingest/publish-events.ts';
import { ShedLoad } from './ingest/shed-load.ts';
import { appRoutes } from './routes/apps.ts';
import { correlationRoutes } from './routes/correlations.ts';
import { deliveryRoutes } from './routes/deliveries.ts';
import { endpointRoutes } from './routes/endpoints.ts';
import { eventRoutes } from './routes/events.ts';
import { keyRoutes } from './routes/keys.ts';
import type { Services } from './services.ts';

async function main(): Promise<void> {
  const settings = readApiSettings(process.env);
  const logger = createLogger({ name: 'api', level: settings.logLevel });
  const keyring = Keyring.fromMasterKeys(settings.masterKey, settings.previousMasterKey);
  const onError = (error: Error) => logger.warn({ err: { message: error.message } }, 'trouble with Redis');
  const client = connect(settings.redisUrls, 'request', onError);
  await whenReady(client, 15_000);
  for (const warning of await checkServer(client, { keyring })) logger.warn(warning);
  const { barrier, warnings } = await checkDurability(client, settings.durability);
  for (const warning of warnings) logger.warn(warning);
  const shards = new Shards(client);
  const configs = new Configs({ shards, keyring, shardsForNewApps: settings.shards });
  const policy = new AddressPolicy(settings.allowSubnets);
  const events = new Events();
  const deliveries = new Deliveries();
  const firstAttempts = new FirstAttempts(() => connect(settings.redisUrls, 'background', onError));
  const publish = new PublishEvents({
    shards,
    configs,
    events,
    deliveries,
    keyring,
    firstAttempts,
    retention: settings.retention,
    barrier,
    shed: new ShedLoad(client, settings.shedMemory),
    fault: (step) => {
      if (step === settings.faultPoint) process.kill(process.pid, 'SIGKILL');
    },
    logger,
  });
  const services: Services = {
    settings,
    logger,
    keyring,
    policy,
    parser: inputParser({ httpsOnly: settings.httpsOnly, policy }),
    shards,
    configs,
    events,
    deliveries,
    idempotency: new Idempotency(keyring),
    publish,
    firstAttempts,
  };
  const now = Date.now();
  await configs.put(
    'default',
    (present) =>
      present ?? {
        app: 'default',
        name: null,
        wireProfile: 'standard',
        signingSecretSealed: null,
        defaults: {},
        maxEndpoints: null,
        metadata: {},
        createdAt: now,
        updatedAt: now,
      },
  );
  const health = [
    defineRoute({
      method: 'get',
      path: '/livez',
      tag: 'Health',
      summary: 'Live',
      access: { open: 'x' },
      answers: {},
      handle: async () => ({ status: 200, body: { status: 'ok' } }),
    }),
    defineRoute({
      method: 'get',
      path: '/readyz',
      tag: 'Health',
      summary: 'Ready',
      access: { open: 'x' },
      answers: {},
      handle: async () => {
        await client.set('sp:probe', '1', 'EX', 10);
        return { status: 200, body: { status: 'ok' } };
      },
    }),
  ];
  const app = createApp(services, [
    ...health,
    ...appRoutes(services),
    ...keyRoutes(services),
    ...endpointRoutes(services),
    ...eventRoutes(services),
    ...deliveryRoutes(services),
    ...correlationRoutes(services),
  ]);
  const server = app.listen(settings.port, settings.host);
  await once(server, 'listening');
  logger.info('api ready');
  process.on('SIGTERM', () => {
    server.close(() => process.exit(0));
    server.closeIdleConnections();
    setTimeout(() => process.exit(0), 25_000).unref();
  });
}

main().catch((error: unknown) => {
  process.stderr.write(
    `The API cannot start. ${error instanceof SettingsError || error instanceof Error ? error.message : error}\n`,
  );
  process.exit(1);
});
