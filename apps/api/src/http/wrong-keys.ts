import { isIPv6 } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { SealpostError } from '@sealpost/core';
import { LRUCache } from 'lru-cache';

/** Wrong keys that an address may send in a window before it is slowed down. */
const FREE = 20;
const WINDOW_MS = 60_000;
/** A slowed address has this many keys looked at at once, and waits so long for the answer to each wrong one, ms. */
const AT_ONCE = 10;
const PAUSE_MS = 1000;
/** Addresses, and keys that were right, remembered; the oldest are forgotten first. */
const REMEMBERED = 10_000;
const RIGHT_FOR_MS = 3_600_000;

/** Both in ms. */
type Clock = { now(): number; pause(ms: number): Promise<unknown> };

/**
 * Slows down guessing of API keys, in each process for itself. Nobody is locked out: a key that was right within the hour
 * is never held up, and any other right one is let in whatever its address has done; only while that address is having
 * {@link AT_ONCE} others looked at, it must come again. Behind a proxy all clients have one address, which therefore
 * counts for nothing but speed.
 */
export class WrongKeys {
  readonly #wrong: LRUCache<string, number>;
  readonly #right: LRUCache<string, true>;
  /** Keys of slowed addresses that are looked at now. */
  readonly #looking = new Map<string, number>();
  readonly #clock: Clock;

  constructor(clock: Clock = { now: () => performance.now(), pause: (ms) => delay(ms) }) {
    const remember = { max: REMEMBERED, perf: clock, ttlResolution: 0 };
    this.#wrong = new LRUCache({ ...remember, ttl: WINDOW_MS, noUpdateTTL: true });
    this.#right = new LRUCache({ ...remember, ttl: RIGHT_FOR_MS });
    this.#clock = clock;
  }

  /**
   * What `look` finds for a key; undefined: it is wrong.
   * @param hash of the key
   * @throws SealpostError too_many_wrong_keys
   */
  async check<T>(
    address: string | undefined,
    hash: string,
    look: () => Promise<T | undefined>,
  ): Promise<T | undefined> {
    const from = networkOf(address ?? '');
    const slowed = (this.#wrong.get(from) ?? 0) >= FREE && !this.#right.has(hash);
    if (slowed) return this.#checkSlowly(from, hash, look);
    const found = await look();
    this.#remember(from, hash, found !== undefined);
    return found;
  }

  async #checkSlowly<T>(from: string, hash: string, look: () => Promise<T | undefined>): Promise<T> {
    const looking = this.#looking.get(from) ?? 0;
    if (looking >= AT_ONCE) throw tooMany();
    this.#looking.set(from, looking + 1);
    try {
      const found = await look();
      this.#remember(from, hash, found !== undefined);
      if (found !== undefined) return found;
      await this.#clock.pause(PAUSE_MS);
      throw tooMany();
    } finally {
      const left = this.#looking.get(from)! - 1;
      if (left > 0) this.#looking.set(from, left);
      else this.#looking.delete(from);
    }
  }

  #remember(from: string, hash: string, right: boolean): void {
    if (right) this.#right.set(hash, true);
    else this.#wrong.set(from, (this.#wrong.get(from) ?? 0) + 1);
  }
}

/** Who has one IPv6 address has the /64 around it (RFC 6177). */
export function networkOf(address: string): string {
  if (!isIPv6(address) || address.includes('.')) return address;
  const [head = '', tail] = address.split('::');
  const parts = head === '' ? [] : head.split(':');
  const after = tail ? tail.split(':') : [];
  const missing = tail === undefined ? 0 : 8 - parts.length - after.length;
  return [...parts, ...Array<string>(missing).fill('0'), ...after].slice(0, 4).join(':');
}

function tooMany(): SealpostError {
  return new SealpostError('too_many_wrong_keys', 'Too many wrong API keys came from this address.', {
    retryAfterSeconds: 1,
  });
}
