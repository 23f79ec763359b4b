import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { CHARACTERS, RETRY_OF_EVENTS, SHARED_TYPE, typeOf } from './characters.ts';
import type { Random } from './random.ts';

/** An event on its way to its 202. */
export type SentEvent = {
  /** The body of its publish, the same at every try. */
  input: Record<string, unknown> & { type: string; id?: string; correlation_id?: string };
  /** In place of an id of its own. */
  idempotencyKey: string | undefined;
  /** Name of the sequence in which each is published only when the one before has its 202. */
  inTurn: string | undefined;
  tries: number;
  /** Of the first try, and of the 202, ms of the harness' own clock. */
  sentAt: number;
  ackedAt: number | undefined;
  /** From the 202. */
  answer:
    | { id: string; sequence: number | null; deliveries: { id: string; endpoint_id: string | null }[] }
    | undefined;
};

export type ProducerOptions = {
  urls: () => string[];
  apiKey: string;
  app: string;
  random: Random;
  perSecond: number;
  /** Names a run's own events and correlations. */
  run: string;
  elsewhereUrl: string;
  elsewhereSecret: string;
  useIdempotencyKeys: boolean;
};

const TICK_MS = 200;
const TRY_MS = 12_000;
const AGAIN_MS = 700;
/** While all fails, no more than so many publishes are tried again and again. */
const MOST_UNDER_WAY = 150;
const CORRELATIONS = 5;

/** Publishes at a steady rate, each event until it has its 202, and remembers them all. */
export class Producer {
  readonly events: SentEvent[] = [];
  /** What no API should ever answer. */
  readonly surprises: string[] = [];
  refusals = 0;
  readonly #options: ProducerOptions;
  readonly #underWay = new Set<Promise<void>>();
  #stopped = false;
  #running: Promise<unknown> = Promise.resolve();

  constructor(options: ProducerOptions) {
    this.#options = options;
  }

  start(): void {
    const ordered = CHARACTERS.filter((character) => character.ordered);
    this.#running = Promise.all([
      this.#steadily(),
      ...ordered.map((character) => this.#inTurn(typeOf(character))),
    ]);
  }

  /** Begins nothing new; what is under way is still tried. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
  }

  get unacknowledged(): SentEvent[] {
    return this.events.filter(({ ackedAt }) => ackedAt === undefined);
  }

  get acknowledged(): SentEvent[] {
    return this.events.filter(({ ackedAt }) => ackedAt !== undefined);
  }

  async #steadily(): Promise<void> {
    const types = CHARACTERS.flatMap((character) =>
      new Array<string>(character.weight).fill(typeOf(character)),
    );
    types.push(SHARED_TYPE, SHARED_TYPE);
    for (let due = 0; !this.#stopped; await delay(TICK_MS)) {
      due += (this.#options.perSecond * TICK_MS) / 1000;
      while (due >= 1 && this.#underWay.size < MOST_UNDER_WAY) due -= this.#publishSome(types);
      due = Math.min(due, this.#options.perSecond);
    }
  }

  /** One event, or a batch. Returns how many events. */
  #publishSome(types: string[]): number {
    const { random } = this.#options;
    const count = random.chance(0.15) ? 2 + Math.floor(random.next() * 6) : 1;
    const events = Array.from({ length: count }, () => this.#make(random.pick(types), count > 1));
    const publishing = this.#publish(events).finally(() => this.#underWay.delete(publishing));
    this.#underWay.add(publishing);
    return count;
  }

  async #inTurn(type: string): Promise<void> {
    const { random, perSecond } = this.#options;
    while (!this.#stopped) {
      const event = this.#make(type, true);
      event.inTurn = type;
      await this.#publish([event]);
      await delay(random.between(0, 2 * (8000 / perSecond)));
    }
  }

  #make(type: string, withId: boolean): SentEvent {
    const { random, run, useIdempotencyKeys, elsewhereUrl, elsewhereSecret } = this.#options;
    const n = this.events.length;
    const id = `${run}-${n}`;
    const byKey = !withId && useIdempotencyKeys && random.chance(0.1);
    const input: SentEvent['input'] = {
      type,
      payload: byKey ? { n } : { n, id, padding: 'x'.repeat(Math.floor(random.next() * 200)) },
      ...(byKey ? {} : { id }),
      ...(random.chance(0.2) ? { correlation_id: `${run}-c${n % CORRELATIONS}` } : {}),
      ...(random.chance(0.05)
        ? { webhook_url: elsewhereUrl, webhook_secret: elsewhereSecret, retry: RETRY_OF_EVENTS }
        : {}),
    };
    const event: SentEvent = {
      input,
      idempotencyKey: byKey ? randomUUID() : undefined,
      inTurn: undefined,
      tries: 0,
      sentAt: Date.now(),
      ackedAt: undefined,
      answer: undefined,
    };
    this.events.push(event);
    return event;
  }

  /** Resolves when all have their 202. */
  async #publish(events: SentEvent[]): Promise<void> {
    for (let left = events; left.length > 0; ) {
      try {
        await this.#try(left);
      } catch (error) {
        this.refusals += 1;
        if (error instanceof Surprise) this.surprises.push(error.message);
      }
      left = left.filter(({ ackedAt }) => ackedAt === undefined);
      if (left.length > 0) await delay(AGAIN_MS * this.#options.random.between(0.5, 1.5));
    }
  }

  async #try(events: SentEvent[]): Promise<void> {
    const { urls, app, apiKey, random } = this.#options;
    const single = events.length === 1 ? events[0] : undefined;
    for (const event of events) event.tries += 1;
    const response = await fetch(`${random.pick(urls())}/v1/apps/${app}/events${single ? '' : '/batch'}`, {
      method: 'POST',
      signal: AbortSignal.timeout(TRY_MS),
      headers: {
        authorization: `Bearer ${apiKey}`,
        'content-type': 'application/json',
        ...(single?.idempotencyKey ? { 'idempotency-key': single.idempotencyKey } : {}),
      },
      body: JSON.stringify(single ? single.input : { events: events.map(({ input }) => input) }),
    });
    const text = await response.text();
    if (response.status === 202) {
      const json = JSON.parse(text);
      if (single) return acknowledge(single, json);
      json.results.forEach((result: { status: number; event?: SentEvent['answer'] }, i: number) => {
        if (!result.event) throw new Surprise(`a batch was answered ${JSON.stringify(result)}`);
        acknowledge(events[i]!, result.event);
      });
      return;
    }
    const inProgress = response.status === 409 && text.includes('idempotency_in_progress');
    if (response.status !== 503 && !inProgress) throw new Surprise(`${response.status} ${text}`);
    throw new Error(`refused: ${response.status}`);
  }
}

/** An answer that no fault explains. */
class Surprise extends Error {}

function acknowledge(event: SentEvent, answer: SentEvent['answer']): void {
  event.answer = answer;
  event.ackedAt = Date.now();
}
