import { createHash, randomUUID } from 'node:crypto';
import { type Aad, type Keyring, SealpostError } from '@sealpost/core';
import type { Shard } from '@sealpost/queue';

/** Answers are kept this long. */
export const KEPT_SECONDS = 24 * 3600;
/** A request that has not ended by then died with its process; another may run. */
const RUNNING_SECONDS = 120;

export type KeptAnswer = { status: number; headers: Record<string, string>; json: string };
/** What is stored for an idempotency key; without an answer, its request is running, `by` whom. */
export type StoredAnswer = { hash: string; by?: string; answer?: string };
export type IdempotentRequest = { app: string; owner: number; route: string; key: string; body: string };

/** `begun`: run the request, then `finish` or `forget`. `replay`: it has run; this was the answer. */
export type Begin = { state: 'begun' } | { state: 'replay'; answer: KeptAnswer };

/**
 * Answers to requests with an `Idempotency-Key`, for 24 h. The key is stored hashed, the answer encrypted (it may hold
 * a secret that is shown once).
 */
export class Idempotency {
  readonly #keyring: Keyring;

  constructor(keyring: Keyring) {
    this.#keyring = keyring;
  }

  /** @throws SealpostError idempotency_in_progress, idempotency_key_reused */
  async begin(shard: Shard, request: IdempotentRequest): Promise<Begin> {
    const name = redisKey(shard, request);
    const running = JSON.stringify({ hash: bodyHash(request), by: randomUUID() } satisfies StoredAnswer);
    if ((await shard.client.set(name, running, 'EX', RUNNING_SECONDS, 'NX')) === 'OK')
      return { state: 'begun' };
    const stored = await shard.client.get(name);
    // It was this call all the same: its answer was lost, and the connection has sent it again.
    if (stored === running) return { state: 'begun' };
    return this.#read(stored, request) ?? this.begin(shard, request);
  }

  /** What is known of it; undefined: nothing. @throws as above */
  async look(shard: Shard, request: IdempotentRequest): Promise<Begin | undefined> {
    return this.#read(await shard.client.get(redisKey(shard, request)), request);
  }

  #read(stored: string | null, request: IdempotentRequest): Begin | undefined {
    if (stored === null) return undefined;
    const entry = JSON.parse(stored) as StoredAnswer;
    if (entry.hash !== bodyHash(request)) {
      throw new SealpostError(
        'idempotency_key_reused',
        'This Idempotency-Key was used within the last 24 hours for a request with another body.',
      );
    }
    if (entry.answer === undefined) {
      throw new SealpostError(
        'idempotency_in_progress',
        'A request with this Idempotency-Key is still running.',
        {
          retryAfterSeconds: 1,
        },
      );
    }
    return {
      state: 'replay',
      answer: JSON.parse(this.#keyring.decrypt(entry.answer, aad(request))) as KeptAnswer,
    };
  }

  async finish(shard: Shard, request: IdempotentRequest, answer: KeptAnswer): Promise<void> {
    const sealed = this.#keyring.encrypt(JSON.stringify(answer), aad(request));
    const entry = JSON.stringify({ hash: bodyHash(request), answer: sealed });
    await shard.client.set(redisKey(shard, request), entry, 'EX', KEPT_SECONDS);
  }

  /** The request failed on our side: the same key may try again. */
  async forget(shard: Shard, request: IdempotentRequest): Promise<void> {
    await shard.client.del(redisKey(shard, request));
  }
}

function redisKey(shard: Shard, request: IdempotentRequest): string {
  return shard.key(`i:${request.owner}:${nameOf(request)}`);
}

function nameOf({ route, key }: IdempotentRequest): string {
  return createHash('sha256').update(`${route}\0${key}`).digest('base64url');
}

function bodyHash({ body }: IdempotentRequest): string {
  return createHash('sha256').update(body).digest('base64url');
}

function aad(request: IdempotentRequest): Aad {
  return answerAad(request.app, request.owner, nameOf(request));
}

/** Ties an answer to its place. No more than its Redis key tells: so it can be encrypted anew without the request. */
export function answerAad(app: string, owner: number, name: string): Aad {
  return { app, record: `idempotency:${owner}`, field: name };
}
