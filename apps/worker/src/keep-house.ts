import { cancelDeleted, expire, type Retention, reconcile, type Shard } from '@sealpost/queue';
import type { Logger } from '@sealpost/telemetry';

/** How often a shard is looked after, ms. Each worker does it, so it goes on while any lives. */
const EVERY_MS = 1000;
/** Dropping what is past its retention is not urgent. */
const EXPIRE_EVERY = 10;

/** Looks after one shard: orphaned deliveries, opened lanes, backlogs of what was deleted, retention. */
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
    try {
      let found = 0;
      do {
        found = await reconcile(this.#shard);
        if (found > 0)
          this.#logger.info({ shard: this.#shard.number, deliveries: found }, 'enqueued what had no job');
      } while (found > 0 && !this.#stopped);
      while (!this.#stopped && (await cancelDeleted(this.#shard, this.#retention)));
      if (this.#round++ % EXPIRE_EVERY === 0) while (!this.#stopped && (await expire(this.#shard)) > 0);
    } catch (error) {
      this.#logger.warn({ err: error, shard: this.#shard.number }, 'housekeeping failed; it is tried again');
    }
  }
}
