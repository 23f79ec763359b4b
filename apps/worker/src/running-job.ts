import { detach, removeJobs, type Shard } from '@sealpost/queue';
import type { Job } from 'bullmq';
import type { Attempt } from './attempts.ts';
import type { JobResult } from './deliver/deliver-job.ts';

/** After its timeout an attempt has ended, and been settled, within this, ms. */
const SETTLED_WITHIN_MS = 4000;
/** A detached job wakes by itself so long after that: its worker has died then. */
const WAKE_AFTER_MS = 1000;

/**
 * A job and its attempt. When the attempt is detached the job is moved to BullMQ's delayed ones: its slot is free, and
 * should this process die, the job comes back by itself.
 */
export class RunningJob {
  readonly job: Job;
  attempt: Attempt | undefined;
  readonly #token: string | undefined;
  readonly #moved = Promise.withResolvers<true>();
  #moving: Promise<boolean> | undefined;
  #ended = false;

  constructor(job: Job, token: string | undefined) {
    this.job = job;
    this.#token = token;
  }

  /** By then the attempt has ended and been settled, ms from now. */
  get endsInMs(): number {
    const { startedAt = 0, timeoutMs = 0 } = this.attempt ?? {};
    return Math.max(0, startedAt + timeoutMs - performance.now()) + SETTLED_WITHIN_MS;
  }

  /** Whether the job was moved before `work` ended; false once `work` has ended, however. */
  async movedBefore(work: Promise<unknown>): Promise<boolean> {
    const ended = work.then(
      () => false,
      () => false,
    );
    if (await Promise.race([this.#moved.promise, ended])) return true;
    this.#ended = true;
    // It may be on its way there.
    return (await this.#moving?.catch(() => false)) ?? false;
  }

  /**
   * Moves the job away, unless the attempt has ended meanwhile.
   * @param detached detaches the delivery; false: there is nothing to detach
   */
  move(detached: () => Promise<boolean>): Promise<boolean> {
    this.#moving ??= (async () => {
      if (!(await detached()) || this.#ended) return false;
      await this.job.moveToDelayed(Date.now() + this.endsInMs + WAKE_AFTER_MS, this.#token);
      this.#moved.resolve(true);
      return true;
    })();
    this.#moving.catch(() => {
      this.#moving = undefined; // it may be tried again
    });
    return this.#moving;
  }

  /** What BullMQ is to be told of a moved job: CLAIM finds it out when the job runs; one that is done is removed. */
  async settleMoved(shard: Shard, result: JobResult): Promise<void> {
    const outcome = 'tell' in result ? result.tell : undefined;
    if (outcome?.status === 'retrying' || outcome?.status === 'dead') await this.job.promote();
    else await removeJobs(shard.queue, [this.job.id ?? '']);
  }

  /** Its worker has to go: another one may attempt it at once, and nothing is counted. */
  async release(shard: Shard): Promise<void> {
    if (!this.attempt) return;
    const { number, generation, attempt } = this.attempt;
    await detach(shard, number, generation, attempt, 'release', 0);
    await this.job.promote();
  }
}
