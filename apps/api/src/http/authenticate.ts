import { timingSafeEqual } from 'node:crypto';
import { type Keyring, SealpostError } from '@sealpost/core';
import { DIRECTORY } from '@sealpost/queue';
import type { AppConfig } from '@sealpost/store';
import type { Services } from '../services.ts';
import type { Access, Caller } from './route.ts';

/** Who calls, by the `Authorization: Bearer` header. */
export class Authenticator {
  readonly #services: Pick<Services, 'configs' | 'keyring' | 'shards'>;
  /** Hashes of the operators' keys. */
  readonly operators: readonly string[];
  readonly #operators: Buffer[];

  constructor(services: Pick<Services, 'configs' | 'keyring' | 'shards'>, apiKeys: string[]) {
    this.#services = services;
    this.operators = apiKeys.map((key) => services.keyring.hashApiKey(key));
    this.#operators = this.operators.map((hash) => Buffer.from(hash, 'base64url'));
  }

  /** Constant time in the key: digests of one length are compared, each with each. */
  isOperator(key: string): boolean {
    const given = digest(this.#services.keyring, key);
    let found = false;
    for (const operator of this.#operators) if (timingSafeEqual(operator, given)) found = true;
    return found;
  }

  /**
   * @param app in which to act; undefined: the path names none, nor does the caller
   * @throws SealpostError unauthorized, forbidden, key_of_another_app
   */
  async authenticate(header: string | undefined, access: Access, app: string | undefined): Promise<Caller> {
    if (typeof access === 'object') return { kind: 'anyone' };
    const key = /^Bearer +(\S+) *$/i.exec(header ?? '')?.[1];
    if (key === undefined) throw unauthorized();
    if (this.isOperator(key)) return { kind: 'operator' };
    const owner = await this.#appOf(key);
    if (!owner) throw unauthorized();
    if (access === 'operator') throw new SealpostError('forbidden', 'Only an operator may do this.');
    const acts = app ?? (access === 'caller' ? owner.app : undefined);
    if (owner.app !== acts)
      throw new SealpostError('key_of_another_app', 'The API key belongs to another app.');
    return { kind: 'app', app: owner.app, keyHash: owner.keyHash };
  }

  async #appOf(key: string): Promise<{ app: string; keyHash: string } | undefined> {
    const { keyring, shards, configs } = this.#services;
    for (const keyHash of keyring.hashesOfApiKey(key)) {
      const app = await shards.client.hget(DIRECTORY.keys, keyHash);
      if (app === null) continue;
      const config = await configs.newest(app).catch(missing);
      if (config?.keys.has(keyHash)) return { app, keyHash };
    }
    return undefined;
  }
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

function digest(keyring: Keyring, key: string): Buffer {
  return Buffer.from(keyring.hashApiKey(key), 'base64url');
}
