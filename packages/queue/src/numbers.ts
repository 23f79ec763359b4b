import type { Shard } from './shard.ts';

/** Numbers reserved at a time: grows with use, so that a quiet process wastes few and a busy one rarely asks. */
const SMALLEST = 32;
const LARGEST = 4096;

/**
 * Numbers for events and deliveries, reserved in blocks, since an id must be known before it is sealed. A block that
 * is lost with its process leaves a gap, which nothing minds.
 */
export class Numbers {
  readonly #shard: Shard;
  #next = 0;
  #end = 0;
  #size = SMALLEST;
  #reserving: Promise<void> | undefined;

  constructor(shard: Shard) {
    this.#shard = shard;
  }

  /** Gives up what is reserved: a Redis that comes back may have forgotten that it gave these numbers out. */
  drop(): void {
    this.#next = this.#end;
  }

  /** The first of `count` consecutive numbers that nobody else has. */
  async take(count: number): Promise<number> {
    while (this.#end - this.#next < count) {
      this.#reserving ??= this.#reserve(count).finally(() => {
        this.#reserving = undefined;
      });
      await this.#reserving;
    }
    const first = this.#next;
    this.#next += count;
    return first;
  }

  async #reserve(count: number): Promise<void> {
    const size = Math.max(count, this.#size);
    this.#size = Math.min(this.#size * 2, LARGEST);
    const end = await this.#shard.client.incrby(this.#shard.key('n'), size);
    this.#next = end - size + 1;
    this.#end = end + 1;
  }
}
