import cluster from 'node:cluster';
import type { Logger } from '@sealpost/telemetry';
import { Child, type End } from './child.ts';
import { NO_ANSWER, type Question } from './line.ts';
import { deathsInARow, restartDelayMs } from './restart-delay.ts';

/** How long it waits, ms. */
export type Patience = {
  /** For a process to say whether it is ready. */
  readyMs: number;
  /** For its metrics; it gives Redis a second itself. */
  metricsMs: number;
  /** A process ends by itself 25 s after it was told to drain; what is still there then is ended. */
  drainMs: number;
  /** So often it looks whether all are still there, */
  lookMs: number;
  /** and ends one that has said nothing for so many looks: it hangs, and what it has is for others to do. */
  looks: number;
  /** For one that is started again to do its work: longer than a busy machine and a Redis that is away may take. */
  startMs: number;
};
const PATIENCE: Patience = {
  readyMs: 2000,
  metricsMs: 3000,
  drainMs: 25_500,
  lookMs: 10_000,
  looks: 6,
  startMs: 300_000,
};

/** Adds up what the processes count; a process is known by the object that stands for it. */
export type Totals = {
  heard(process: object, metrics: unknown): void;
  ended(process: object): void;
  /** One that has died counts among the totals. */
  died(): void;
  /** In Prometheus' text format; of those that have not answered, what they have counted before. */
  text(answered: ReadonlySet<object>): Promise<string>;
};

type Options = { count: number; logger: Logger; totals: Totals; patience?: Partial<Patience> };
type Place = { nr: number; deaths: number; child: Child | undefined };

/** Whether this process was started by a person or a service manager, and not by a Supervisor. */
export function isParent(): boolean {
  return cluster.isPrimary;
}

/**
 * Runs so many processes of this program, which share nothing but a port if they listen.
 *
 *   starting ──started──▶ running ──dies, or hangs──▶ waiting (0.5 s, doubling to 30 s) ──▶ starting
 *       └──dies before all have ever run: the start has failed
 */
export class Supervisor {
  readonly #places: Place[];
  readonly #logger: Logger;
  readonly #totals: Totals;
  readonly #patience: Patience;
  #draining: Promise<void> | undefined;
  /** A start that has failed drains as well, without one. */
  #hasSignal = false;
  #haveAllStarted = false;
  readonly #started = Promise.withResolvers<void>();
  #onEnd: () => void = () => {};

  constructor({ count, logger, totals, patience }: Options) {
    this.#places = Array.from({ length: count }, (_, i) => ({ nr: i + 1, deaths: 0, child: undefined }));
    this.#logger = logger;
    this.#totals = totals;
    this.#patience = { ...PATIENCE, ...patience };
  }

  /** Resolves when all do their work. Rejects, with what it said, when one ends before; the others have drained then. */
  async start(): Promise<void> {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => this.#signalled(signal));
    setInterval(() => this.#look(), this.#patience.lookMs);
    for (const place of this.#places) this.#draining ?? this.#fork(place);
    await this.#started.promise;
    this.#haveAllStarted = true;
  }

  /**
   * Undefined: all have started once, all that run now are ready, and one runs at least. One that has died and is not
   * back yet gets no work, so the others answer for it.
   */
  async notReady(): Promise<string | undefined> {
    if (this.#draining) return 'draining';
    if (!this.#haveAllStarted) return 'starting';
    return this.#askReady();
  }

  /** What all have counted, and this process with them, in Prometheus' text format. */
  metrics(): Promise<string> {
    return this.#askMetrics();
  }

  readonly #askReady = oneAtATime(async () => {
    const running = this.#children().filter(({ started }) => started);
    if (running.length === 0) return 'none of its processes runs';
    const reasons = await Promise.all(
      running.map(async ({ nr, line }) => {
        const reason = await line.ask('ready', this.#patience.readyMs);
        if (reason === NO_ANSWER) return `process ${nr} does not answer`;
        return reason === undefined ? undefined : `process ${nr}: ${reason}`;
      }),
    );
    return reasons.find((reason) => reason !== undefined);
  });

  readonly #askMetrics = oneAtATime(async () => {
    const answered = new Set<object>();
    await Promise.all(
      this.#children().map(async (child) => {
        const metrics = await child.line.ask('metrics', this.#patience.metricsMs);
        if (metrics === NO_ANSWER || metrics === undefined || !this.#children().includes(child)) return;
        this.#totals.heard(child, metrics);
        answered.add(child);
      }),
    );
    return this.#totals.text(answered);
  });

  #fork(place: Place): void {
    const child = () =>
      new Child(place.nr, {
        onStarted: () => this.#oneStarted(),
        onEnd: (end) => this.#ended(place, end),
        reply: (what: Question) => (what === 'ready' ? this.notReady() : this.metrics()),
      });
    try {
      place.child = child();
      const { pid } = place.child;
      if (pid !== undefined) this.#logger.info({ process: place.nr, child: pid }, 'process started');
    } catch (error) {
      // As when the machine has no memory left: later it may.
      this.#ended(place, { code: null, signal: null, why: String(error) });
    }
  }

