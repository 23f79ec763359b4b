import { randomBytes } from 'node:crypto';
import { formatId, type KeyInput, type Keyring, SealpostError } from '@sealpost/core';
import { DIRECTORY, type Shards } from '@sealpost/queue';
import type { AppConfig } from './app-config.ts';
import type { KeyRecord } from './config-records.ts';
import type { Configs } from './configs.ts';

const KEY_BYTES = 32;

/** API keys that may act in one app only: stored as an HMAC, so a key is seen once, when it is made. */
export class AppKeys {
  readonly #shards: Shards;
  readonly #configs: Configs;
  readonly #keyring: Keyring;

  constructor(options: { shards: Shards; configs: Configs; keyring: Keyring }) {
    this.#shards = options.shards;
    this.#configs = options.configs;
    this.#keyring = options.keyring;
  }

  /** @throws SealpostError app_not_found */
  async create(app: string, input: KeyInput, now: number): Promise<{ record: KeyRecord; key: string }> {
    const { shard } = await this.#configs.newest(app);
    const number = await this.#shards.client.incr(this.#shards.get(shard).key('own'));
    const record: KeyRecord = {
      id: formatId('key', shard, number),
      name: input.name ?? null,
      createdAt: now,
    };
    const key = `sk_${randomBytes(KEY_BYTES).toString('base64url')}`;
    const hash = this.#keyring.hashApiKey(key);
    // Before the config, so that a key is found as soon as it counts. Left over, it only points to where no key is.
    await this.#shards.client.hset(DIRECTORY.keys, hash, app);
    await this.#configs.change(app, () => ({ keys: { [hash]: record } }));
    return { record, key };
  }

  /** It counts no more from the answer on. @throws SealpostError app_not_found, key_not_found */
  async remove(app: string, id: string): Promise<void> {
    let hash = '';
    await this.#configs.change(app, (config) => {
      hash = entryOf(config, id)[0];
      return { keys: { [hash]: null } };
    });
    await this.#shards.client.hdel(DIRECTORY.keys, hash);
  }
}

/** @throws SealpostError key_not_found */
export function keyOf(config: AppConfig, id: string): KeyRecord {
  return entryOf(config, id)[1];
}

function entryOf(config: AppConfig, id: string): [hash: string, record: KeyRecord] {
  for (const entry of config.keys) if (entry[1].id === id) return entry;
  throw new SealpostError('key_not_found', `There is no key ${id}.`);
}
