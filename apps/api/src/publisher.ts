import type { PublishedEvent } from '@sealpost/client';
import { eventText, PublishError, type SealpostEvent } from '@sealpost/client/event-text';
import { batchInput, type ErrorCode, SealpostError } from '@sealpost/core';
import { connect, type RedisClient, whenReady } from '@sealpost/queue';
import { createLogger, createMetrics, type Logger, Tracing } from '@sealpost/telemetry';
import type { IngestSettings } from './config.ts';
import { presentPublished } from './http/present-published.ts';
import { toSealpostError } from './http/problem.ts';
import type { Caller } from './http/route.ts';
import { createIngest, type Ingest } from './ingest/create-ingest.ts';
import { type BatchItem, publishBatch } from './ingest/publish-batch.ts';
import { readPayload } from './ingest/read-payload.ts';

export { SealpostError } from '@sealpost/core';
export { type IngestSettings as PublisherSettings, readPublisherSettings } from './config.ts';
export type { PublishedEvent, SealpostEvent };

export type PublisherOptions = {
  /** Default: one that writes JSON lines to stdout, from `logLevel` on. */
  logger?: Logger;
};

/** What became of one event of many. */
export type PublishResult =
  | { event: PublishedEvent; error?: undefined }
  | { event?: undefined; error: SealpostError };

/** How long to wait for Redis at the start, ms. */
const CONNECT_MS = 15_000;
/** Who has the master key may do what an operator may. */
const CALLER: Caller = { kind: 'operator' };

/**
 * Publishes straight into Redis, by the very code that the API runs behind its routes: for a service that is trusted with
 * the master key and that Redis is open to. Without HTTP, API keys, `Idempotency-Key` and `Prefer: wait`; with all else:
 * validation, filters, seals, durability, load shedding, and the codes of the errors.
 */
export class Publisher {
  readonly #settings: IngestSettings;
  readonly #client: RedisClient;
  readonly #ingest: Ingest;
  readonly #underWay = new Set<Promise<unknown>>();
  #closing: Promise<void> | undefined;

  private constructor(settings: IngestSettings, client: RedisClient, ingest: Ingest) {
    this.#settings = settings;
    this.#client = client;
    this.#ingest = ingest;
  }

  /** Resolves when it can publish. @throws Error when Redis does not answer, or is not fit to hold deliveries */
  static async connect(settings: IngestSettings, options: PublisherOptions = {}): Promise<Publisher> {
    const logger = options.logger ?? createLogger({ name: 'publisher', level: settings.logLevel });
    const onRedisError = (error: Error) =>
      logger.warn({ err: { message: error.message } }, 'trouble with Redis');
    const client = connect(settings.redisUrls, 'request', onRedisError);
    try {
      await whenReady(client, CONNECT_MS).catch((error: Error) => {
        throw new Error(`Redis does not answer: ${error.message}`, { cause: error });
      });
      // It has no page of metrics and sends no spans: whoever publishes tells of that itself.
      const [metrics, tracing] = [createMetrics('api'), new Tracing()];
      const ingest = await createIngest({
        settings,
        client,
        publishing: client,
        logger,
        metrics,
        tracing,
        onRedisError,
      });
      return new Publisher(settings, client, ingest);
    } catch (error) {
      client.disconnect();
      throw error;
    }
  }

  /**
   * Publishes one event. When it resolves, Redis holds it as hard as `durability` says. With an id of its own it may be
   * published again after an error that tells nothing of whether it was stored.
   * @throws SealpostError
   */
  async publish(app: string, event: SealpostEvent): Promise<PublishedEvent> {
    const [result] = await this.#publish(app, [event]);
    if (result!.error) throw result!.error;
    return result!.event!;
  }

  /**
   * Publishes up to 1,000 events, in order: a result for each; a bad one fails alone.
   * @throws SealpostError when it concerns them all; some may be published then
   */
  async publishMany(app: string, events: SealpostEvent[]): Promise<PublishResult[]> {
    this.#ingest.parser.parse(batchInput, { events });
    return this.#publish(app, events);
  }

  /** Takes no more events, and resolves when those under way are done and the connections are closed. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #publish(app: string, events: SealpostEvent[]): Promise<PublishResult[]> {
    if (this.#closing) throw new SealpostError('shutting_down', 'The publisher is closed.');
    const { publish, parser } = this.#ingest;
    const items = events.map((event) => this.#itemOf(event));
    const publishing = publishBatch(publish, parser, app, CALLER, items).catch((error: unknown) => {
      throw toSealpostError(error);
    });
    this.#underWay.add(publishing);
    try {
      const results = await publishing;
      return results.map((result) =>
        'published' in result ? { event: presentPublished(result.published) } : { error: result.problem },
      );
    } finally {
      this.#underWay.delete(publishing);
    }
  }

  /** By way of its text, as an API gets it: what is validated, matched, sealed and sent is one and the same. */
  #itemOf(event: SealpostEvent): BatchItem {
    try {
      const text = eventText(event, undefined);
      if (Buffer.byteLength(text) > this.#settings.bodyLimitBytes) {
        const limit = this.#settings.bodyLimitBytes;
        return {
          problem: new SealpostError('payload_too_large', `An event may have at most ${limit} bytes.`),
        };
      }
      return { value: JSON.parse(text), payload: () => readPayload(text) };
    } catch (error) {
      if (!(error instanceof PublishError)) throw error;
      const { code, message, errors } = error; // of the same catalog
      const extra = { ...(errors && { errors }), cause: error };
      return { problem: new SealpostError(code as ErrorCode, message, extra) };
    }
  }

  async #close(): Promise<void> {
    await Promise.allSettled(this.#underWay);
    const { firstAttempts, expressions, barrier } = this.#ingest;
    await firstAttempts.close();
    expressions.close();
    barrier?.close();
    this.#client.disconnect();
  }
}
