import type { Duplex } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';
import { setTimeout as delay } from 'node:timers/promises';
import type { BatchResult, PublishedEvent } from './api-types.ts';
import { aborted, fromProblem, PublishError } from './errors.ts';
import { eventText, type SealpostEvent } from './event-text.ts';
import { type Http, parse, problemOf, unreachable } from './http.ts';
import type { Settings } from './options.ts';
import { Retry } from './retry.ts';

export type BulkOptions = {
  /** Ends it with `aborted`: what has no result yet may be published or not. */
  signal?: AbortSignal;
  /** Events that are read ahead of the results that are taken; default 2,000. */
  maxUnanswered?: number;
};

/** What became of one event of many. `id` is its own, or the one that the client gave it. */
export type BulkResult =
  | { id: string; event: PublishedEvent; error?: undefined }
  | { id: string; event?: undefined; error: PublishError };

type Context = BulkOptions & {
  http: Http;
  settings: Settings;
  newId: () => string;
  /** Of the client; its reason is a PublishError. */
  ended: AbortSignal;
};

type Result = BatchResult['results'][number];

/** One that has a result from the beginning is not sent. */
type Entry = { id: string; text: string; result: BulkResult | undefined };

const MAX_UNANSWERED = 2000;
/** Fewer events than this wait for the linger time before they are written. */
const WORTH_WRITING = 100;
/** Characters; a little more than what the API reads at once. */
const WRITTEN_AT_ONCE = 64 * 1024;
/** What a single event may be told; any other problem ends the stream, and nothing after it is published. */
const OF_ONE_EVENT = new Set(['malformed_json', 'invalid_utf8', 'payload_too_large', 'validation_failed']);

/**
 * Publishes over one NDJSON request, of which lines go out while results come in. When it breaks off, what has no result
 * is sent again over another, in order; each has an id, so none is published twice.
 */
export async function* publishStream(
  events: Iterable<SealpostEvent> | AsyncIterable<SealpostEvent>,
  context: Context,
): AsyncGenerator<BulkResult, void, void> {
  const stopped = new AbortController();
  const given = context.signal ? [context.signal] : [];
  const signal = AbortSignal.any([context.ended, stopped.signal, ...given]);
  const line = new Line(context, signal);
  void line.read(events);
  const sending = line.send();
  try {
    for (let result = await line.first(); result; result = await line.first()) {
      line.taken();
      yield result;
    }
  } finally {
    stopped.abort(new PublishError('aborted', 'The results are not taken any more.'));
    await sending;
  }
}

/** The events from being read to their results being taken: bounded, and in order. Places count from the first of all. */
class Line {
  readonly #context: Context;
  readonly #signal: AbortSignal;
  readonly #mostEvents: number;
  readonly #changed = new Changed();
  readonly #entries: Entry[] = [];
  #bytes = 0;
  #taken = 0;
  /** Place of the first that has no result. */
  #answered = 0;
  #allRead = false;
  #failure: { error: unknown } | undefined;

  constructor(context: Context, signal: AbortSignal) {
    this.#context = context;
    this.#signal = signal;
    this.#mostEvents = context.maxUnanswered ?? MAX_UNANSWERED;
    // The first failure counts: what is thrown upon the same abort, with its bare reason, comes later.
    const fail = () => this.#fail(context.signal?.aborted ? aborted(context.signal) : signal.reason);
    signal.addEventListener('abort', fail, { once: true });
    if (signal.aborted) fail();
  }

