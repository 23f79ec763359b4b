import type { PublishedEvent } from './api-types.ts';
import { BatchQueue } from './batch-queue.ts';
import { aborted, PublishError } from './errors.ts';
import { eventIds } from './event-ids.ts';
import { eventText, type SealpostEvent } from './event-text.ts';
import { Http } from './http.ts';
import { type ClientOptions, readOptions, type Settings } from './options.ts';
import { Pending } from './pending.ts';
import { type BulkOptions, type BulkResult, publishStream } from './publish-stream.ts';
import { sendBatch } from './send-batch.ts';

export type PublishOptions = {
  /** Gives the event up. One that is under way then may be published all the same. */
  signal?: AbortSignal;
};

export type CloseOptions = {
  /** What is not answered by then fails, ms; default: as long as it is tried again. */
  withinMs?: number;
};

/**
 * Publishes events to a Sealpost. Events of many calls go together; each call gets the result of its own event. What has
 * resolved is stored and will be delivered, exactly one event for each call, whatever was lost on the way.
 */
export class SealpostClient {
  readonly #settings: Settings;
  readonly #http: Http;
  readonly #queue: BatchQueue;
  readonly #newId = eventIds();
  readonly #ended = new AbortController();
  #closing: Promise<void> | undefined;

  /** @throws TypeError when an option is missing or cannot be */
  constructor(options: ClientOptions) {
    this.#settings = readOptions(options);
    this.#http = new Http(this.#settings);
    const sending = { http: this.#http, settings: this.#settings, signal: this.#ended.signal };
    this.#queue = new BatchQueue(this.#settings, async (batch) => {
      const { settle } = this.#queue;
      await sendBatch({ ...sending, settle }, batch).catch((error: unknown) => {
        // The client has ended. Whatever else it were: no event may wait for ever.
        const failure = error instanceof PublishError ? error : new PublishError('closed', String(error));
        for (const pending of batch) settle(pending, failure.of(pending.id));
      });
    });
  }

  /**
   * Publishes an event, together with others, when there is room in the queue. The event is read before this returns. In
   * order of the calls, unless `maxInFlight` is above 1.
   * @throws PublishError
   */
  async publish(event: SealpostEvent, { signal }: PublishOptions = {}): Promise<PublishedEvent> {
    const id = event.id ?? this.#newId();
    if (this.#closing) throw closed().of(id);
    if (signal?.aborted) throw aborted(signal).of(id);
    const pending = new Pending(id, eventText(event, id));
    this.#queue.add(pending);
    if (!signal) return pending.result;
    const abort = () => this.#queue.settle(pending, aborted(signal).of(id));
    signal.addEventListener('abort', abort, { once: true });
    try {
      return await pending.result;
    } finally {
      signal.removeEventListener('abort', abort);
    }
  }

  /** Resolves when there is room in the queue: for who publishes without waiting for each result. */
  async room(): Promise<void> {
    await this.#queue.room();
  }

  /**
   * Publishes any number of events over one stream, in order, and yields a result for each, in order; a bad one fails
   * alone. Reads no further ahead of the results that are taken than `maxUnanswered`.
   * @throws PublishError when nothing more can be published; of what has no result then, some may be published
   */
  publishAll(
    events: Iterable<SealpostEvent> | AsyncIterable<SealpostEvent>,
    options: BulkOptions = {},
  ): AsyncGenerator<BulkResult, void, void> {
    if (this.#closing) throw closed();
    return publishStream(events, {
      http: this.#http,
      settings: this.#settings,
      newId: this.#newId,
      ended: this.#ended.signal,
      ...options,
    });
  }

  /** Sends what has been published so far without waiting for more. Resolves when all of it has its result, of whatever kind. */
  async flush(): Promise<void> {
    this.#queue.flush();
    await Promise.allSettled(this.#queue.open.map(({ result }) => result));
  }

  /** Takes no more events, and resolves when all have their results and the connections are closed. */
  close({ withinMs }: CloseOptions = {}): Promise<void> {
    this.#closing ??= this.#close(withinMs);
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #close(withinMs: number | undefined): Promise<void> {
    const timer = withinMs === undefined ? undefined : setTimeout(() => this.#end(), withinMs);
    await this.flush();
    clearTimeout(timer);
    this.#end();
    this.#http.close();
  }

  #end(): void {
    this.#ended.abort(closed());
    for (const pending of this.#queue.open) this.#queue.settle(pending, closed().of(pending.id));
  }
}

function closed(): PublishError {
  return new PublishError('closed', 'The client is closed.');
}
