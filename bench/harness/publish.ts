import type { Client } from './client.ts';
import { delay, now } from './clock.ts';

/** The route takes no more in one call. */
export const BATCH = 1000;
const FILLER = 'x'.repeat(160);

/** An event's text of about 250 bytes. */
export function eventText(type: string, n: number): string {
  return JSON.stringify({ type, payload: payloadOf(n) });
}

export function payloadOf(n: number): object {
  return { order: n, state: 'paid', filler: FILLER };
}

/** Publishes `count` events in batches, one call after the other. @throws Error if any is refused */
export async function publishBatches(
  client: Client,
  app: string,
  type: string | ((n: number) => string),
  count: number,
  perCall = BATCH,
): Promise<void> {
  for (let from = 0; from < count; from += perCall) {
    const size = Math.min(perCall, count - from);
    const typeOf = typeof type === 'string' ? () => type : type;
    const events = Array.from({ length: size }, (_, i) => eventText(typeOf(from + i), from + i));
    const body = `{"events":[${events.join(',')}]}`;
    const answer = await client.send('POST', `/v1/apps/${app}/events/batch`, body);
    // Not parsed: a few hundred KB of JSON would hold up the clock of other requests.
    if (answer.status !== 202 || answer.text.includes('"problem"')) {
      throw new Error(`a batch was not taken: ${answer.status} ${answer.text.slice(0, 500)}`);
    }
  }
}

/** Publishes `count` events as one stream of lines. @throws Error if any is refused */
export async function publishNdjson(
  client: Client,
  app: string,
  typeOf: (n: number) => string,
  count: number,
): Promise<void> {
  const lines = Array.from({ length: count }, (_, n) => eventText(typeOf(n), n));
  const path = `/v1/apps/${app}/events/batch`;
  const answer = await client.send('POST', path, lines.join('\n'), 'application/x-ndjson');
  if (answer.status >= 300 || answer.text.includes('"problem"')) {
    throw new Error(`a stream was not taken: ${answer.status} ${answer.text.slice(0, 500)}`);
  }
}

/** An event that was answered with 202, by the shared clock. */
export type Published = { id: string; sentAt: number; acceptedAt: number };

/** @throws Error unless it is answered with 202 */
export async function publishOne(client: Client, app: string, type: string, n: number): Promise<Published> {
  const sentAt = now();
  const answer = await client.send('POST', `/v1/apps/${app}/events`, eventText(type, n));
  if (answer.status !== 202) throw new Error(`${answer.status} ${answer.text}`);
  return { id: JSON.parse(answer.text).id, sentAt, acceptedAt: answer.at };
}

/**
 * Publishes at an even rate whatever becomes of it (an open loop): a Sealpost that is slow does not slow the load
 * down, and so cannot hide.
 */
export class SteadyLoad {
  readonly published: Published[] = [];
  readonly errors: string[] = [];
  readonly #publish: (n: number) => Promise<Published>;
  readonly #everyMs: number;
  readonly #underWay = new Set<Promise<void>>();
  #running: Promise<void> | undefined;
  #stopping = false;

  constructor(perSecond: number, publish: (n: number) => Promise<Published>) {
    this.#everyMs = 1000 / perSecond;
    this.#publish = publish;
  }

  start(): void {
    this.#running = this.#run();
  }

  /** Resolves when all that was sent is answered. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#running;
    await Promise.all(this.#underWay);
  }

  async #run(): Promise<void> {
    const start = now();
    for (let n = 0; !this.#stopping; n += 1) {
      const wait = start + n * this.#everyMs - now();
      if (wait > 0) await delay(wait);
      const call: Promise<void> = this.#publish(n)
        .then(
          (published) => void this.published.push(published),
          (error: unknown) => void this.errors.push(String(error)),
        )
        .finally(() => this.#underWay.delete(call));
      this.#underWay.add(call);
    }
  }
}
