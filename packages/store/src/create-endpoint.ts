import type { EndpointInput, Keyring } from '@sealpost/core';
import type { AppConfig } from './app-config.ts';
import type { EndpointRecord } from './config-records.ts';
import type { Configs } from './configs.ts';
import { addEndpoint, assertNameFree, assertRoom, type SecretRule } from './endpoints.ts';

/**
 * Makes an endpoint, and tells its secret this once. Undefined only where it is optional, and neither the endpoint nor
 * its app has one.
 * @param now ms epoch
 * @throws SealpostError app_not_found, endpoint_limit_reached, name_taken, validation_failed, config_conflict
 */
export async function createEndpoint(
  { configs, keyring }: { configs: Configs; keyring: Keyring },
  app: string,
  input: EndpointInput,
  now: number,
  rule: SecretRule = {},
): Promise<{ config: AppConfig; endpoint: EndpointRecord; secret: string | undefined }> {
  const config = await configs.newest(app);
  // Looked at here too, so that what must fail takes no number.
  assertRoom(config, input.wire_profile);
  assertNameFree(config, input.name, undefined);
  let ids = await configs.newEndpoint(config);
  let at = config;
  for (;;) {
    let added: ReturnType<typeof addEndpoint> | undefined;
    let elsewhere: AppConfig | undefined;
    const changed = await configs.change(app, (newest) => {
      elsewhere = newest.shard === at.shard ? undefined : newest;
      if (elsewhere) return undefined;
      added = addEndpoint(keyring, newest, ids, input, now, rule);
      return added.change;
    });
    if (!elsewhere) {
      const { endpoint, secret } = added!;
      return { config: changed, endpoint, secret };
    }
    // Made anew meanwhile, or moved: there it needs a number of that shard.
    at = elsewhere;
    ids = await configs.newEndpoint(at);
  }
}
