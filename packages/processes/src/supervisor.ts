import cluster, { type Worker } from 'node:cluster';
import type { Logger } from '@sealpost/telemetry';
import { isOurs, Questions, type ToMember, type ToParent } from './messages.ts';
import { deathsInARow, restartDelayMs } from './restart-delay.ts';

/** A process that does not answer within this, ms, is not ready. */
const ANSWER_MS = 1000;
/** A process ends by itself 25 s after it was told to drain; what is still there then is ended. */
const DRAIN_MS = 25_500;

type Place = { nr: number; deaths: number; startedAt: number; worker: Worker | undefined; started: boolean };

/** Whether this process was started by a person or a service manager, and not by a Supervisor. */
export function isParent(): boolean {
  return cluster.isPrimary;
}

/**
 * Runs so many processes of this program, which share nothing but a port if they listen.
 *
 *   starting ──started──▶ running ──dies──▶ waiting (0.5 s, doubling to 30 s) ──▶ starting
 *       └──dies before all have ever run: the start has failed
 */
export class Supervisor {
  readonly #places: Place[];
  readonly #logger: Logger;
  readonly #questions = new Questions();
  #draining: Promise<void> | undefined;
  #haveAllStarted = false;
  #tellStarted: () => void = () => {};
  #tellFailed: (error: Error) => void = () => {};
  #onExit: () => void = () => {};

  constructor({ count, logger }: { count: number; logger: Logger }) {
    this.#logger = logger;
    this.#places = Array.from({ length: count }, (_, i) => ({
      nr: i + 1,
      deaths: 0,
      startedAt: 0,
      worker: undefined,
      started: false,
    }));
  }

  /** Resolves when all do their work. Rejects when one ends before; the others are ended. */
  async start(): Promise<void> {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => this.#signalled(signal));
    const started = new Promise<void>((resolve, reject) => {
      this.#tellStarted = resolve;
      this.#tellFailed = reject;
    });
    for (const place of this.#places) this.#fork(place);
    await started;
    this.#haveAllStarted = true;
  }

  /**
   * Undefined: all that run are ready, and one runs at least. One that has died and is not back yet gets no work, so
   * the others answer for it.
   */
  async notReady(): Promise<string | undefined> {
    if (this.#draining) return 'draining';
    const running = this.#places.filter(({ worker, started }) => worker && started);
    if (running.length === 0) return 'none of its processes runs';
    const reasons = await Promise.all(running.map((place) => this.#ask(place)));
    return reasons.find((reason) => reason !== undefined);
  }

  async #ask({ nr: place, worker }: Place): Promise<string | undefined> {
    const silent = 'does not answer';
    const ask = (nr: number) => tell(worker!, { sealpost: 'ask', nr });
    const reason = await this.#questions.ask(ask, ANSWER_MS, silent);
    return reason === silent ? `process ${place} ${silent}` : reason;
  }

  #fork(place: Place): void {
    const worker = cluster.fork();
    Object.assign(place, { worker, started: false, startedAt: performance.now() });
    this.#logger.info({ process: place.nr, child: worker.process.pid }, 'process started');
    worker.on(
      'message',
      (message: unknown) => isOurs(message) && this.#hear(place, worker, message as ToParent),
    );
    worker.on('error', (error) =>
      this.#logger.warn({ err: error, process: place.nr }, 'trouble with a process'),
    );
    worker.once('exit', (code, signal) => this.#exited(place, { code, signal }));
  }

  #hear(place: Place, worker: Worker, message: ToParent): void {
    if (message.sealpost === 'own') this.#questions.answer(message.nr, message.reason);
    else if (message.sealpost === 'ask-all') {
      void this.notReady().then((reason) => tell(worker, { sealpost: 'all', nr: message.nr, reason }));
    } else {
      place.started = true;
      if (this.#places.every(({ started }) => started)) this.#tellStarted();
    }
  }

  #exited(place: Place, how: { code: number | null; signal: string | null }): void {
    const child = place.worker?.process.pid;
    place.worker = undefined;
    place.started = false;
    this.#onExit();
    if (this.#draining) return;
    if (!this.#haveAllStarted) {
      this.#killAll();
      this.#tellFailed(new Error('One of its processes ended while they were starting; see above.'));
      return;
    }
    place.deaths = deathsInARow(place.deaths, performance.now() - place.startedAt);
    const againInMs = restartDelayMs(place.deaths);
    this.#logger.error(
      { process: place.nr, child, ...how, againInMs },
      'a process died; it is started again',
    );
    setTimeout(() => this.#draining ?? this.#fork(place), againInMs);
  }

  /** Tells all to drain and ends with them; a second signal ends all at once. */
  #signalled(signal: string): void {
    if (this.#draining) {
      this.#killAll();
      process.exit(1);
    }
    this.#logger.info({ signal }, 'draining all processes');
    this.#draining = this.#drain().then(() => {
      this.#logger.info('all processes have ended');
      process.exit(0);
    });
  }

  async #drain(): Promise<void> {
    const gone = new Promise<void>((resolve) => {
      this.#onExit = () => this.#running().length === 0 && resolve();
    });
    const late = setTimeout(() => {
      this.#logger.error('not all processes drained in time; the others are ended');
      this.#killAll();
    }, DRAIN_MS);
    for (const worker of this.#running()) worker.process.kill('SIGTERM');
    this.#onExit();
    await gone;
    clearTimeout(late);
  }

  #running(): Worker[] {
    return this.#places.flatMap(({ worker }) => worker ?? []);
  }

  #killAll(): void {
    for (const worker of this.#running()) worker.process.kill('SIGKILL');
  }
}

function tell(worker: Worker, message: ToMember): void {
  // One that is about to end is not told; its end tells enough.
  if (worker.isConnected()) worker.send(message, () => {});
}
