import { AddressPolicy, inputParser, Keyring } from '@sealpost/core';
import {
  Barrier,
  type BarrierKind,
  ClusterConnection,
  checkDurability,
  checkServer,
  connect,
  type RedisClient,
  Shards,
  whenReady,
} from '@sealpost/queue';
import { Expressions } from '@sealpost/sandbox';
import { Configs, Deliveries, Events, Records } from '@sealpost/store';
import type { Logger, Metrics, Tracing } from '@sealpost/telemetry';
import type { IngestSettings } from '../config.ts';
import type { Services } from '../services.ts';
import { FirstAttempts } from './await-first-attempts.ts';
import { type FaultPoint, PublishEvents } from './publish-events.ts';
import { ShedLoad } from './shed-load.ts';

/** How long to wait for Redis at the start, ms. */
const CONNECT_MS = 15_000;

export type Ingest = Pick<
  Services,
  | 'keyring'
  | 'policy'
  | 'parser'
  | 'shards'
  | 'configs'
  | 'events'
  | 'deliveries'
  | 'records'
  | 'publish'
  | 'firstAttempts'
  | 'expressions'
> & { barrier: Barrier | undefined };

type Options = {
  settings: IngestSettings;
  /** For all but publishing: whoever reads does not wait behind ACCEPTs, nor behind what blocks until it is durable. */
  client: RedisClient;
  /** For publishing; the same one where nothing else is done. */
  publishing: RedisClient;
  logger: Logger;
  metrics: Metrics<'api'>;
  tracing: Tracing;
  onRedisError: (error: Error) => void;
  fault?: FaultPoint;
};

/**
 * The main path with all that it needs, made the same way for an API and for a publisher without one (publisher.ts).
 * @throws ServerCheckError when Redis is not fit for it
 */
export async function createIngest(options: Options): Promise<Ingest> {
  const { settings, client, publishing, logger, onRedisError } = options;
  const keyring = Keyring.fromMasterKeys(settings.masterKey, settings.previousMasterKey);
  for (const warning of await checkServer(client, { keyring })) logger.warn(warning);
  const { barrier: kind, warnings } = await checkDurability(client, settings.durability);
  for (const warning of warnings) logger.warn(warning);

  const shards = new Shards(client);
  const barrier = kind === 'none' ? undefined : await openBarrier(settings.redisUrls, kind, onRedisError);
  const configs = new Configs({
    shards,
    keyring,
    shardsForNewApps: settings.shards,
    // With one server, what confirms an event confirms all that was written before it.
    barrier: client instanceof ClusterConnection ? barrier : undefined,
  });
  const policy = new AddressPolicy(settings.allowSubnets);
  const parser = inputParser({ httpsOnly: settings.httpsOnly, policy });
  const events = new Events();
  const deliveries = new Deliveries();
  const records = new Records({ shards, deliveries, events });
  const firstAttempts = new FirstAttempts(() => connect(settings.redisUrls, 'background', onRedisError));
  const expressions = new Expressions();
  const publish = new PublishEvents({
    shards: client === publishing ? shards : new Shards(publishing),
    configs,
    events,
    deliveries,
    records,
    keyring,
    firstAttempts,
    expressions,
    retention: settings.retention,
    barrier,
    shed: new ShedLoad({ shards, memoryShare: settings.shedMemory, depth: settings.shedDepth, logger }),
    fault: options.fault ?? (() => {}),
    logger,
    instruments: options.metrics.instruments,
    tracing: options.tracing,
  });
  return {
    keyring,
    policy,
    parser,
    shards,
    configs,
    events,
    deliveries,
    records,
    publish,
    firstAttempts,
    expressions,
    barrier,
  };
}

/** Resolves when it can be waited at: who publishes at once would be told that Redis is away, and Redis have the event. */
async function openBarrier(
  urls: string[],
  kind: BarrierKind,
  onRedisError: (error: Error) => void,
): Promise<Barrier> {
  const connection = connect(urls, 'request', onRedisError);
  await whenReady(connection, CONNECT_MS).catch((error: unknown) => {
    connection.disconnect();
    throw error;
  });
  return new Barrier(connection, kind);
}
