import { randomBytes } from 'node:crypto';
import { expect } from 'vitest';
import type { Answer, ApiClient, Loose } from './api-client.ts';
import { waitFor } from './wait-for.ts';

/** An app of a test's own, and the calls that most tests make in it. */
export class Tenant {
  readonly client: ApiClient;
  readonly app: string;
  /** `/v1/apps/{app}` */
  readonly path: string;

  private constructor(client: ApiClient, app: string) {
    this.client = client;
    this.app = app;
    this.path = `/v1/apps/${app}`;
  }

  static async create(client: ApiClient, settings: object = {}): Promise<Tenant> {
    const tenant = new Tenant(client, `app-${randomBytes(6).toString('hex')}`);
    const made = await client.put(tenant.path, settings);
    expect(made.status, made.text).toBe(201);
    return tenant;
  }

  /** The same app through another API or with another key. */
  through(client: ApiClient): Tenant {
    return new Tenant(client, this.app);
  }

  get(path: string): Promise<Answer<Loose>> {
    return this.client.get(this.path + path);
  }

  /** A new endpoint, with its secret. */
  async endpoint(input: object): Promise<Loose> {
    const made = await this.client.post(`${this.path}/endpoints`, input);
    expect(made.status, made.text).toBe(201);
    return made.json;
  }

  /** Publishes an event that must be accepted. A string is sent as it is. */
  async publish(event: object | string, headers?: Record<string, string>): Promise<Loose> {
    const answer = await this.client.post(`${this.path}/events`, event, headers);
    expect(answer.status, answer.text).toBe(202);
    return answer.json;
  }

  /** Publishes an event of type `order.created` and gives the id of its only delivery. */
  async send(event: object = {}): Promise<string> {
    const { deliveries } = await this.publish({ type: 'order.created', payload: { n: 1 }, ...event });
    expect(deliveries).toHaveLength(1);
    return deliveries[0].id;
  }

  /** A delivery with its attempts. */
  async delivery(id: string): Promise<Loose> {
    const answer = await this.get(`/deliveries/${id}`);
    expect(answer.status, answer.text).toBe(200);
    return answer.json;
  }

  /** The delivery, once it has ended. */
  ended(id: string): Promise<Loose> {
    return this.until(id, ({ ended_at }) => ended_at !== null, 'end');
  }

  /** The delivery, once its status is this one. */
  hasStatus(id: string, status: string): Promise<Loose> {
    return this.until(id, (delivery) => delivery.status === status, `be ${status}`);
  }

  /** The delivery, once `matches` says so; `what` completes "the delivery to …". */
  until(id: string, matches: (delivery: Loose) => boolean, what: string): Promise<Loose> {
    let last: Loose;
    return waitFor(
      async () => {
        last = await this.delivery(id);
        return matches(last) ? last : undefined;
      },
      { describe: `delivery ${id} to ${what}` },
    ).catch((error: Error) => {
      throw new Error(`${error.message}\nThe delivery: ${JSON.stringify(last)}`, { cause: error });
    });
  }
}
