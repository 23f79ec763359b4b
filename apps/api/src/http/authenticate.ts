import { timingSafeEqual } from 'node:crypto';
import { SealpostError } from '@sealpost/core';
import { DIRECTORY } from '@sealpost/queue';
import type { AppConfig } from '@sealpost/store';
import type { Services } from '../services.ts';
import type { Access, Caller } from './route.ts';
import { WrongKeys } from './wrong-keys.ts';

type Owner = { kind: 'operator' } | { kind: 'app'; app: string; keyHash: string };

/** Who calls, by the `Authorization: Bearer` header. */
export class Authenticator {
  readonly #services: Pick<Services, 'configs' | 'keyring' | 'shards'>;
  /** Hashes of the operators' keys. */
  readonly operators: readonly string[];
  readonly #operators: Buffer[];
  readonly #wrongKeys = new WrongKeys();

  constructor(services: Pick<Services, 'configs' | 'keyring' | 'shards'>, apiKeys: string[]) {
    this.#services = services;
    this.operators = apiKeys.map((key) => services.keyring.hashApiKey(key));
    this.#operators = this.operators.map((hash) => Buffer.from(hash));
  }

  isOperator(key: string): boolean {
    return this.#isOperators(this.#services.keyring.hashApiKey(key));
  }

  /** Constant time in the key: hashes of one length are compared, each with each. */
  #isOperators(hash: string): boolean {
    const given = Buffer.from(hash);
    let found = false;
    for (const operator of this.#operators) if (timingSafeEqual(operator, given)) found = true;
    return found;
  }

  /**
   * @param app in which to act; undefined: the path names none, nor does the caller
   * @param address of the client, which is slowed down when it guesses
   * @throws SealpostError unauthorized, forbidden, key_of_another_app, too_many_wrong_keys
   */
  async authenticate(
    header: string | undefined,
    access: Access,
    app: string | undefined,
    address: string | undefined,
  ): Promise<Caller> {
    if (typeof access === 'object') return { kind: 'anyone' };
    const key = bearerOf(header);
    if (key === undefined) throw unauthorized();
    const owner = await this.#ownerOf(key, address);
    if (!owner) throw unauthorized();
    if (owner.kind === 'operator') return owner;
    if (access === 'operator') throw new SealpostError('forbidden', 'Only an operator may do this.');
    const acts = app ?? (access === 'caller' ? owner.app : undefined);
    if (owner.app !== acts)
      throw new SealpostError('key_of_another_app', 'The API key belongs to another app.');
    return owner;
  }

  /** Whether the header bears an operator's key. @throws SealpostError too_many_wrong_keys */
  async bearsOperatorsKey(header: string, address: string | undefined): Promise<boolean> {
    const key = bearerOf(header);
    return key !== undefined && (await this.#ownerOf(key, address))?.kind === 'operator';
  }

  #ownerOf(key: string, address: string | undefined): Promise<Owner | undefined> {
    const hash = this.#services.keyring.hashApiKey(key);
    return this.#wrongKeys.check(address, hash, async () =>
      this.#isOperators(hash) ? { kind: 'operator' } : this.#appOf(key),
    );
  }

  async #appOf(key: string): Promise<Owner | undefined> {
    const { keyring, shards, configs } = this.#services;
    const hashes = keyring.hashesOfApiKey(key);
    const apps = await shards.client.hmget(DIRECTORY.keys, ...hashes);
    for (const [i, app] of apps.entries()) {
      const keyHash = hashes[i]!;
      if (app === null) continue;
      const config = await configs.newest(app).catch(missing);
      if (config?.keys.has(keyHash)) return { kind: 'app', app, keyHash };
    }
    return undefined;
  }
}

function bearerOf(header: string | undefined): string | undefined {
  return /^Bearer +(\S+) *$/i.exec(header ?? '')?.[1];
}

/** The key counts in this version of the config. @throws SealpostError unauthorized */
export function assertCallerKey(config: AppConfig, caller: Caller): void {
  if (caller.kind === 'app' && !config.keys.has(caller.keyHash)) throw unauthorized();
}

function missing(error: unknown): undefined {
  if (error instanceof SealpostError && error.code === 'app_not_found') return undefined;
  throw error;
}

function unauthorized(): SealpostError {
  return new SealpostError('unauthorized', 'Send a valid API key as `Authorization: Bearer KEY`.');
}
