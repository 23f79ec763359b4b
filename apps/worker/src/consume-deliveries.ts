import {
  connect,
  type DeliveryJobData,
  DROP_COMPLETED_EVERY,
  detach,
  dropCompleted,
  queueName,
  queuePrefix,
  type RedisClient,
  refusesWrites,
  type Shard,
} from '@sealpost/queue';
import type { Logger } from '@sealpost/telemetry';
import { DelayedError, type Job, UnrecoverableError, WaitingError, Worker } from 'bullmq';
import { type Attempt, Attempts, type DetachedCount } from './attempts.ts';
import { type DeliverOptions, deliverJob, type JobResult, UnknownKey } from './deliver/deliver-job.ts';
import { backoff, RetryLater, tellBullMq } from './deliver/tell-bullmq.ts';
import { RunningJob } from './running-job.ts';
import type { Turns } from './take-turns.ts';

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
  turns: Turns;
  detached: DetachedCount;
  logger: Logger;
  /** A job was sealed with a key that this process does not have. */
  onUnknownKey: () => void;
};

/** Takes the jobs of one shard and puts their outcomes into BullMQ. */
export class Consumer {
  readonly #options: ConsumerOptions;
  readonly #worker: Worker<DeliveryJobData>;
  readonly #attempts: Attempts;
  readonly #running = new Map<Attempt, RunningJob>();
  readonly #detached = new Set<Promise<void>>();
  #probing: NodeJS.Timeout | undefined;
  #worked = 0;

  constructor(options: ConsumerOptions) {
    this.#options = options;
    const { shard, logger } = options;
    const detaching = {
      detach: (attempt: Attempt, stuck: boolean) => this.#detach(attempt, stuck),
      tellStuck: (attempt: Attempt) => this.#tellStuck(attempt),
    };
    this.#attempts = new Attempts(() => this.#worker.concurrency, detaching, options.detached);
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
        // All: they are dropped many at a time (dropCompleted).
        removeOnComplete: { count: -1 },
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

  get concurrency(): number {
    return this.#worker.concurrency;
  }

  /** Attempts that have begun and are not settled yet. */
  get underWay(): number {
    return this.#running.size;
  }

  get paused(): boolean {
    return this.#probing !== undefined;
  }

  /** Takes no more jobs, and resolves when those under way have ended, the detached among them. */
  async close(): Promise<void> {
    clearInterval(this.#probing);
    await this.#worker.close();
    while (this.#detached.size > 0) await Promise.all(this.#detached);
    this.#attempts.close();
  }

  async #process(job: Job<DeliveryJobData>, token: string | undefined): Promise<void> {
    this.#attempts.takeSlot();
    const running = new RunningJob(job, token);
    const { deliver, shard, turns } = this.#options;
    const delivery = { id: job.id ?? '', counted: job.attemptsMade, stalled: job.stalledCounter };
    const work = deliverJob(deliver, shard, delivery, {
      onTurn: turns.take,
      onAttempt: (attempt) => {
        running.attempt = attempt;
        this.#running.set(attempt, running);
        this.#attempts.start(attempt);
      },
    }).finally(() => {
      if (!running.attempt) return;
      this.#running.delete(running.attempt);
      this.#attempts.end(running.attempt);
    });
    try {
      if (await running.movedBefore(work)) {
        this.#follow(running, work);
        throw new DelayedError();
      }
      await this.#finish(await work, job, token);
    } catch (error) {
      await this.#giveBack(error, job, token);
    } finally {
      this.#attempts.freeSlot();
      this.#worked += 1;
      if (this.#worked % DROP_COMPLETED_EVERY === 0) this.#dropCompleted();
    }
  }

  #dropCompleted(): void {
    const { shard, logger } = this.#options;
    dropCompleted(shard).catch((error: unknown) => {
      logger.warn(
        { err: error, shard: shard.number },
        'completed jobs could not be dropped; they are next time',
      );
    });
  }

  /** @throws what BullMQ is told by an error */
  async #finish(result: JobResult, job: Job, token: string | undefined): Promise<void> {
    if ('againInMs' in result) return handBackLater(job, token, result.againInMs);
    if (result.tell) tellBullMq(result.tell);
  }

  /** @throws always */
  async #giveBack(error: unknown, job: Job, token: string | undefined): Promise<never> {
    const { deliver, logger, onUnknownKey } = this.#options;
    if (error instanceof RetryLater || error instanceof UnrecoverableError) throw error;
    if (error instanceof DelayedError) throw error;
    if (deliver.stop.aborted) return handBack(job, token);
    if (error instanceof UnknownKey) onUnknownKey();
    logger.error({ err: error, job: job.id }, 'a delivery could not be attempted; it will be tried again');
    return handBackLater(job, token, AGAIN_MS);
  }

  /** An attempt that lasts gives up its slot: its job waits, delayed, until the attempt must have ended. */
  async #detach(attempt: Attempt, stuck: boolean): Promise<boolean | 'failed'> {
    const running = this.#running.get(attempt);
    if (!running) return false;
    try {
      return await running.move(() => this.#tell(attempt, running, stuck ? 'stuck' : 'detach'));
    } catch (error) {
      this.#options.logger.warn(
        { err: error, job: running.job.id },
        'an attempt that lasts could not be detached',
      );
      return 'failed';
    }
  }

  #tellStuck(attempt: Attempt): void {
    const { logger } = this.#options;
    const running = this.#running.get(attempt);
    if (!running) return;
    this.#tell(attempt, running, 'stuck').catch((error: unknown) => {
      logger.warn({ err: error, job: running.job.id }, 'a lane could not be told that an attempt is stuck');
    });
  }

  #tell(
    { number, generation, attempt }: Attempt,
    running: RunningJob,
    how: 'detach' | 'stuck',
  ): Promise<boolean> {
    return detach(this.#options.shard, number, generation, attempt, how, running.endsInMs);
  }

  /** Puts the outcome of a detached attempt into BullMQ when it comes. Should that fail, the job wakes by itself. */
  #follow(running: RunningJob, work: Promise<JobResult>): void {
    const { shard, deliver, logger } = this.#options;
    const following = work
      .then(
        (result) => running.settleMoved(shard, result),
        async (error: unknown) => {
          if (!deliver.stop.aborted) throw error;
          await running.release(shard);
        },
      )
      .catch((error: unknown) => {
        logger.error(
          { err: error, job: running.job.id },
          'a detached attempt could not be told; its job comes again',
        );
      })
      .finally(() => this.#detached.delete(following));
    this.#detached.add(following);
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
      shard.probe().then(
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
async function handBackLater(job: Job, token: string | undefined, ms: number): Promise<never> {
  await job.moveToDelayed(Date.now() + ms, token).catch(() => {});
  throw new DelayedError();
}
