import { isUnavailable, type RedisClient } from './connection.ts';

/** Redis is asked at most this often, ms, however many ask us. */
const FRESH_MS = 1000;
/** No answer within this, ms: whoever asks us waits hardly longer. */
const PATIENCE_MS = 2000;

/** Whether Redis answers and takes writes, as readiness tells it. A connection that looks alive proves neither. */
export class WriteProbe {
  readonly #client: RedisClient;
  /** Monotonic: the machine's clock may be set back. */
  #askedAt = Number.NEGATIVE_INFINITY;
  #last: Promise<string | undefined> = Promise.resolve(undefined);
  /** The write that has yet to be answered: a Redis that hangs gets no second one. */
  #asking: Promise<string | undefined> | undefined;

  constructor(client: RedisClient) {
    this.#client = client;
  }

  /** Undefined: it does. Else why not, in a few words. */
  async trouble(): Promise<string | undefined> {
    // What is written now would wait until it is back.
    if (this.#client.status !== 'ready') return 'Redis cannot be reached, or is loading its data';
    const now = performance.now();
    if (now - this.#askedAt > FRESH_MS) {
      this.#askedAt = now;
      this.#last = this.#withPatience();
    }
    return this.#last;
  }

  async #withPatience(): Promise<string | undefined> {
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = undefined;
    });
    const late = Promise.withResolvers<string>();
    const timer = setTimeout(() => late.resolve('Redis does not answer'), PATIENCE_MS);
    const answer = await Promise.race([this.#asking, late.promise]);
    clearTimeout(timer);
    return answer;
  }

  async #ask(): Promise<string | undefined> {
    try {
      await this.#client.set('sp:probe', '1', 'EX', 60);
      return undefined;
    } catch (error) {
      if (isUnavailable(error)) return 'Redis cannot be reached or takes no writes';
      return 'Redis refuses to write'; // a password or a permission that was taken away, for one
    }
  }
}
