import type { Receivers } from '../harness/receivers.ts';
import { ClientAlone } from './client-alone.ts';
import { residentOf } from './memory.ts';
import { Naive, type NaiveWorker } from './naive.ts';
import { type App, type AppOptions, type HttpClientName, Sealpost } from './sealpost.ts';
import type { System } from './system.ts';

/** WORKER_CONCURRENCY of Sealpost by default; the naive worker gets as many. */
const SLOTS = 200;

/** All that is measured, each started when it is first asked for. */
export class Systems {
  readonly #started = new Map<string, System>();
  readonly #receivers: Receivers;
  readonly #kept = new Map<string, Promise<unknown>>();
  readonly #stops: (() => unknown)[] = [];

  constructor(receivers: Receivers) {
    this.#receivers = receivers;
  }

  naive(worker: NaiveWorker): Promise<Naive> {
    return this.#once(`naive ${worker}`, async (name) => {
      const naive = await Naive.start(worker, this.#receivers, SLOTS);
      this.#started.set(name, naive);
      this.#stops.push(() => naive.stop());
      return naive;
    });
  }

  /** @param who names the Sealpost of that folder */
  sealpost(who: string, root: string, http: HttpClientName): Promise<Sealpost> {
    return this.#once(`${who} ${http}`, async (name) => {
      const options = { root, http, receivers: this.#receivers, slots: SLOTS };
      const sealpost = await Sealpost.start(name.replace(' ', '-'), options);
      this.#started.set(name, sealpost);
      this.#stops.push(() => sealpost.stop());
      return sealpost;
    });
  }

  app(sealpost: Sealpost, name: string, options: AppOptions): Promise<App> {
    return this.#once(`${sealpost.name} ${name}`, () => sealpost.app(name, options));
  }

  client(name: string): Promise<ClientAlone> {
    return this.#once(name, async () => {
      const client = await ClientAlone.start(name, this.#receivers);
      this.#stops.push(() => client.stop());
      return client;
    });
  }

  /** What the processes of each hold, bytes. */
  async resident(): Promise<Record<string, Record<string, number>>> {
    const all: Record<string, Record<string, number>> = {};
    for (const [name, system] of this.#started) all[name] = await residentOf(system);
    return all;
  }

  async stop(): Promise<void> {
    await Promise.all(this.#stops.map((stop) => stop()));
    this.#receivers.stop();
  }

  #once<T>(name: string, start: (name: string) => Promise<T>): Promise<T> {
    const found = this.#kept.get(name) ?? start(name);
    this.#kept.set(name, found);
    return found as Promise<T>;
  }
}
