import { keepUnderWay, untilArrived } from './load.ts';
import { meter } from './meter.ts';
import type { Sample } from './rounds.ts';
import type { App, HttpClientName } from './sealpost.ts';
import type { Target } from './system.ts';
import type { Systems } from './systems.ts';

/** What `--only` can choose. */
export const PARTS = ['publish', 'deliver', 'batch', 'fan-out', 'retries', 'endpoints', 'latency', 'memory'];

export type PlanOptions = {
  root: string;
  /** Another Sealpost that is measured in turns with it. */
  base: string | undefined;
  /** Deliveries a round. */
  deliveries: number;
  manyEndpoints: number;
  instructions: boolean;
};

/** What is measured: `setUp` starts what it needs, and resolves with what makes one round. */
export type Planned = { key: string; label: string; parts: string[]; setUp: () => Promise<Round> };
type Round = () => Promise<Sample>;

/** Deliveries under way, from the request to the arrival. */
const AT_ONCE = 64;
const HTTP = ['got', 'undici'] as const;
const CLIENTS = { got: 'got, as lean as it goes', undici: 'undici, as usually called' };

/** Sealpost's first retry comes after this, so that a round need not wait long, s. */
const BACKOFF = 0.2;

export function plan(systems: Systems, options: PlanOptions): Planned[] {
  const planner = new Planner(systems, options);
  return [
    ...planner.floor(),
    ...planner.sealpost('Sealpost', options.root),
    ...(options.base ? planner.sealpost('before', options.base) : []),
  ];
}

class Planner {
  readonly #systems: Systems;
  readonly #options: PlanOptions;

  constructor(systems: Systems, options: PlanOptions) {
    this.#systems = systems;
    this.#options = options;
  }

  /** In the order of the table, as are those of `sealpost`. */
  floor(): Planned[] {
    const { deliveries } = this.#options;
    const noop = () => this.#systems.naive('noop');
    return [
      planned('floor', 'Express + zod + add; noop worker', ['publish', 'deliver', 'batch'], async () => {
        const naive = await noop();
        return () => this.#steady(naive);
      }),
      planned('floor-backlog', 'noop worker, from a backlog', ['deliver'], async () => {
        const naive = await noop();
        return () => this.#backlog(naive, () => naive.addBacklog(deliveries));
      }),
      ...HTTP.map((http) =>
        planned(`client-${http}`, `${CLIENTS[http]}, alone`, ['deliver'], async () => {
          const client = await this.#systems.client(CLIENTS[http]);
          return () => client.post(deliveries, AT_ONCE);
        }),
      ),
      ...HTTP.map((http) =>
        planned(`naive-${http}`, `naive sender, ${http}`, ['deliver'], async () => {
          const naive = await this.#systems.naive(http);
          return () => this.#steady(naive);
        }),
      ),
    ];
  }

  sealpost(who: string, root: string): Planned[] {
    const { deliveries, manyEndpoints } = this.#options;
    const small = { endpoints: 10 };
    const of = (key: string, name: string, parts: string[], app: AppPlan, round: AppRound) =>
      planned(`${who.toLowerCase()}-${key}-${app.http}`, `${who}, ${name}, ${app.http}`, parts, async () => {
        const sealpost = await this.#systems.sealpost(who, root, app.http);
        const made = await this.#systems.app(sealpost, app.name, app.options);
        return () => round(made);
      });
    const bench = (http: HttpClientName) => ({ http, name: 'bench', options: small });
    const undici = bench('undici');
    const batches = (size: number) => (app: App) =>
      this.#backlog(app, () => app.publishBatches(deliveries, size));
    return [
      ...HTTP.map((http) =>
        of('single', 'one by one', singleParts(http), bench(http), (app) => this.#steady(app)),
      ),
      ...HTTP.map((http) =>
        of('batch-1000', 'batches of 1,000', ['deliver', 'batch'], bench(http), batches(1000)),
      ),
      of('batch-100', 'batches of 100', ['batch'], undici, batches(100)),
      of('ndjson', 'NDJSON', ['batch'], undici, (app) =>
        this.#backlog(app, () => app.publishNdjson(deliveries)),
      ),
      ...[10, 100].map((fanOut) =>
        of(
          `fan-out-${fanOut}`,
          `fan-out ${fanOut}`,
          ['fan-out'],
          { http: 'undici', name: `fan-out-${fanOut}`, options: { endpoints: fanOut, fanOut: 'all' } },
          (app) => this.#steady(app, { fanOut, atOnce: Math.max(AT_ONCE, 2 * fanOut) }),
        ),
      ),
      of('retries', 'every third fails once', ['retries'], retrying, (app) =>
        this.#steady(app, { atOnce: 4 * AT_ONCE }),
      ),
      of(
        'endpoints',
        `${manyEndpoints.toLocaleString('en')} endpoints`,
        ['endpoints'],
        { http: 'undici', name: 'many', options: { endpoints: manyEndpoints, apps: 10 } },
        (app) => this.#steady(app),
      ),
    ];
  }

  /** At most so many deliveries under way. */
  #steady(target: Target, { fanOut = 1, atOnce = AT_ONCE } = {}): Promise<Sample> {
    const total = Math.ceil(this.#options.deliveries / fanOut) * fanOut;
    const load = { total, each: fanOut, atOnce, send: (n: number) => target.publish(n) };
    return meter(target.system, total, () => keepUnderWay(target.arrivals, load), this.#options);
  }

  /** All at once, to be worked off. */
  #backlog({ system, arrivals }: Target, publish: () => Promise<unknown>): Promise<Sample> {
    const { deliveries } = this.#options;
    return meter(system, deliveries, () => untilArrived(arrivals, deliveries, publish), this.#options);
  }
}

type AppPlan = { http: HttpClientName; name: string; options: Parameters<Systems['app']>[2] };
type AppRound = (app: App) => Promise<Sample>;

const retrying: AppPlan = {
  http: 'undici',
  name: 'retries',
  options: {
    endpoints: 20,
    behaviour: { answer: 200, failsFirst: { count: 1, of: 3 } },
    settings: { defaults: { retry: { strategy: 'linear', base_seconds: BACKOFF } } },
  },
};

/** What publishing costs does not depend on the worker's client. */
function singleParts(http: HttpClientName): string[] {
  return http === 'undici' ? ['publish', 'deliver', 'latency'] : ['deliver', 'latency'];
}

function planned(key: string, label: string, parts: string[], setUp: () => Promise<Round>): Planned {
  return { key, label, parts, setUp };
}
