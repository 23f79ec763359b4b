import { type PumpOptions, pump, type Shard } from '@sealpost/queue';
import type { Logger } from '@sealpost/telemetry';
import { Turns } from './take-turns.ts';

/** At least this often, ms: it is the worker's sign of life, and finds lanes that another process has set to wake. */
const EVERY_MS = 1000;
/** A lane that is to be woken sooner waits so long all the same, ms: some of them wake together. */
const LEAST_MS = 2;

/** Wakes the lanes of one shard when their time has come, and lets them have what slots there are. */
export class Pump {
  readonly turns: Turns;
  readonly #shard: Shard;
  readonly #logger: Logger;
  readonly #options: () => PumpOptions;
  readonly #onExpired: (count: number) => void;
  #timer: NodeJS.Timeout | undefined;
  #dueAt = Number.POSITIVE_INFINITY;
  #running: Promise<void> | undefined;
  /** A timer went off while a pump was under way. */
  #missed = false;
  #stopped = false;

  /**
   * @param options as they are when asked: slots change when shards come
   * @param onExpired told how many deliveries were held for too long
   */
  constructor(
    shard: Shard,
    logger: Logger,
    options: () => PumpOptions,
    onExpired: (count: number) => void = () => {},
  ) {
    this.#shard = shard;
    this.#logger = logger;
    this.#options = options;
    this.#onExpired = onExpired;
    this.turns = new Turns(shard, logger, (ms) => this.#schedule(ms));
  }

  /** Resolves when it has pumped for the first time. */
  async start(): Promise<void> {
    await this.#pump();
  }

  /** The worker's slots count no more. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#running;
    await pump(this.#shard, { ...this.#options(), slots: 0 }).then(this.turns.take, () => {
      // Its sign of life runs out by itself.
    });
  }

  #schedule(ms: number): void {
    const dueAt = Date.now() + Math.max(LEAST_MS, Math.min(ms, EVERY_MS));
    if (this.#stopped || dueAt >= this.#dueAt) return;
    this.#dueAt = dueAt;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#dueAt = Number.POSITIVE_INFINITY;
      if (this.#running) this.#missed = true;
      else void this.#pump();
    }, dueAt - Date.now());
  }

  #pump(): Promise<void> {
    this.#running = this.#untilDone().finally(() => {
      this.#running = undefined;
      this.#schedule(this.#missed ? 0 : EVERY_MS);
      this.#missed = false;
    });
    return this.#running;
  }

  async #untilDone(): Promise<void> {
    try {
      let more = true;
      while (more && !this.#stopped) {
        const turn = await pump(this.#shard, this.#options());
        this.turns.take(turn);
        this.#onExpired(turn.expired);
        more = turn.more;
      }
    } catch (error) {
      this.#logger.warn(
        { err: error, shard: this.#shard.number },
        'lanes could not be looked after; trying again',
      );
    }
  }
}
