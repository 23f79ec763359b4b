import { AddressPolicy, inputParser, Keyring } from '@sealpost/core';
import { checkDurability, checkServer, connect, type RedisClient, Shards } from '@sealpost/queue';
import { Expressions } from '@sealpost/sandbox';
import { Configs, Deliveries, Events } from '@sealpost/store';
import type { Logger, Metrics, Tracing } from '@sealpost/telemetry';
import type { IngestSettings } from '../config.ts';
import type { Services } from '../services.ts';
import { FirstAttempts } from './await-first-attempts.ts';
import { type FaultPoint, PublishEvents } from './publish-events.ts';
import { ShedLoad } from './shed-load.ts';

export type Ingest = Pick<
  Services,
  | 'keyring'
  | 'policy'
  | 'parser'
  | 'shards'
  | 'configs'
  | 'events'
  | 'deliveries'
  | 'publish'
  | 'firstAttempts'
  | 'expressions'
>;

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
  const { barrier, warnings } = await checkDurability(client, settings.durability);
  for (const warning of warnings) logger.warn(warning);

  const shards = new Shards(client);
  const configs = new Configs({ shards, keyring, shardsForNewApps: settings.shards });
  const policy = new AddressPolicy(settings.allowSubnets);
  const parser = inputParser({ httpsOnly: settings.httpsOnly, policy });
  const events = new Events();
  const deliveries = new Deliveries();
  const firstAttempts = new FirstAttempts(() => connect(settings.redisUrls, 'background', onRedisError));
  const expressions = new Expressions();
  const publish = new PublishEvents({
    shards: client === publishing ? shards : new Shards(publishing),
    configs,
    events,
    deliveries,
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
    publish,
    firstAttempts,
    expressions,
  };
}
