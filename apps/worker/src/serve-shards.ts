import type { Retention, Shards } from '@sealpost/queue';
import type { Logger } from '@sealpost/telemetry';
import { Consumer } from './consume-deliveries.ts';
import type { DeliverOptions } from './deliver/deliver-job.ts';
import { Housekeeper } from './keep-house.ts';

/** How often Redis is asked for shards that are new, ms. */
const LOOK_MS = 2000;
/** Served from the start, so that the first app of all finds a worker that waits. */
const FIRST_SHARD = 0;

export type ServeOptions = {
  shards: Shards;
  redisUrls: string[];
  /** Jobs at a time, over all shards. */
  concurrency: number;
  deliver: DeliverOptions;
  retention: Retention;
  logger: Logger;
  onUnknownKey: () => void;
};

/** Serves every shard that Redis knows of, also those that come later; the slots are shared out among them. */
export class ShardServer {
  readonly #options: ServeOptions;
  readonly #served = new Map<number, { consumer: Consumer; housekeeper: Housekeeper }>();
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(options: ServeOptions) {
    this.#options = options;
  }

  /** Resolves when all shards that are known now are served. */
  async start(): Promise<void> {
    await this.#look();
    this.#timer = setInterval(() => {
      this.#look().catch((error: unknown) => {
        this.#options.logger.warn({ err: error }, 'could not look for new shards; trying again');
      });
    }, LOOK_MS);
  }

  /** Why this worker does not deliver now; undefined when it does. */
  get trouble(): string | undefined {
    const paused = [...this.#served].find(([, { consumer }]) => consumer.paused);
    return paused && `Redis refuses writes for shard ${paused[0]}`;
  }

  /** Takes no more jobs, and resolves when those under way have ended. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearInterval(this.#timer);
    const served = [...this.#served.values()];
    await Promise.all(served.flatMap(({ consumer, housekeeper }) => [consumer.close(), housekeeper.stop()]));
  }

  async #look(): Promise<void> {
    const known = [...new Set([FIRST_SHARD, ...(await this.#options.shards.known())])];
    const added = known.filter((number) => !this.#served.has(number));
    if (added.length === 0 || this.#stopped) return;
    const slots = Math.max(1, Math.floor(this.#options.concurrency / known.length));
    for (const { consumer } of this.#served.values()) consumer.concurrency = slots;
    for (const number of added) this.#serve(number, slots);
  }

  #serve(number: number, slots: number): void {
    const { shards, redisUrls, deliver, retention, logger, onUnknownKey } = this.#options;
    const shard = shards.get(number);
    const consumer = new Consumer({ shard, redisUrls, concurrency: slots, deliver, logger, onUnknownKey });
    const housekeeper = new Housekeeper(shard, retention, logger);
    housekeeper.start();
    this.#served.set(number, { consumer, housekeeper });
    logger.info({ shard: number, slots }, 'serving shard');
  }
}
