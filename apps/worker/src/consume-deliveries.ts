import {
  connect,
  type DeliveryJobData,
  queueName,
  queuePrefix,
  type RedisClient,
  refusesWrites,
  type Shard,
} from '@sealpost/queue';
import type { Logger } from '@sealpost/telemetry';
import { DelayedError, type Job, UnrecoverableError, WaitingError, Worker } from 'bullmq';
import { type DeliverOptions, deliverJob, UnknownKey } from './deliver/deliver-job.ts';
import { backoff, RetryLater, tellBullMq } from './deliver/tell-bullmq.ts';

/** A job that could not be worked on for a reason of ours comes back after this, ms, uncounted. */
const AGAIN_MS = 2000;
/** While Redis refuses writes, it is asked this often whether it takes them again, ms. */
const PROBE_MS = 1000;

export type ConsumerOptions = {
  shard: Shard;
  /** For BullMQ alone: it blocks, and closes them itself. */
  redisUrls: string[];
  concurrency: number;
  deliver: DeliverOptions;
  logger: Logger;
  /** A job was sealed with a key that this process does not have. */
  onUnknownKey: () => void;
};

/** Takes the jobs of one shard and puts their outcomes into BullMQ. */
export class Consumer {
  readonly #options: ConsumerOptions;
  readonly #worker: Worker<DeliveryJobData>;
  #probing: NodeJS.Timeout | undefined;

  constructor(options: ConsumerOptions) {
    this.#options = options;
    const { shard, logger } = options;
    this.#worker = new Worker<DeliveryJobData>(
      queueName(shard.number),
      (job, token) => this.#process(job, token),
      {
        connection: this.#connection() as never,
        prefix: queuePrefix(shard.number),
        concurrency: options.concurrency,
        lockDuration: 15_000,
        stalledInterval: 10_000,
        // The default would fail a delivery that two crashes have touched.
        maxStalledCount: 1_000_000,
        removeOnComplete: { count: 1000 },
        removeOnFail: { count: 10_000 },
        runRetryDelay: 1000,
        settings: { backoffStrategy: backoff },
      },
    );
    this.#worker.on('error', (error) => this.#onError(error));
    this.#worker.on('lockRenewalFailed', (jobs) => {
      // Whoever else runs them now, SETTLE counts each attempt once.
      logger.warn({ jobs: jobs.length }, 'locks were lost: this process was too busy, or Redis too slow');
    });
  }

  /** Jobs at a time, from now on. */
  set concurrency(slots: number) {
    this.#worker.concurrency = slots;
  }

  get paused(): boolean {
    return this.#probing !== undefined;
  }

  /** Takes no more jobs, and resolves when those under way have ended. */
  async close(): Promise<void> {
    clearInterval(this.#probing);
    await this.#worker.close();
  }

  async #process(job: Job<DeliveryJobData>, token: string | undefined): Promise<void> {
    const { deliver, shard, logger } = this.#options;
    const delivery = { id: job.id ?? '', counted: job.attemptsMade, stalled: job.stalledCounter };
    try {
      const outcome = await deliverJob(deliver, shard, delivery);
      if (outcome) tellBullMq(outcome);
    } catch (error) {
      if (error instanceof RetryLater || error instanceof UnrecoverableError) throw error;
      if (deliver.stop.aborted) return handBack(job, token);
      if (error instanceof UnknownKey) this.#options.onUnknownKey();
      logger.error({ err: error, job: job.id }, 'a delivery could not be attempted; it will be tried again');
      await handBackLater(job, token);
    }
  }

  #onError(error: Error): void {
    const { logger } = this.#options;
    if (refusesWrites(error)) this.#pause(error);
    else logger.warn({ err: { message: error.message } }, 'trouble with the queue');
  }

  /** A worker goes on asking a Redis that refuses writes thousands of times a second: stop, and look now and then. */
  #pause(error: Error): void {
    if (this.#probing) return;
    const { logger, shard } = this.#options;
    logger.error(
      { err: { message: error.message } },
      'Redis refuses writes; deliveries wait until it takes them',
    );
    void this.#worker.pause(true);
    this.#probing = setInterval(() => {
      shard.client.set(shard.key('probe'), '1', 'PX', 1000).then(
        () => {
          clearInterval(this.#probing);
          this.#probing = undefined;
          logger.info('Redis takes writes again');
          void this.#worker.resume();
        },
        () => {},
      );
    }, PROBE_MS);
  }

  #connection(): RedisClient {
    // Its errors come out of the worker as well.
    return connect(this.#options.redisUrls, 'blocking', () => {});
  }
}

/** The process has to go: another worker shall have the job at once, and nothing is counted. */
async function handBack(job: Job, token: string | undefined): Promise<never> {
  // If Redis does not take this, the lock runs out and BullMQ puts the job back.
  await job.moveToWait(token).catch(() => {});
  throw new WaitingError();
}

/** As above, after a while. */
async function handBackLater(job: Job, token: string | undefined): Promise<never> {
  await job.moveToDelayed(Date.now() + AGAIN_MS, token).catch(() => {});
  throw new DelayedError();
}