  #oneStarted(): void {
    if (this.#places.every(({ child }) => child?.started)) this.#started.resolve();
  }

  #ended(place: Place, end: End): void {
    const { child } = place;
    place.child = undefined;
    if (child) this.#totals.ended(child);
    this.#onEnd();
    const what = { process: place.nr, child: child?.pid, ...end };
    if (this.#draining) {
      if (child?.started && end.code !== 0) this.#logger.warn(what, 'a process ended without having drained');
    } else if (this.#haveAllStarted) this.#restart(place, child, what);
    else this.#startFailed(what);
  }

  #restart(place: Place, child: Child | undefined, what: object): void {
    place.deaths = deathsInARow(place.deaths, child ? performance.now() - child.startedAt : 0);
    const againInMs = restartDelayMs(place.deaths);
    this.#totals.died();
    this.#logger.error({ ...what, againInMs }, 'a process died; it is started again');
    setTimeout(() => this.#draining ?? this.#fork(place), againInMs);
  }

  /** Those that work already finish what they have. */
  #startFailed({ process, code, signal, why }: End & { process: number }): void {
    const how = `process ${process} ended (${signal ?? `exit code ${code}`}) while all were starting`;
    this.#draining = this.#drain().then(() => this.#started.reject(new Error(why ?? how)));
  }

  /** One whose event loop stands still answers nobody, gets its share of connections, and keeps its port. */
  #look(): void {
    if (this.#draining) return;
    for (const child of this.#children()) {
      if (!child.started) {
        this.#lookAtStart(child);
        continue;
      }
      child.silences += 1;
      if (child.silences <= this.#patience.looks) child.line.tell({ sealpost: 'ask', nr: 0, what: 'there' });
      else {
        this.#logger.error({ process: child.nr, child: child.pid }, 'a process hangs; it is ended');
        child.kill('SIGKILL');
      }
    }
  }

  /** At the first start a person or a service manager waits, who may end it. */
  #lookAtStart(child: Child): void {
    if (!this.#haveAllStarted || performance.now() - child.startedAt < this.#patience.startMs) return;
    this.#logger.error({ process: child.nr, child: child.pid }, 'a process does not start; it is ended');
    child.kill('SIGKILL');
  }

  /** Tells all to drain and ends with them; a second signal ends all at once. */
  #signalled(signal: string): void {
    if (this.#hasSignal) {
      this.#killAll();
      process.exit(1);
    }
    this.#hasSignal = true;
    // The start has failed: its end comes, with its reason.
    if (this.#draining) return;
    this.#logger.info({ signal }, 'draining all processes');
    this.#draining = this.#drain().then(() => {
      this.#logger.info('all processes have ended');
      process.exit(0);
    });
  }

  async #drain(): Promise<void> {
    const gone = Promise.withResolvers<void>();
    this.#onEnd = () => this.#children().length === 0 && gone.resolve();
    const late = setTimeout(() => {
      const left = this.#children().map(({ nr }) => nr);
      this.#logger.error({ processes: left }, 'not all processes drained in time; these are ended');
      this.#killAll();
    }, this.#patience.drainMs);
    for (const child of this.#children()) child.kill('SIGTERM');
    this.#onEnd();
    await gone.promise;
    clearTimeout(late);
  }

  #children(): Child[] {
    return this.#places.flatMap(({ child }) => child ?? []);
  }

  #killAll(): void {
    for (const child of this.#children()) child.kill('SIGKILL');
  }
}

/**
 * All processes are asked through this one, and anybody may ask: who asks while that goes on gets the same answer. It was
 * begun no longer ago than the patience with them lasts.
 */
function oneAtATime<T>(ask: () => Promise<T>): () => Promise<T> {
  let asking: Promise<T> | undefined;
  return () => {
    asking ??= ask().finally(() => {
      asking = undefined;
    });
    return asking;
  };
}
