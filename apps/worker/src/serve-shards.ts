import { randomUUID } from 'node:crypto';
import type { Retention, Shards } from '@sealpost/queue';
import type { Logger } from '@sealpost/telemetry';
import type { DetachedCount } from './attempts.ts';
import { Consumer } from './consume-deliveries.ts';
import type { DeliverOptions } from './deliver/deliver-job.ts';
import { Housekeeper } from './keep-house.ts';
import { Pump } from './pump-lanes.ts';

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
  /** How long a closed, paused or disabled lane may hold a delivery, ms. */
  maxAgeMs: number;
  logger: Logger;
  onUnknownKey: () => void;
};

type Served = { consumer: Consumer; housekeeper: Housekeeper; pump: Pump };

/** Serves every shard that Redis knows of, also those that come later; the slots are shared out among them. */
export class ShardServer {
  readonly #options: ServeOptions;
  readonly #served = new Map<number, Served>();
  readonly #name = randomUUID();
  readonly #detached: DetachedCount = { count: 0 };
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(options: ServeOptions) {
    this.#options = options;
  }

  /** Resolves when all shards that are known now are served. It takes jobs before that. */
  async start(): Promise<void> {
    await this.#look();
    if (this.#stopped) return;
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

  /** Attempts that have given up their slot. */
  get detached(): number {
    return this.#detached.count;
  }

  /** Attempts that have begun and are not settled yet: should this process end now, they would be made again. */
  get underWay(): number {
    return [...this.#served.values()].reduce((sum, { consumer }) => sum + consumer.underWay, 0);
  }

  /** Takes no more jobs, and resolves when those under way have ended. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearInterval(this.#timer);
    const served = [...this.#served.values()];
    await Promise.all(
      served.map(async ({ consumer, housekeeper, pump }) => {
        await Promise.all([pump.stop(), consumer.close(), housekeeper.stop()]);
        await pump.turns.flushed();
      }),
    );
  }

  async #look(): Promise<void> {
    const { shards } = this.#options;
    const told = await shards.known();
    // A server that came back, or took over, with an older state of the directory: other workers shall find them too.
    await shards.add(
      [...this.#served.keys()].filter((number) => number !== FIRST_SHARD && !told.includes(number)),
    );
    const known = [...new Set([FIRST_SHARD, ...told, ...this.#served.keys()])];
    const added = known.filter((number) => !this.#served.has(number));
    if (added.length === 0 || this.#stopped) return;
    const slots = Math.max(1, Math.floor(this.#options.concurrency / known.length));
    for (const { consumer } of this.#served.values()) consumer.concurrency = slots;
    await Promise.all(added.map((number) => this.#serve(number, slots)));
  }

  async #serve(number: number, slots: number): Promise<void> {
    const { shards, redisUrls, deliver, retention, maxAgeMs, logger, onUnknownKey } = this.#options;
    const shard = shards.get(number);
    const worker = this.#name;
    const { counts } = deliver;
    const pumpOptions = () => {
      return { worker, slots: consumer.concurrency, maxAgeMs, retention, clock: deliver.now() };
    };
    const pump = new Pump(shard, logger, pumpOptions, (count) => counts.ended('dead', 'expired', count));
    const { turns } = pump;
    const consumer = new Consumer({
      shard,
      redisUrls,
      concurrency: slots,
      deliver,
      turns,
      detached: this.#detached,
      logger,
      onUnknownKey,
    });
    const housekeeper = new Housekeeper(shard, {
      shards,
      retention,
      configs: deliver.configs,
      logger,
      now: deliver.now,
      counts,
      onUnknownKey,
    });
    this.#served.set(number, { consumer, housekeeper, pump });
    await pump.start();
    if (this.#stopped) return;
    housekeeper.start();
    logger.info({ shard: number, slots }, 'serving shard');
  }
}
