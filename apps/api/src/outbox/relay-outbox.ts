import { KeyringError, SealpostError } from '@sealpost/core';
import { isUnavailable, type Shard, type Shards } from '@sealpost/queue';
import { BATCH, type RelayOptions, relayBatch } from './relay-batch.ts';

/** How often the outboxes are looked at, ms, on average: with some chance, so that processes spread. */
const EVERY_MS = 1000;
/** Where scripts count what they dropped, since the outbox was full. */
const LOST = 'outbox:lost';

/**
 * Turns what scripts have put into the shards' outboxes into operational events. Every API process does so, about once a
 * second, so it goes on while any lives. What cannot be published now stays in the outbox and is tried again.
 */
export class OutboxRelay {
  readonly #options: RelayOptions & { shards: Shards; onUnknownKey?: () => void };
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> = Promise.resolve();
  #stopped = false;
  /** Shards in trouble: told once, not every second. */
  readonly #failing = new Set<number | 'all'>();

  constructor(options: RelayOptions & { shards: Shards; onUnknownKey?: () => void }) {
    this.#options = options;
  }

  start(): void {
    this.#timer = setTimeout(
      () => {
        this.#running = this.#relayAll().finally(() => {
          if (!this.#stopped) this.start();
        });
      },
      EVERY_MS * (0.5 + Math.random()),
    );
  }

  /** Resolves when the batch under way has ended. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#running;
  }

  async #relayAll(): Promise<void> {
    const { shards } = this.#options;
    await this.#tellingTrouble('all', async () => {
      for (const shard of await shards.known()) {
        await this.#tellingTrouble(shard, () => this.#relay(shard));
      }
    });
  }

  /** To the end of the outbox, past what must wait. @throws what made the first of that wait */
  async #relay(number: number): Promise<void> {
    const shard = this.#options.shards.get(number);
    await this.#tellLost(shard);
    let [kept, failure]: [number, unknown] = [0, undefined];
    for (let read = BATCH; read === BATCH && !this.#stopped; ) {
      // Where another process has removed some of these meanwhile, as many are passed over: until the next round.
      const batch = await relayBatch(this.#options, shard, kept);
      failure ??= batch.failure;
      if (holdsAllUp(batch.failure)) break;
      kept += batch.kept;
      ({ read } = batch);
    }
    if (failure !== undefined) throw failure;
  }

  async #tellLost(shard: Shard): Promise<void> {
    const lost = await shard.client.getdel(shard.key(LOST));
    if (lost === null) return;
    this.#options.logger.warn(
      { shard: shard.number, lost: Number(lost) },
      'the outbox was full: operational events were lost',
    );
  }

  /** A shard that fails must not keep the others from being relayed. */
  async #tellingTrouble(what: number | 'all', work: () => Promise<void>): Promise<void> {
    const { logger, onUnknownKey } = this.#options;
    try {
      await work();
      this.#failing.delete(what);
    } catch (error) {
      if (error instanceof KeyringError && error.code === 'unknown_key') onUnknownKey?.();
      if (this.#failing.has(what)) return;
      this.#failing.add(what);
      logger.warn({ err: error, shard: what }, 'operational events wait in the outbox; they are tried again');
    }
  }
}

/** Whether it is nothing about these entries: Redis is away or full, and those behind them would fare no better. */
function holdsAllUp(error: unknown): boolean {
  const code = error instanceof SealpostError ? error.code : undefined;
  return isUnavailable(error) || code === 'overloaded' || code === 'not_durable';
}
