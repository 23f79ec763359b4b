import { setTimeout as delay } from 'node:timers/promises';
import type { PublishError } from './errors.ts';
import type { Settings } from './options.ts';
import { retryDelayMs } from './retry-delay.ts';

/** The tries at one thing, until it has been tried again for long enough: what counts is the time since it first failed. */
export class Retry {
  readonly #settings: Pick<Settings, 'retryForMs' | 'onRetry'>;
  readonly #signal: AbortSignal;
  readonly #now: () => number;
  #attempt = 0;
  #failingSince: number | undefined;

  /** @param now a monotonic clock, ms */
  constructor(
    settings: Pick<Settings, 'retryForMs' | 'onRetry'>,
    signal: AbortSignal,
    now = () => performance.now(),
  ) {
    this.#settings = settings;
    this.#signal = signal;
    this.#now = now;
  }

  /** It goes on: what fails next is another trouble. */
  progress(): void {
    this.#attempt = 0;
    this.#failingSince = undefined;
  }

  /**
   * Waits before the next try. Resolves to the error when it is for good, or there is no time left for another try.
   * @throws the signal's reason when it is aborted
   */
  async after(error: PublishError, events: number): Promise<PublishError | undefined> {
    if (!error.isTransient) return error;
    this.#attempt += 1;
    this.#failingSince ??= this.#now();
    const { code, retryAfterSeconds } = error;
    const delayMs = retryDelayMs({ attempt: this.#attempt, retryAfterSeconds, random: Math.random() });
    if (this.#now() + delayMs > this.#failingSince + this.#settings.retryForMs) return error;
    const { onRetry } = this.#settings;
    const attempt = this.#attempt;
    // What it throws is its own fault, and must not be the events'.
    if (onRetry) queueMicrotask(() => onRetry({ attempt, delayMs, code, events }));
    await delay(delayMs, undefined, { signal: this.#signal }).catch(() => this.#signal.throwIfAborted());
    return undefined;
  }
}
