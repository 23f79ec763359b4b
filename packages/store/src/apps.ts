import { type AppInput, type Keyring, SealpostError } from '@sealpost/core';
import { DIRECTORY, type Shards } from '@sealpost/queue';
import type { AppConfig } from './app-config.ts';
import { type AppRecord, openRecord } from './config-records.ts';
import type { Configs } from './configs.ts';
import { REDACTED } from './endpoint-headers.ts';

/** The app that always exists. */
export const DEFAULT_APP = 'default';

/** Apps whose record is read at once, when all are listed. */
const CHUNK = 500;

/**
 * An app's record as PUT makes it: what is left out goes back to its default, but the signing secret is kept.
 * @param config the present config, if there is one
 * @throws SealpostError validation_failed when endpoints would be left without a secret; KeyringError
 */
export function appRecord(
  keyring: Keyring,
  app: string,
  input: AppInput,
  config: AppConfig | undefined,
  now: number,
): AppRecord {
  const {
    retry,
    timeout_seconds: timeoutSeconds,
    rate_limit: rateLimit,
    quiet_hours: quietHours,
  } = input.defaults;
  return {
    app,
    name: input.name ?? null,
    wireProfile: input.wire_profile ?? 'standard',
    signingSecretSealed: signingSecret(keyring, app, input.signing_secret, config),
    defaults: {
      ...(retry !== undefined && { retry }),
      ...(timeoutSeconds !== undefined && { timeoutSeconds }),
      ...(rateLimit !== undefined && { rateLimit }),
      ...(quietHours !== undefined && { quietHours }),
    },
    maxEndpoints: input.max_endpoints ?? null,
    ...(typeof input.disable_idle_endpoints === 'boolean' && { disableIdle: input.disable_idle_endpoints }),
    operationalEvents: input.operational_events,
    metadata: input.metadata,
    createdAt: config?.record.createdAt ?? now,
    updatedAt: now,
  };
}

function signingSecret(
  keyring: Keyring,
  app: string,
  secret: string | null | undefined,
  config: AppConfig | undefined,
): string | null {
  const stored = config?.record.signingSecretSealed ?? null;
  if (secret === undefined || (secret === REDACTED && stored !== null)) return stored;
  if (secret === REDACTED) throw invalidSecret('is redacted, and no value is stored for it');
  if (secret !== null) return keyring.encrypt(secret, { app, record: 'app', field: 'signing_secret' });
  const depending = [...(config?.endpoints.values() ?? [])].filter(
    ({ secrets, secretOptional }) => secrets.length === 0 && !secretOptional,
  ).length;
  if (depending > 0) {
    throw invalidSecret(`cannot be removed: ${depending} endpoints have no secret of their own`);
  }
  return null;
}

function invalidSecret(message: string): SealpostError {
  const errors = [{ path: 'signing_secret', message }];
  return new SealpostError('validation_failed', `signing_secret ${message}`, { errors });
}

/** Makes the app with default settings unless it is there. */
export async function ensureApp(
  configs: Configs,
  keyring: Keyring,
  app: string,
  now: number,
): Promise<AppConfig> {
  const present = await configs.load(app);
  if (present) return present;
  const settings: AppInput = { defaults: {}, operational_events: false, metadata: {} };
  const [made] = await configs.put(
    app,
    (there) => there ?? appRecord(keyring, app, settings, undefined, now),
  );
  return made;
}

/** The operators' app: in it Sealpost publishes events about all apps. Operators make it, and only they act in it. */
export const OPERATORS_APP = 'sealpost';

/** @throws SealpostError app_protected */
export function assertTakesKeys(app: string): void {
  if (app !== OPERATORS_APP) return;
  throw new SealpostError('app_protected', `Only operators act in the app ${OPERATORS_APP}: it has no keys.`);
}

/** Deletes an app: its config at once, its backlog in the background. @throws SealpostError app_protected, app_not_found */
export async function deleteApp(configs: Configs, shards: Shards, app: string): Promise<void> {
  if (app === DEFAULT_APP) {
    throw new SealpostError('app_protected', `The app ${DEFAULT_APP} always exists; it cannot be deleted.`);
  }
  const deleted = await configs.change(app, () => ({ deleteApp: true }));
  await configs.unregister(deleted);
  const hashes = [...deleted.keys.keys()];
  if (hashes.length > 0) await shards.client.hdel(DIRECTORY.keys, ...hashes);
}

/** Where an app is, and when it was made (ms epoch). */
export type ListedApp = { app: string; shard: number; number: number; createdAt: number };

/** All apps, for the operator's list. */
export class AppDirectory {
  readonly #shards: Shards;
  readonly #keyring: Keyring;
  /** By place, for which it never changes: so a list reads only the records of apps that it has not seen. */
  #createdAt = new Map<string, number>();

  constructor(shards: Shards, keyring: Keyring) {
    this.#shards = shards;
    this.#keyring = keyring;
  }

  /** Every app, newest first. An entry whose config is gone, or not yet there, is none. */
  async newestFirst(): Promise<ListedApp[]> {
    const entries = Object.entries(await this.#shards.client.hgetall(DIRECTORY.apps));
    const createdAt = new Map<string, number>();
    for (let at = 0; at < entries.length; at += CHUNK) {
      await Promise.all(
        entries.slice(at, at + CHUNK).map(async ([app, place]) => {
          const known = this.#createdAt.get(place) ?? (await this.#record(app, place))?.createdAt;
          if (known !== undefined) createdAt.set(place, known);
        }),
      );
    }
    this.#createdAt = createdAt;
    return entries
      .flatMap(([app, place]): ListedApp[] => {
        const made = createdAt.get(place);
        const [shard, number] = place.split(':').map(Number);
        return made === undefined ? [] : [{ app, shard: shard!, number: number!, createdAt: made }];
      })
      .sort((a, b) => b.createdAt - a.createdAt || (a.app < b.app ? 1 : -1));
  }

  /** The records of these apps, in the same order, without those deleted meanwhile. */
  async records(places: readonly ListedApp[]): Promise<AppRecord[]> {
    const records = await Promise.all(
      places.map(({ app, shard, number }) => this.#record(app, `${shard}:${number}`)),
    );
    return records.filter((record) => record !== undefined);
  }

  async #record(app: string, place: string): Promise<AppRecord | undefined> {
    const [shard, number] = place.split(':').map(Number);
    const stored = await this.#shards.client.hget(this.#shards.get(shard!).key(`cfg:${number}`), 'app');
    return stored === null ? undefined : openRecord<AppRecord>(this.#keyring, app, 'app', stored);
  }
}
