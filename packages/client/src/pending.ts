import type { PublishedEvent } from './api-types.ts';
import type { PublishError } from './errors.ts';

/** `waiting`: for room in the queue; `sent`: in a batch that is under way, or will be again. */
export type PendingState = 'waiting' | 'queued' | 'sent' | 'settled';

/** An event on its way to its result. */
export class Pending {
  readonly id: string;
  readonly text: string;
  readonly bytes: number;
  readonly result: Promise<PublishedEvent>;
  state: PendingState = 'waiting';
  /** In which order it came, which the queue counts. */
  turn = 0;
  readonly #resolve: (event: PublishedEvent) => void;
  readonly #reject: (error: PublishError) => void;

  constructor(id: string, text: string) {
    this.id = id;
    this.text = text;
    this.bytes = Buffer.byteLength(text) + 1;
    const { promise, resolve, reject } = Promise.withResolvers<PublishedEvent>();
    this.result = promise;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  /** The first result counts. */
  settle(result: PublishedEvent | PublishError): void {
    this.state = 'settled';
    if (result instanceof Error) this.#reject(result);
    else this.#resolve(result);
  }
}
