import { setTimeout as delay } from 'node:timers/promises';
import type { Client } from '../../bench/harness/client.ts';

const PER_CALL = 100;
const FILLER = 'x'.repeat(160);

export type Refusal = { status: number; code: string; retryAfter: boolean };

/** Publishes as fast as it is answered, for ever; what is refused is published again, sooner than it was asked to. */
export class Producer {
  /** Events that were answered with 202; numbered from 0 without a gap once it has stopped. */
  accepted = 0;
  /** Answers of 503. */
  refused = 0;
  /** Whatever else was answered. */
  readonly errors: string[] = [];
  readonly #client: Client;
  readonly #apps: string[];
  readonly #types: number;
  readonly #lines: Promise<void>[] = [];
  #next = 0;
  #stopping = false;

  /** @param types how many types of events each app has */
  constructor(client: Client, apps: string[], types: number) {
    this.#client = client;
    this.#apps = apps;
    this.#types = types;
  }

  start(connections: number): void {
    for (let i = 0; i < connections; i += 1) this.#lines.push(this.#publish());
  }

  /** Resolves when all that it had begun has been accepted: the receivers can count from 0. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await Promise.all(this.#lines);
  }

  async #publish(): Promise<void> {
    while (!this.#stopping) {
      const first = this.#next;
      this.#next += PER_CALL;
      await this.#publishUntilTaken(first);
    }
  }

  async #publishUntilTaken(first: number): Promise<void> {
    const call = first / PER_CALL;
    const app = this.#apps[call % this.#apps.length]!;
    const ofApp = Math.floor(call / this.#apps.length) * PER_CALL;
    const events = Array.from({ length: PER_CALL }, (_, i) => {
      const type = `t.${(ofApp + i) % this.#types}`;
      return `{"type":"${type}","id":"e${first + i}","payload":{"n":${first + i},"filler":"${FILLER}"}}`;
    });
    const body = `{"events":[${events.join(',')}]}`;
    for (;;) {
      const { status, text } = await this.#client.send('POST', `/v1/apps/${app}/events/batch`, body);
      if (status === 202 && !text.includes('"problem"')) break;
      if (status === 503 && text.includes('"overloaded"')) this.refused += 1;
      else if (this.errors.push(`${status} ${text.slice(0, 300)}`) > 100) throw new Error(this.errors[0]);
      await delay(250);
    }
    this.accepted += PER_CALL;
  }
}
