import { delay } from './clock.ts';
import type { Stack } from './stack.ts';

const EVERY_MS = 20;

/** Watches how long shard 0's BullMQ queue gets: the jobs that wait for a worker and those that one has. */
export class QueueSampler {
  most = 0;
  samples = 0;
  readonly #done: Promise<void>;
  #stopping = false;

  constructor({ redis }: Stack) {
    const sample = async () => {
      while (!this.#stopping) {
        const [wait, active] = await Promise.all([
          redis.llen('{sp:0}:deliveries-0:wait'),
          redis.llen('{sp:0}:deliveries-0:active'),
        ]);
        this.most = Math.max(this.most, wait + active);
        this.samples += 1;
        await delay(EVERY_MS);
      }
    };
    this.#done = sample();
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#done;
  }
}
