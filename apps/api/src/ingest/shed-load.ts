import { SealpostError } from '@sealpost/core';
import type { RedisClient } from '@sealpost/queue';

/** How old the last reading may be, ms. */
const FRESH_MS = 1000;

/**
 * Refuses to publish while Redis is nearly full, before it refuses writes itself: what is stored can then still be
 * delivered. Reads INFO once a second while events are published, and not at all otherwise.
 */
export class ShedLoad {
  readonly #client: RedisClient;
  readonly #share: number;
  #used = 0;
  /** Monotonic: the machine's clock may be set back. */
  #readAt = Number.NEGATIVE_INFINITY;

  /** @param share of `maxmemory` at which publishing is refused; without a `maxmemory` it never is */
  constructor(client: RedisClient, share: number) {
    this.#client = client;
    this.#share = share;
  }

  /** @throws SealpostError overloaded */
  check(): void {
    const now = performance.now();
    if (now - this.#readAt > FRESH_MS) {
      this.#readAt = now;
      // Should Redis not answer, publishing will say so itself.
      this.#read().catch(() => {});
    }
    if (this.#used < this.#share) return;
    throw new SealpostError(
      'overloaded',
      'Redis is nearly full; deliveries go on, new events are refused meanwhile.',
      {
        retryAfterSeconds: 10,
      },
    );
  }

  async #read(): Promise<void> {
    const info = await this.#client.info('memory');
    const value = (name: string) => Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(info)?.[1] ?? 0);
    const limit = value('maxmemory');
    this.#used = limit === 0 ? 0 : value('used_memory') / limit;
  }
}
