import { type EndpointInput, type Keyring, SealpostError } from '@sealpost/core';
import type { AppConfig } from './app-config.ts';
import type { EndpointRecord } from './config-records.ts';
import type { Configs } from './configs.ts';
import { addEndpoint, assertNameFree, assertRoom } from './endpoints.ts';

/**
 * Makes an endpoint, and tells its secret this once.
 * @param now ms epoch
 * @throws SealpostError app_not_found, endpoint_limit_reached, name_taken, validation_failed, config_conflict
 */
export async function createEndpoint(
  { configs, keyring }: { configs: Configs; keyring: Keyring },
  app: string,
  input: EndpointInput,
  now: number,
): Promise<{ config: AppConfig; endpoint: EndpointRecord; secret: string }> {
  const config = await configs.newest(app);
  // Looked at here too, so that what must fail takes no number.
  assertRoom(config);
  assertNameFree(config, input.name, undefined);
  const ids = await configs.newEndpoint(config);
  let added: ReturnType<typeof addEndpoint> | undefined;
  const changed = await configs.change(app, (newest) => {
    if (newest.shard !== config.shard) {
      throw new SealpostError('config_conflict', `App ${newest.app} was made anew meanwhile; try again.`);
    }
    added = addEndpoint(keyring, newest, ids, input, now);
    return added.change;
  });
  const { endpoint, secret } = added!;
  return { config: changed, endpoint, secret };
}
