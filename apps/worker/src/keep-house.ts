import { KeyringError } from '@sealpost/core';
import {
  cancelDeleted,
  dropCompleted,
  expire,
  type Retention,
  reconcile,
  recountOpen,
  type Shard,
  type Shards,
} from '@sealpost/queue';
import {
  type Configs,
  disableIdle,
  feedReplays,
  type IdleStep,
  keepMoves,
  takeIdleTurn,
} from '@sealpost/store';
import type { Logger } from '@sealpost/telemetry';
import type { DeliveryCounts } from './deliver/count-deliveries.ts';

/** How often a shard is looked after, ms. Each worker does it, so it goes on while any lives. */
const EVERY_MS = 1000;
/** Dropping what is past its retention is not urgent. */
const EXPIRE_EVERY = 10;
/** Nor is asking whether it is time to count what is open anew, once an hour. */
const RECOUNT_EVERY = 60;
/** Asking whether it is time to look for idle endpoints, once an hour, is still less so. */
const IDLE_EVERY = 60;
/** How much is looked at in one round: a long backlog must not keep Redis busy. */
const MOST_STRETCHES = 20;
/** What was deleted should be gone soon. */
const MOST_CANCELLED = 100;

export type HousekeeperOptions = {
  shards: Shards;
  retention: Retention;
  configs: Configs;
  logger: Logger;
  /** ms epoch. */
  now: () => number;
  counts: DeliveryCounts;
  /** An app's records were written under a key that this process does not have. */
  onUnknownKey: () => void;
};

/** Looks after one shard: orphaned deliveries, backlogs of what was deleted, replays, apps that move, retention, idle endpoints. */
export class Housekeeper {
  readonly #shard: Shard;
  readonly #shards: Shards;
  readonly #retention: Retention;
  readonly #configs: Configs;
  readonly #logger: Logger;
  readonly #now: () => number;
  readonly #counts: DeliveryCounts;
  readonly #onUnknownKey: () => void;
  /** The look for idle endpoints that this worker is at. */
  #idle: AsyncGenerator<IdleStep> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> = Promise.resolve();
  #round = 0;
  #stopped = false;

  constructor(shard: Shard, options: HousekeeperOptions) {
    const { shards, retention, configs, logger, now, counts, onUnknownKey } = options;
    this.#shard = shard;
    this.#shards = shards;
    this.#retention = retention;
    this.#configs = configs;
    this.#logger = logger;
    this.#now = now;
    this.#counts = counts;
    this.#onUnknownKey = onUnknownKey;
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
    await this.#chore(() => this.#keepMoves());
    if (this.#round % EXPIRE_EVERY === 0) await this.#chore(() => this.#expire());
    // Workers do it as they work: what was left by some that have died.
    if (this.#round % EXPIRE_EVERY === 0) await this.#chore(() => dropCompleted(this.#shard));
    if (this.#round % RECOUNT_EVERY === 0) await this.#chore(() => this.#recount());
    if (this.#idle || this.#round % IDLE_EVERY === 0) await this.#chore(() => this.#disableIdle());
    this.#round++;
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
      const stretch = await cancelDeleted(this.#shard, this.#retention);
      if (!stretch) return;
      this.#counts.ended('cancelled', stretch.reason, stretch.cancelled);
    }
  }

  async #keepMoves(): Promise<void> {
    const round = await keepMoves(this.#shard, {
      shards: this.#shards,
      configs: this.#configs,
      keepMs: this.#retention.recordsMs,
      now: this.#now,
    });
    const { number: shard } = this.#shard;
    if (round.letGo > 0) this.#logger.info({ shard, lanes: round.letGo }, 'lanes of a moved app go on here');
    for (const app of round.gone)
      this.#logger.info({ shard, app }, 'nothing is left of an app that has moved away');
    for (const error of round.errors) {
      this.#warn(error, 'could not look after an app that has moved; it is tried again');
    }
  }

  async #recount(): Promise<void> {
    const wrong = await recountOpen(this.#shard);
    // Processes of an older version do not count: after an upgrade, once is to be expected.
    if (wrong)
      this.#logger.info({ shard: this.#shard.number, deliveries: wrong }, 'counted open deliveries anew');
  }

  async #expire(): Promise<void> {
    for (let round = 0; round < MOST_STRETCHES && !this.#stopped; round++) {
      if ((await expire(this.#shard)) === 0) return;
    }
  }

  /** Goes on in the next round, where there is more than one is for. */
  async #disableIdle(): Promise<void> {
    const { number: shard } = this.#shard;
    if (!this.#idle && (await takeIdleTurn(this.#shard, this.#now())))
      this.#idle = disableIdle(this.#shard, this.#configs, this.#now);
    for (let round = 0; round < MOST_STRETCHES && this.#idle && !this.#stopped; round++) {
      // One that has failed is at its end: it says so when it is asked again.
      const { done, value } = await this.#idle.next();
      if (done) this.#idle = undefined;
      else if (value.error !== undefined)
        this.#warn(value.error, 'could not look for idle endpoints', { app: value.app });
      else if (value.disabled.length > 0)
        this.#logger.warn({ shard, app: value.app, endpoints: value.disabled }, 'disabled idle endpoints');
    }
  }

  /** One that fails must not keep the others from being done. */
  async #chore(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#warn(error, 'housekeeping failed; it is tried again');
    }
  }

  #warn(error: unknown, what: string, about: object = {}): void {
    if (error instanceof KeyringError && error.code === 'unknown_key') this.#onUnknownKey();
    this.#logger.warn({ err: error, shard: this.#shard.number, ...about }, what);
  }
}