  /** Reads as far ahead as there is room. Never rejects. */
  async read(events: Iterable<SealpostEvent> | AsyncIterable<SealpostEvent>): Promise<void> {
    try {
      for await (const event of events) {
        while (this.#isFull() && !this.#failure) await this.#changed.next();
        if (this.#failure) return; // and the source is told that no more is wanted
        this.#add(event);
      }
    } catch (error) {
      this.#fail(error); // the source's own
    }
    this.#allRead = true;
    this.#changed.tell();
  }

  /** The first result, once it is known; undefined: there are no more. @throws what ended it all */
  async first(): Promise<BulkResult | undefined> {
    for (;;) {
      const first = this.#entries[0];
      if (first?.result) return first.result;
      if (this.#failure) throw this.#failure.error;
      if (!first && this.#allRead) return undefined;
      await this.#changed.next();
    }
  }

  taken(): void {
    this.#bytes -= this.#entries.shift()!.text.length;
    this.#taken += 1;
    this.#changed.tell();
  }

  /** One stream after the other, until all is answered. Never rejects. */
  async send(): Promise<void> {
    const retry = new Retry(this.#context.settings, this.#signal);
    try {
      while (await this.#somethingToSend()) {
        const trouble = await this.#stream(retry);
        const failure = trouble && (await retry.after(trouble, this.#end - this.#answered));
        if (failure) throw failure;
      }
    } catch (error) {
      this.#fail(error);
    }
  }

  get #end(): number {
    return this.#taken + this.#entries.length;
  }

  #isFull(): boolean {
    return this.#entries.length >= this.#mostEvents || this.#bytes > this.#context.settings.maxQueuedBytes;
  }

  #add(event: SealpostEvent): void {
    const id = event.id ?? this.#context.newId();
    const entry: Entry = { id, text: '', result: undefined };
    try {
      entry.text = `${eventText(event, id)}\n`;
    } catch (error) {
      if (!(error instanceof PublishError)) throw error;
      entry.result = { id, error: error.of(id) };
    }
    this.#bytes += entry.text.length;
    this.#entries.push(entry);
    this.#skipAnswered();
    this.#changed.tell();
  }

  #at(place: number): Entry | undefined {
    return this.#entries[place - this.#taken];
  }

  #skipAnswered(): void {
    while (this.#at(this.#answered)?.result) this.#answered += 1;
  }

  async #somethingToSend(): Promise<boolean> {
    while (!this.#failure && this.#answered === this.#end) {
      if (this.#allRead) return false;
      await this.#changed.next();
    }
    return !this.#failure;
  }

  /** One request, as long as it lasts. Resolves to what broke it off, or undefined when all that was read is answered. */
  async #stream(retry: Retry): Promise<PublishError | undefined> {
    const { timeoutMs } = this.#context.settings;
    const stream = this.#context.http.got.stream.post('events/batch', {
      headers: { 'content-type': 'application/x-ndjson' },
      signal: this.#signal,
      // `socket` is of silence once it is connected: one that nobody uses may end as well.
      timeout: { lookup: timeoutMs, connect: timeoutMs, socket: timeoutMs },
    });
    stream.on('error', () => {}); // whoever reads is told
    const out: Out = { next: this.#answered, over: false };
    const writing = this.#write(stream, out);
    try {
      for await (const texts of linesOf(stream)) {
        if (stream.response?.statusCode !== 202) return problemOf(stream.response!, texts[0]!);
        for (const text of texts) {
          const trouble = this.#take(text, out.next);
          if (trouble) return trouble;
        }
        retry.progress();
        this.#changed.tell();
      }
      if (stream.response?.statusCode !== 202) return problemOf(stream.response!, '');
      return this.#answered === this.#end ? undefined : unreachable('the stream ended too early');
    } catch (error) {
      this.#signal.throwIfAborted();
      return this.#answered === this.#end ? undefined : unreachable(error);
    } finally {
      out.over = true;
      stream.destroy();
      this.#changed.tell();
      await writing;
    }
  }

  /** A line of the answer: the result of the first that has none, or what ended the stream. @param sent place after the last */
  #take(text: string, sent: number): PublishError | undefined {
    const line = parse(text) as Result | undefined;
    if (line?.problem && !OF_ONE_EVENT.has(line.problem.code)) return fromProblem(line.problem);
    const entry = this.#answered < sent ? this.#at(this.#answered) : undefined;
    if (!entry || !(line?.event || line?.problem)) {
      return new PublishError('unexpected_answer', 'A line that is the result of no event.', { status: 202 });
    }
    const { id } = entry;
    entry.result = line.event ? { id, event: line.event } : { id, error: fromProblem(line.problem!).of(id) };
    this.#skipAnswered();
    return undefined;
  }

  /** What is unanswered, and what is read meanwhile, until the stream is over. */
  async #write(stream: Duplex, out: Out): Promise<void> {
    while (!out.over) {
      // What was not fit to be sent may have been taken already, when it came first.
      out.next = Math.max(out.next, this.#answered);
      const ready = this.#end - out.next;
      if (ready === 0 && this.#allRead) {
        stream.end();
        return;
      }
      if (ready === 0) await this.#changed.next();
      else {
        // Room comes back event by event: written one by one, each would be a chunk, and a call, of its own.
        if (ready < WORTH_WRITING && !this.#allRead) await delay(this.#context.settings.lingerMs);
        const text = this.#nextText(out);
        if (text !== '' && !out.over && !stream.write(text)) await drained(stream);
      }
    }
  }

  /** The next lines to be written, as one text. What was not fit to be sent has its result. */
  #nextText(out: Out): string {
    let text = '';
    while (text.length < WRITTEN_AT_ONCE) {
      const entry = this.#at(out.next);
      if (!entry) break;
      out.next += 1;
      if (!entry.result) text += entry.text;
    }
    return text;
  }

  #fail(error: unknown): void {
    this.#failure ??= { error };
    this.#changed.tell();
  }
}

/** How far a stream has got: `next`: place of the next event to be written. */
type Out = { next: number; over: boolean };

/** Wakes whoever waits for something to change, and looks then whether it is what he waits for. */
class Changed {
  #waiting = Promise.withResolvers<void>();

  next(): Promise<void> {
    return this.#waiting.promise;
  }

  tell(): void {
    this.#waiting.resolve();
    this.#waiting = Promise.withResolvers();
  }
}

async function* linesOf(stream: Duplex): AsyncGenerator<string[], void, void> {
  const decoder = new StringDecoder('utf8');
  let open = '';
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    const lines = (open + decoder.write(chunk)).split('\n');
    open = lines.pop()!;
    if (lines.length > 0) yield lines;
  }
  open += decoder.end();
  if (open !== '') yield [open];
}

/** More may be written, or never again. */
async function drained(stream: Duplex): Promise<void> {
  await new Promise<void>((resolve) => {
    const done = () => {
      stream.off('drain', done).off('close', done);
      resolve();
    };
    stream.on('drain', done).on('close', done);
    if (stream.destroyed) done();
  });
}
