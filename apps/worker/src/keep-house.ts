import { cancelDeleted, expire, type Retention, reconcile, type Shard } from '@sealpost/queue';
import { feedReplays } from '@sealpost/store';
import type { Logger } from '@sealpost/telemetry';

/** How often a shard is looked after, ms. Each worker does it, so it goes on while any lives. */
const EVERY_MS = 1000;
/** Dropping what is past its retention is not urgent. */
const EXPIRE_EVERY = 10;
/** How much is looked at in one round: a long backlog must not keep Redis busy. */
const MOST_STRETCHES = 20;
/** What was deleted should be gone soon. */
const MOST_CANCELLED = 100;

/** Looks after one shard: orphaned deliveries, backlogs of what was deleted, replays, retention. */
export class Housekeeper {
  readonly #shard: Shard;
  readonly #retention: Retention;
  readonly #logger: Logger;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> = Promise.resolve();
  #round = 0;
  #stopped = false;

  constructor(shard: Shard, retention: Retention, logger: Logger) {
    this.#shard = shard;
    this.#retention = retention;
    this.#logger = logger;
  }

  start(): void {
    this.#timer = setTimeout(() => {
      this.#running = this.#work().finally(() => {
        if (!this.#stopped) this.start();
      });
    }, EVERY_MS);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#running;
  }

  async #work(): Promise<void> {
    await this.#chore(() => this.#reconcile());
    await this.#chore(() => this.#cancelDeleted());
    await this.#chore(() => this.#replay());
    if (this.#round++ % EXPIRE_EVERY === 0) await this.#chore(() => this.#expire());
  }

  async #reconcile(): Promise<void> {
    for (let round = 0; round < MOST_STRETCHES && !this.#stopped; round++) {
      const { found, more } = await reconcile(this.#shard);
      if (found > 0)
        this.#logger.info({ shard: this.#shard.number, deliveries: found }, 'enqueued what had no job');
      if (!more) return;
    }
  }

  async #replay(): Promise<void> {
    const keepMs = this.#retention.recordsMs;
    for (const { id, state } of await feedReplays(this.#shard, { keepMs, stopped: () => this.#stopped })) {
      this.#logger.info({ shard: this.#shard.number, replay: id, state }, 'a replay has ended');
    }
  }

  async #cancelDeleted(): Promise<void> {
    for (let round = 0; round < MOST_CANCELLED && !this.#stopped; round++) {
      if (!(await cancelDeleted(this.#shard, this.#retention))) return;
    }
  }

  async #expire(): Promise<void> {
    for (let round = 0; round < MOST_STRETCHES && !this.#stopped; round++) {
      if ((await expire(this.#shard)) === 0) return;
    }
  }

  /** One that fails must not keep the others from being done. */
  async #chore(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#logger.warn({ err: error, shard: this.#shard.number }, 'housekeeping failed; it is tried again');
    }
  }
}
