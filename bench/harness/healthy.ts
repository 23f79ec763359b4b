import type { Client } from './client.ts';
import { now } from './clock.ts';
import { type Published, publishOne, SteadyLoad } from './publish.ts';
import type { ReceiverGroup } from './receivers.ts';
import type { Stack } from './stack.ts';

const ENDPOINTS = 50;
const PER_SECOND = 20;
const APP = 'healthy';

/** An event and how long after its 202 it arrived, ms; Infinity: not yet. Before its 202 counts as 0. */
export type Delivered = { at: number; latency: number };

/** 50 endpoints that answer at once and together get 20 events a second: those whom nothing may hold up. */
export class Healthy {
  readonly #load: SteadyLoad;
  readonly #receivers: ReceiverGroup;

  private constructor(client: Client, receivers: ReceiverGroup) {
    this.#receivers = receivers;
    this.#load = new SteadyLoad(PER_SECOND, (n) => publishOne(client, APP, `kind.${n % ENDPOINTS}`, n));
  }

  static async start({ client, receivers }: Stack): Promise<Healthy> {
    const group = await receivers.add('healthy', { answer: 200 }, { keepIds: true });
    await client.app(APP);
    for (let i = 0; i < ENDPOINTS; i += 1) {
      await client.endpoint(APP, { url: group.url(i), event_types: [`kind.${i}`] });
    }
    const healthy = new Healthy(client, group);
    healthy.#load.start();
    return healthy;
  }

  get published(): Published[] {
    return this.#load.published;
  }

  async arrived(): Promise<number> {
    return (await this.#receivers.counts()).arrived;
  }

  /** No more events; those that are under way get `graceMs` to arrive. */
  async stop(graceMs: number): Promise<void> {
    await this.#load.stop();
    if (this.#load.errors.length > 0) {
      throw new Error(`${this.#load.errors.length} events were not taken, such as ${this.#load.errors[0]}`);
    }
    const deadline = now() + graceMs;
    while ((await this.arrived()) < this.published.length && now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  /** All that was published, in order. */
  async delivered(): Promise<Delivered[]> {
    const { at, ids } = await this.#receivers.arrivals();
    const first = new Map<string, number>();
    for (const [i, id] of ids.entries()) if (!first.has(id)) first.set(id, at[i]!);
    return this.published
      .map(({ id, acceptedAt }) => {
        const arrivedAt = first.get(id) ?? Number.POSITIVE_INFINITY;
        return { at: acceptedAt, latency: Math.max(0, arrivedAt - acceptedAt) };
      })
      .toSorted((a, b) => a.at - b.at);
  }
}
