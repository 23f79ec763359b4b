import { setTimeout as delay } from 'node:timers/promises';
import { Client } from '../../bench/harness/client.ts';
import { inParallel } from '../../bench/harness/in-parallel.ts';
import { residentOf, type Stack, startStack } from '../harness/index.ts';
import { PROBE_APP, type Probed, Prober } from './prober.ts';
import { Producer } from './producer.ts';
import type { Arrived } from './receiver-process.ts';
import { Receivers } from './receivers.ts';

/** Endpoints that get the same event. */
export const FAN_OUT = 10;
const CONNECTIONS = 4;
const LOOK_MS = 250;
const TELL_MS = 10_000;

export type OverloadOptions = {
  /** So many deliveries shall wait; from there on the API sheds. */
  deliveries: number;
  /** Apps × types × FAN_OUT. */
  apps: number;
  types: number;
  workers: number;
  /** A row is made of so many more that wait. */
  perRow: number;
  /** How long the producer goes on while it is refused, ms. */
  sheddingMs: number;
  /** For the fleet to catch up, ms. */
  catchUpMs: number;
  signal?: AbortSignal;
  say: (line: string) => void;
};

/** Bytes of memory. */
export type Memory = { api: number; worker: number; redis: number; redisData: number };

/** A stretch of the run. */
export type Row = Probed & {
  name: string;
  seconds: number;
  /** Open deliveries at its end. */
  open: number;
  /** Arrived within it. */
  arrived: number;
  /** The most of it. */
  memory: Memory;
  /** What `/readyz` of the API and of all workers said at its end. */
  ready: string[];
};

export type OverloadReport = {
  rows: Row[];
  /** Before anything was published, and when all had arrived. */
  before: Memory;
  after: Memory;
  acceptedEvents: number;
  refusedCalls: number;
  errors: string[];
  mostOpen: number;
  arrived: Arrived;
  /** Deliveries of accepted events that no receiver got. */
  missing: number;
  /** Left open when the time was up. */
  leftOpen: number;
};

/** A producer faster than the fleet, until the API refuses; then the fleet catches up. */
export async function runOverload(options: OverloadOptions): Promise<OverloadReport> {
  const { say } = options;
  const stack = await startStack({
    workers: options.workers,
    env: { WORKER_CONCURRENCY: '50', LOG_LEVEL: 'warn', NODE_ENV: 'production' },
    apiEnv: { SEALPOST_SHED_DEPTH: String(options.deliveries) },
  });
  const receivers = await Receivers.start();
  const client = new Client(stack.api.url, stack.apiKey);
  const apps = Array.from({ length: options.apps }, (_, i) => `busy-${i}`);
  await createEndpoints(client, receivers.port, apps, options.types);
  say(`${options.apps * options.types * FAN_OUT} endpoints in ${options.apps} apps are there.`);
  const run = new Run(stack, receivers, client, options);
  try {
    return await run.all(apps);
  } finally {
    client.close();
  }
}

async function createEndpoints(client: Client, port: number, apps: string[], types: number): Promise<void> {
  for (const app of apps) await client.app(app);
  await client.app(PROBE_APP);
  await client.endpoint(PROBE_APP, { url: `http://127.0.0.1:${port}/probe` });
  // Of different apps at a time: those of one are written one after the other.
  await inParallel(apps.length * types * FAN_OUT, apps.length, (i) => {
    const nth = Math.floor(i / apps.length);
    return client.endpoint(apps[i % apps.length]!, {
      url: `http://127.0.0.1:${port}/${nth % FAN_OUT}`,
      event_types: [`t.${Math.floor(nth / FAN_OUT)}`],
      wire_profile: 'raw',
    });
  });
}

class Run {
  readonly #stack: Stack;
  readonly #receivers: Receivers;
  readonly #client: Client;
  readonly #options: OverloadOptions;
  readonly #prober: Prober;
  readonly #rows: Row[] = [];
  #mostOpen = 0;

  constructor(stack: Stack, receivers: Receivers, client: Client, options: OverloadOptions) {
    this.#stack = stack;
    this.#receivers = receivers;
    this.#client = client;
    this.#options = options;
    this.#prober = new Prober(client);
  }

