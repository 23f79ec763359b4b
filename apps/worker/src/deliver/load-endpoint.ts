import { formatId, type Keyring } from '@sealpost/core';
import type { Shard } from '@sealpost/queue';
import {
  type AppRecord,
  appNameIn,
  type EndpointRecord,
  type OpenedEndpoint,
  openEndpoint,
  openRecord,
  openSigningSecret,
} from '@sealpost/store';
import { LRUCache } from 'lru-cache';

/** Endpoints that a worker keeps in the clear. */
const CACHED = 20_000;

/** App and endpoint as an attempt needs them. No endpoint: the event's own `webhook_url`. */
export type Destination = {
  app: AppRecord;
  signingSecret: string | undefined;
  endpoint: (OpenedEndpoint & { record: EndpointRecord }) | undefined;
};

export type LoadResult = Destination | 'app_deleted' | 'endpoint_deleted';

/** Reads what CLAIM says has changed, and nothing else. */
export class Destinations {
  readonly #keyring: Keyring;
  readonly #cache = new LRUCache<string, { version: number; destination: LoadResult }>({ max: CACHED });

  constructor(keyring: Keyring) {
    this.#keyring = keyring;
  }

  /**
   * @param app, endpoint owner numbers; endpoint 0: none
   * @param version of the app's config, as CLAIM read it
   * @throws SealpostError config_invalid; KeyringError
   */
  async load(shard: Shard, app: number, endpoint: number, version: number): Promise<LoadResult> {
    const key = `${shard.number}:${app}:${endpoint}`;
    const cached = this.#cache.get(key);
    // Not a later one: a Redis that came back with an older state has lost that.
    if (cached?.version === version) return cached.destination;
    const id = endpoint > 0 ? formatId('ep', shard.number, endpoint) : '';
    const [v, appText, endpointText] = await shard.client.hmget(shard.key(`cfg:${app}`), 'v', 'app', id);
    const destination = this.#open(appText ?? null, endpointText ?? null, id);
    this.#cache.set(key, { version: Number(v), destination });
    return destination;
  }

  #open(appText: string | null, endpointText: string | null, id: string): LoadResult {
    if (appText === null) return 'app_deleted';
    if (id !== '' && endpointText === null) return 'endpoint_deleted';
    // The record names its app, and its MAC is made over that name: one of another app cannot pass.
    const name = appNameIn(appText);
    const app = openRecord<AppRecord>(this.#keyring, name, 'app', appText);
    const record =
      endpointText === null ? undefined : openRecord<EndpointRecord>(this.#keyring, name, id, endpointText);
    return {
      app,
      signingSecret: openSigningSecret(this.#keyring, app),
      endpoint: record && { record, ...openEndpoint(this.#keyring, name, record) },
    };
  }
}
