import { setTimeout as delay } from 'node:timers/promises';
import type { Client } from '../../bench/harness/client.ts';
import { now } from '../../bench/harness/clock.ts';

export const PROBE_APP = 'probe';
const EVERY_MS = 25;

/** What somebody with a little to do asks of the API while others flood it. */
const ASKED = {
  publish: ['POST', `/v1/apps/${PROBE_APP}/events`, '{"type":"probe.sent","payload":1}'],
  list: ['GET', `/v1/apps/${PROBE_APP}/deliveries?limit=20`, undefined],
  listBusy: ['GET', '/v1/apps/busy-0/deliveries?status=pending&limit=20', undefined],
  ready: ['GET', '/readyz', undefined],
} as const;
export type Asked = keyof typeof ASKED;

/** How long answers took, ms, by what was asked; and which statuses there were, as `publish 202`. */
export type Probed = { latencies: Record<Asked, number[]>; statuses: Map<string, number> };

/** Asks one thing after the other at an even pace, whatever becomes of the former ones. */
export class Prober {
  readonly #client: Client;
  readonly #underWay = new Set<Promise<void>>();
  #probed: Probed = nothing();
  #running: Promise<void> | undefined;
  #stopping = false;

  constructor(client: Client) {
    this.#client = client;
  }

  start(): void {
    this.#running = this.#run();
  }

  /** What it has found since it was last asked. */
  take(): Probed {
    const taken = this.#probed;
    this.#probed = nothing();
    return taken;
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#running;
    await Promise.all(this.#underWay);
  }

  async #run(): Promise<void> {
    const all = Object.keys(ASKED) as Asked[];
    for (let i = 0; !this.#stopping; i += 1) {
      const asking: Promise<void> = this.#ask(all[i % all.length]!).finally(() =>
        this.#underWay.delete(asking),
      );
      this.#underWay.add(asking);
      await delay(EVERY_MS);
    }
  }

  async #ask(asked: Asked): Promise<void> {
    const [method, path, body] = ASKED[asked];
    const sentAt = now();
    const status = await this.#client.send(method, path, body).then(
      (answer) => String(answer.status),
      (error: NodeJS.ErrnoException) => error.code ?? error.message,
    );
    this.#probed.latencies[asked].push(now() - sentAt);
    const name = `${asked} ${status}`;
    this.#probed.statuses.set(name, (this.#probed.statuses.get(name) ?? 0) + 1);
  }
}

function nothing(): Probed {
  return { latencies: { publish: [], list: [], listBusy: [], ready: [] }, statuses: new Map() };
}
