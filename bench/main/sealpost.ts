import type { Redis } from 'ioredis';
import type { Client } from '../harness/client.ts';
import { inParallel } from '../harness/in-parallel.ts';
import { type Published, publishBatches, publishNdjson, publishOne } from '../harness/publish.ts';
import type { Behaviour, ReceiverGroup, Receivers } from '../harness/receivers.ts';
import { Stack } from '../harness/stack.ts';
import { Arrivals, type Pids, type System, type Target } from './system.ts';

export type HttpClientName = 'got' | 'undici';
export type SealpostOptions = {
  root: string;
  http: HttpClientName;
  receivers: Receivers;
  slots: number;
  /** Settings of its processes. */
  env?: NodeJS.ProcessEnv;
};

export type AppOptions = {
  endpoints: number;
  /** How many apps they are spread over: each endpoint makes its app's config longer to read. */
  apps?: number;
  /** Deliveries of an event: 1 (each endpoint has a type of its own; the default), or all of the endpoints. */
  fanOut?: 'one' | 'all';
  behaviour?: Behaviour;
  keepIds?: boolean;
  /** Settings of the app. */
  settings?: object;
};

/** A whole Sealpost, with a worker that posts by one of the HTTP clients. */
export class Sealpost implements System {
  readonly queue = '{sp:0}:deliveries-0';
  readonly stack: Stack;
  readonly name: string;
  readonly #receivers: Receivers;

  private constructor(name: string, stack: Stack, receivers: Receivers) {
    this.name = name;
    this.stack = stack;
    this.#receivers = receivers;
  }

  /** @param name of its receivers, in the process that all share */
  static async start(name: string, options: SealpostOptions): Promise<Sealpost> {
    const { root, http, receivers, slots, env } = options;
    const stack = await Stack.start({ root, receivers, slots, env: { HTTP_CLIENT: http, ...env } });
    return new Sealpost(name, stack, receivers);
  }

  get redis(): Redis {
    return this.stack.redis;
  }

  get pids(): Pids {
    const { apiPid, redisPid, workers } = this.stack;
    return { api: apiPid, redis: redisPid, worker: workers[0]!.pid! };
  }

  async app(name: string, options: AppOptions): Promise<App> {
    const { endpoints, apps: spread = 1, fanOut = 'one', behaviour = { answer: 200 } } = options;
    const { keepIds = false, settings } = options;
    const { client } = this.stack;
    const arrivals = new Arrivals();
    const group = await this.#receivers.add(`${this.name}-${name}`, behaviour, {
      keepIds,
      onSucceeded: arrivals.set,
    });
    const apps = Array.from({ length: spread }, (_, i) => (spread === 1 ? name : `${name}-${i}`));
    for (const app of apps) await client.app(app, settings);
    const ids: string[] = [];
    // Of different apps at a time: those of one are written one after the other.
    await inParallel(endpoints, spread, async (i) => {
      const types = fanOut === 'one' ? { event_types: [`kind.${i}`] } : {};
      ids[i] = await client.endpoint(apps[i % spread]!, { url: group.url(i), ...types });
    });
    return new App(this, apps, ids, group, arrivals);
  }

  stop(): Promise<void> {
    return this.stack.stop();
  }
}

/** An app with its endpoints, to publish in; or several, whose endpoints go in turn. */
export class App implements Target {
  readonly system: Sealpost;
  readonly #apps: string[];
  readonly endpoints: string[];
  readonly group: ReceiverGroup;
  readonly arrivals: Arrivals;

  constructor(
    system: Sealpost,
    apps: string[],
    endpoints: string[],
    group: ReceiverGroup,
    arrivals: Arrivals,
  ) {
    this.system = system;
    this.#apps = apps;
    this.endpoints = endpoints;
    this.group = group;
    this.arrivals = arrivals;
  }

  /** Each for another endpoint, in turn. */
  readonly typeOf = (n: number): string => `kind.${n % this.endpoints.length}`;

  publish(n: number): Promise<Published> {
    const app = (n % this.endpoints.length) % this.#apps.length;
    return publishOne(this.#client, this.#apps[app]!, this.typeOf(n), n);
  }

  /** One batch after the other, in the first app. */
  publishBatches(count: number, perCall: number): Promise<void> {
    return publishBatches(this.#client, this.#apps[0]!, this.typeOf, count, perCall);
  }

  publishNdjson(count: number): Promise<void> {
    return publishNdjson(this.#client, this.#apps[0]!, this.typeOf, count);
  }

  async eachEndpoint(action: 'pause' | 'resume'): Promise<void> {
    for (const id of this.endpoints) {
      await this.#client.must('POST', `/v1/apps/${this.#apps[0]}/endpoints/${id}/${action}`);
    }
  }

  get #client(): Client {
    return this.system.stack.client;
  }
}
