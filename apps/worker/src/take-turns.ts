import { type Admitted, enqueue, type Shard, type Turn } from '@sealpost/queue';
import type { Logger } from '@sealpost/telemetry';

/** Does what scripts that moved lanes have left to do: jobs for what was admitted, and a pump when a lane wakes. */
export class Turns {
  readonly #shard: Shard;
  readonly #logger: Logger;
  readonly #wakeIn: (ms: number) => void;
  #admitted: Admitted[] = [];
  #flushing: Promise<void> = Promise.resolve();

  /** @param wakeIn called when a lane is to be woken in so many ms */
  constructor(shard: Shard, logger: Logger, wakeIn: (ms: number) => void) {
    this.#shard = shard;
    this.#logger = logger;
    this.#wakeIn = wakeIn;
  }

  readonly take = ({ admitted, wakeInMs }: Turn): void => {
    if (wakeInMs !== undefined) this.#wakeIn(wakeInMs);
    if (admitted.length === 0) return;
    // Those of one turn of the event loop go together: a call for each would cost more than the jobs.
    if (this.#admitted.length === 0) setImmediate(() => this.#flush());
    this.#admitted.push(...admitted);
  };

  /** Resolves when all jobs so far are in. */
  async flushed(): Promise<void> {
    this.#flush();
    await this.#flushing;
  }

  #flush(): void {
    const admitted = this.#admitted;
    if (admitted.length === 0) return;
    this.#admitted = [];
    const adding = enqueue(this.#shard.queue, admitted).catch((error: unknown) => {
      // They are watched: the reconciler gives them their jobs.
      this.#logger.warn({ err: error, jobs: admitted.length }, 'admitted, but not enqueued yet');
    });
    this.#flushing = Promise.all([this.#flushing, adding]).then(() => {});
  }
}
