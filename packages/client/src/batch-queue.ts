import type { PublishedEvent } from './api-types.ts';
import type { PublishError } from './errors.ts';
import type { Settings } from './options.ts';
import type { Pending } from './pending.ts';

type Limits = Pick<
  Settings,
  'maxBatchEvents' | 'maxBatchBytes' | 'lingerMs' | 'maxInFlight' | 'maxQueuedEvents' | 'maxQueuedBytes'
>;

export type Settle = (pending: Pending, result: PublishedEvent | PublishError) => void;

/**
 * Collects events into batches, in their order, and holds a bounded number of them:
 *
 *     waiting for room ──▶ queued ──▶ sent ──▶ settled
 *            │             (these two count)      ▲
 *            └──────── aborted, closed ───────────┘
 *
 * A batch goes when it is full, when its first event has lingered, or at a flush; at most `maxInFlight` at a time.
 */
export class BatchQueue {
  readonly #limits: Limits;
  readonly #send: (batch: Pending[]) => Promise<void>;
  #waiting: Pending[] = [];
  #queued: Pending[] = [];
  #queuedBytes = 0;
  /** How many of the queued are to go at once. */
  #due = 0;
  /** Of all that is queued or sent. */
  #heldEvents = 0;
  #heldBytes = 0;
  #inFlight = 0;
  #turns = 0;
  #flushedTurn = 0;
  #timer: NodeJS.Timeout | undefined;
  #roomSought: (() => void)[] = [];
  readonly #open = new Set<Pending>();

  constructor(limits: Limits, send: (batch: Pending[]) => Promise<void>) {
    this.#limits = limits;
    this.#send = send;
  }

  /** What is not settled yet. */
  get open(): Pending[] {
    return [...this.#open];
  }

  /** Resolves when an event would be queued at once. */
  async room(): Promise<void> {
    if (this.#hasRoom()) return;
    await new Promise<void>((resolve) => this.#roomSought.push(resolve));
  }

  /** Queues an event as soon as there is room, after those that came before. */
  add(pending: Pending): void {
    pending.turn = ++this.#turns;
    this.#open.add(pending);
    if (this.#waiting.length === 0 && this.#fits(pending.bytes)) this.#enqueue(pending);
    else this.#waiting.push(pending);
    this.#pump();
  }

  /** Gives an event its result; one that was not sent yet never is. */
  readonly settle: Settle = (pending, result) => {
    if (!this.#open.delete(pending)) return;
    if (pending.state === 'waiting') this.#waiting.splice(this.#waiting.indexOf(pending), 1);
    else {
      if (pending.state === 'queued') this.#withdraw(pending);
      this.#heldEvents -= 1;
      this.#heldBytes -= pending.bytes;
    }
    pending.settle(result);
    while (this.#waiting.length > 0 && this.#fits(this.#waiting[0]!.bytes)) {
      this.#enqueue(this.#waiting.shift()!);
    }
    if (this.#hasRoom()) for (const tell of this.#roomSought.splice(0)) tell();
    this.#pump();
  };

  /** What has been added so far goes without lingering. */
  flush(): void {
    this.#flushedTurn = this.#turns;
    this.#due = this.#queued.length;
    this.#pump();
  }

  #withdraw(pending: Pending): void {
    const place = this.#queued.indexOf(pending);
    this.#queued.splice(place, 1);
    this.#queuedBytes -= pending.bytes;
    if (place < this.#due) this.#due -= 1;
  }

  #hasRoom(): boolean {
    return this.#waiting.length === 0 && this.#fits(1);
  }

  /** One that is larger than the bound has room when there is nothing else. */
  #fits(bytes: number): boolean {
    const { maxQueuedEvents, maxQueuedBytes } = this.#limits;
    if (this.#heldEvents === 0) return true;
    return this.#heldEvents < maxQueuedEvents && this.#heldBytes + bytes <= maxQueuedBytes;
  }

  #enqueue(pending: Pending): void {
    pending.state = 'queued';
    this.#heldEvents += 1;
    this.#heldBytes += pending.bytes;
    this.#queuedBytes += pending.bytes;
    this.#queued.push(pending);
    if (pending.turn <= this.#flushedTurn) this.#due = this.#queued.length;
  }

  #pump(): void {
    const { maxBatchEvents, maxBatchBytes, maxInFlight } = this.#limits;
    while (this.#queued.length > 0 && this.#inFlight < maxInFlight) {
      const isFull = this.#queued.length >= maxBatchEvents || this.#queuedBytes >= maxBatchBytes;
      if (!isFull && this.#due === 0) break;
      void this.#dispatch(this.#take());
    }
    this.#linger();
  }

  /** The timer runs while something is queued that is not due: it keeps the process alive for as long as that takes. */
  #linger(): void {
    if (this.#queued.length === 0) {
      clearTimeout(this.#timer);
      this.#timer = undefined;
    } else if (this.#due === 0) {
      this.#timer ??= setTimeout(() => {
        this.#timer = undefined;
        this.#due = this.#queued.length;
        this.#pump();
      }, this.#limits.lingerMs);
    }
  }

  #take(): Pending[] {
    const { maxBatchEvents, maxBatchBytes } = this.#limits;
    let bytes = 0;
    let count = 0;
    for (const pending of this.#queued) {
      if (count === maxBatchEvents || (count > 0 && bytes + pending.bytes > maxBatchBytes)) break;
      pending.state = 'sent';
      bytes += pending.bytes;
      count += 1;
    }
    this.#queuedBytes -= bytes;
    this.#due = Math.max(0, this.#due - count);
    return this.#queued.splice(0, count);
  }

  async #dispatch(batch: Pending[]): Promise<void> {
    this.#inFlight += 1;
    await this.#send(batch);
    this.#inFlight -= 1;
    this.#pump();
  }
}