  async all(apps: string[]): Promise<OverloadReport> {
    const { deliveries, perRow, sheddingMs, catchUpMs } = this.#options;
    const before = await this.#memory();
    const producer = new Producer(this.#client, apps, this.#options.types);
    this.#prober.start();
    await this.#row('idle', async () => false, 3000);
    producer.start(CONNECTIONS);
    for (let up = perRow; up <= deliveries; up += perRow) {
      const reached = async (open: number) => open >= up || producer.refused > 0;
      await this.#row(`up to ${up.toLocaleString('en')} waiting`, reached);
    }
    await this.#row('refusing', async () => false, sheddingMs);
    const stopped = producer.stop();
    const leftOpen = await this.#row('catching up', async (open) => open === 0, catchUpMs);
    if (leftOpen === 0) await stopped;
    await this.#row('idle again', async () => false, 3000);
    await this.#prober.stop();
    return {
      rows: this.#rows,
      before,
      after: await this.#memory(),
      acceptedEvents: producer.accepted,
      refusedCalls: producer.refused,
      errors: producer.errors,
      mostOpen: this.#mostOpen,
      arrived: await this.#receivers.arrived(),
      missing: await this.#receivers.missing(producer.accepted, FAN_OUT),
      leftOpen,
    };
  }

  /** Lasts until `done`, given how many are open, or so long. Gives how many were: the prober goes on publishing. */
  async #row(
    name: string,
    done: (open: number) => Promise<boolean>,
    ms = Number.POSITIVE_INFINITY,
  ): Promise<number> {
    const { say, signal } = this.#options;
    const began = performance.now();
    const arrivedBefore = (await this.#receivers.arrived()).requests;
    this.#prober.take();
    let memory = await this.#memory();
    let open = 0;
    for (let toldAt = began; performance.now() - began < ms; await delay(LOOK_MS)) {
      signal?.throwIfAborted();
      open = await this.#open();
      this.#mostOpen = Math.max(this.#mostOpen, open);
      memory = most(memory, await this.#memory());
      if (await done(open)) break;
      if (performance.now() - toldAt < TELL_MS) continue;
      toldAt = performance.now();
      say(`${name}: ${open.toLocaleString('en')} open`);
    }
    const { requests } = await this.#receivers.arrived();
    this.#rows.push({
      ...this.#prober.take(),
      name,
      seconds: (performance.now() - began) / 1000,
      open,
      arrived: requests - arrivedBefore,
      memory,
      ready: await Promise.all([this.#stack.api, ...this.#stack.workers].map(({ url }) => readiness(url))),
    });
    say(`${name}: done, ${open.toLocaleString('en')} open`);
    return open;
  }

  async #open(): Promise<number> {
    const counts = await this.#stack.redis.client.hmget('{sp:0}:flow', 'pe', 're');
    return counts.reduce((sum, count) => sum + Number(count ?? 0), 0);
  }

  async #memory(): Promise<Memory> {
    const { api, workers, redis } = this.#stack;
    const [ofApi, ofRedis, ...ofWorkers] = await Promise.all(
      [api.pid!, redis.pid!, ...workers.map(({ pid }) => pid!)].map(residentOf),
    );
    const info = await redis.client.info('memory');
    const redisData = Number(/^used_memory:(\d+)/m.exec(info)?.[1]);
    return { api: ofApi!, redis: ofRedis!, worker: Math.max(...ofWorkers), redisData };
  }
}

async function readiness(url: string): Promise<string> {
  const answer = await fetch(`${url}/readyz`);
  const { sheds } = (await answer.json()) as { sheds?: string };
  return sheds === undefined ? String(answer.status) : `${answer.status} (${sheds})`;
}

function most(a: Memory, b: Memory): Memory {
  return {
    api: Math.max(a.api, b.api),
    worker: Math.max(a.worker, b.worker),
    redis: Math.max(a.redis, b.redis),
    redisData: Math.max(a.redisData, b.redisData),
  };
}
