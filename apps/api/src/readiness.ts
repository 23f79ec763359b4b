import { isUnavailable, type RedisClient } from '@sealpost/queue';

/** Redis is asked at most this often, ms, however many ask us. */
const FRESH_MS = 1000;

/** Whether events can be published now. */
export class Readiness {
  draining = false;
  /** Something stored needs a master key that this process does not have; only other settings can change that. */
  unknownKey = false;
  readonly #client: RedisClient;
  /** Monotonic: the machine's clock may be set back. */
  #checkedAt = Number.NEGATIVE_INFINITY;
  #last: Promise<string | undefined> = Promise.resolve(undefined);

  constructor(client: RedisClient) {
    this.#client = client;
  }

  /** Undefined: ready. Else why not, in a few words. */
  async notReady(): Promise<string | undefined> {
    if (this.draining) return 'draining';
    if (this.unknownKey) return 'something is stored under a master key that is not known here';
    const now = performance.now();
    if (now - this.#checkedAt > FRESH_MS) {
      this.#checkedAt = now;
      this.#last = this.#probe();
    }
    return this.#last;
  }

  async #probe(): Promise<string | undefined> {
    try {
      await this.#client.set('sp:probe', '1', 'EX', 60);
      return undefined;
    } catch (error) {
      if (isUnavailable(error)) return 'Redis cannot be reached or takes no writes';
      return 'Redis refuses to write'; // a password or a permission that was taken away, for one
    }
  }
}
