import { ClusterConnection, keyOnEach } from './cluster-connection.ts';
import { isUnavailable, type RedisClient } from './connection.ts';

/** Redis is asked at most this often, ms, however many ask us. */
const FRESH_MS = 1000;
const KEY = 'sp:probe';
/** Whoever asks us waits no longer than this, ms; then what was last known is told. */
const WAIT_MS = 500;
/** A Redis that has not answered for so long, ms, hangs. One that is only busy, as under overload, does its work. */
const PATIENCE_MS = 5000;

/**
 * Whether Redis answers and takes writes, as readiness tells it. A connection that looks alive proves neither. Of a Cluster
 * one master that does is enough: what lies there is still published and delivered, and all processes would be unready at
 * once otherwise.
 */
export class WriteProbe {
  readonly #client: RedisClient;
  /** Monotonic: the machine's clock may be set back. */
  #askedAt = Number.NEGATIVE_INFINITY;
  #last: string | undefined;
  /** The write that has yet to be answered: a Redis that hangs gets no second one. */
  #asking: Promise<void> | undefined;

  constructor(client: RedisClient) {
    this.#client = client;
  }

  /** Undefined: it does. Else why not, in a few words. */
  async trouble(): Promise<string | undefined> {
    // What is written now would wait until it is back.
    if (this.#client.status !== 'ready') return 'Redis cannot be reached, or is loading its data';
    if (!this.#asking && performance.now() - this.#askedAt > FRESH_MS) {
      this.#askedAt = performance.now();
      this.#asking = this.#ask().then((trouble) => {
        this.#last = trouble;
        this.#asking = undefined;
      });
    }
    if (this.#asking) await atMost(WAIT_MS, this.#asking);
    if (this.#asking && performance.now() - this.#askedAt > PATIENCE_MS) return 'Redis does not answer';
    return this.#last;
  }

  async #ask(): Promise<string | undefined> {
    const client = this.#client;
    const keys = client instanceof ClusterConnection ? keyOnEach(client, KEY) : [KEY];
    try {
      await Promise.any(keys.map((key) => client.set(key, '1', 'EX', 60)));
      return undefined;
    } catch (error) {
      const { errors } = error as AggregateError;
      if (errors.every(isUnavailable)) return 'Redis cannot be reached or takes no writes';
      return 'Redis refuses to write'; // a password or a permission that was taken away, for one
    }
  }
}

async function atMost(ms: number, waitedFor: Promise<void>): Promise<void> {
  const late = Promise.withResolvers<void>();
  const timer = setTimeout(late.resolve, ms);
  await Promise.race([waitedFor, late.promise]);
  clearTimeout(timer);
}
