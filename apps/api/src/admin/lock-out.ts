import { LRUCache } from 'lru-cache';

/** Wrong keys from one address before it has to wait, and for how long, ms. */
const TRIES = 5;
const WAIT_MS = 15 * 60_000;
/** Addresses remembered; the oldest is forgotten first. */
const ADDRESSES = 10_000;

/** Slows down guessing of keys at the log-in, in each process for itself. */
export class LockOut {
  readonly #failures = new LRUCache<string, number>({ max: ADDRESSES, ttl: WAIT_MS });

  /** Seconds to wait; 0: may try. */
  waitSeconds(address: string): number {
    if ((this.#failures.get(address) ?? 0) < TRIES) return 0;
    return Math.ceil(this.#failures.getRemainingTTL(address) / 1000);
  }

  failed(address: string): void {
    this.#failures.set(address, (this.#failures.get(address) ?? 0) + 1);
  }

  succeeded(address: string): void {
    this.#failures.delete(address);
  }
}
