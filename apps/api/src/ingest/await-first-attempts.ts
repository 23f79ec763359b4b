import { randomUUID } from 'node:crypto';
import { type RedisClient, shardPrefix } from '@sealpost/queue';

type Waiter = { left: number; done: () => void };

export type FirstAttemptsOf = { within(ms: number, signal: AbortSignal): Promise<void>; end(): void };

/**
 * Tells when all deliveries of an event have had their first attempt, for `Prefer: wait`. SETTLE publishes to this
 * process's channel for those who asked. A lost message only means that the wait lasts its full time: the answer is
 * read from the records in any case.
 */
export class FirstAttempts {
  readonly channel = `sp:first:${randomUUID()}`;
  readonly #open: () => RedisClient;
  readonly #waiters = new Map<string, Waiter>();
  #subscriber: Promise<RedisClient> | undefined;

  /** @param open makes a connection of its own: a subscribed one can do nothing else */
  constructor(open: () => RedisClient) {
    this.#open = open;
  }

  /** Must be ready before ACCEPT, or a quick worker could be missed. */
  async listen(): Promise<void> {
    this.#subscriber ??= this.#subscribe().catch((error) => {
      this.#subscriber = undefined;
      throw error;
    });
    await this.#subscriber;
  }

  /** Begins to count for an event that is about to be accepted. `end` must be called in any case. */
  expect(shard: number, event: number, deliveries: number): FirstAttemptsOf {
    const name = shardPrefix(shard) + event;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiters.set(name, { left: deliveries, done: resolve });
    if (deliveries === 0) resolve();
    return {
      within: async (ms, signal) => {
        const timer = setTimeout(resolve, ms);
        signal.addEventListener('abort', () => resolve(), { once: true });
        await promise;
        clearTimeout(timer);
      },
      end: () => this.#waiters.delete(name),
    };
  }

  /** Ends all waits at once: the process is stopping. */
  async close(): Promise<void> {
    for (const waiter of this.#waiters.values()) waiter.done();
    const subscriber = await this.#subscriber?.catch(() => undefined);
    subscriber?.disconnect();
  }

  async #subscribe(): Promise<RedisClient> {
    const client = this.#open();
    client.on('message', (_channel: string, event: string) => {
      const waiter = this.#waiters.get(event);
      if (waiter && --waiter.left === 0) waiter.done();
    });
    try {
      await client.subscribe(this.channel);
      return client;
    } catch (error) {
      client.disconnect();
      throw error;
    }
  }
}
