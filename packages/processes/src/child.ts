import cluster, { type Worker } from 'node:cluster';
import { isMessage, Line, type Message, type Question } from './line.ts';

/** Before the number of a process on its command line, where `ps` shows it. */
export const NR_ARGUMENT = '--process=';
/** The last words of a process arrive within this after its end, ms. */
const LAST_WORDS_MS = 1000;

/** How a process ended; `why` it could not start, if it said so. */
export type End = { code: number | null; signal: string | null; why?: string | undefined };

type Listeners = {
  onStarted(): void;
  onEnd(end: End): void;
  /** What it asks about all. */
  reply(what: Question): Promise<unknown>;
};

/** A process of this program, from its start to its end. */
export class Child {
  readonly nr: number;
  readonly line: Line;
  readonly startedAt = performance.now();
  /** Whether it does its work. */
  started = false;
  /** How often in a row it was looked at without having said anything since. */
  silences = 0;
  readonly #worker: Worker;
  readonly #listeners: Listeners;
  #why: string | undefined;
  #hasEnded = false;

  /** @throws when the system has no room for another process; mostly it tells so by `onEnd` */
  constructor(nr: number, listeners: Listeners) {
    this.nr = nr;
    this.#listeners = listeners;
    cluster.setupPrimary({
      // Other than JSON it knows NaN and Infinity, which metrics may be.
      serialization: 'advanced',
      args: [...process.argv.slice(2), `${NR_ARGUMENT}${nr}`],
    });
    this.#worker = cluster.fork();
    this.line = new Line(
      // One that is about to end is not told; its end tells enough.
      (message) => this.#worker.isConnected() && this.#worker.send(message, () => {}),
      (what) => listeners.reply(what),
    );
    this.#listen();
  }

  get pid(): number | undefined {
    return this.#worker.process.pid;
  }

  kill(signal: 'SIGTERM' | 'SIGKILL'): void {
    this.#worker.process.kill(signal);
  }

  #listen(): void {
    const worker = this.#worker;
    worker.on('message', (message: unknown) => isMessage(message) && this.#hear(message));
    worker.on('error', (error) => {
      // A process that never was has no exit.
      if (this.pid === undefined) this.#end({ code: null, signal: null, why: error.message });
    });
    worker.once('exit', (code, signal) => {
      const end = () => this.#end({ code, signal, why: this.#why });
      if (!worker.isConnected()) return end();
      worker.once('disconnect', end);
      setTimeout(end, LAST_WORDS_MS);
    });
  }

  #hear(message: Message): void {
    this.silences = 0;
    if (message.sealpost === 'failed') this.#why = message.why;
    else if (message.sealpost !== 'started') this.line.hear(message);
    else {
      this.started = true;
      this.#listeners.onStarted();
    }
  }

  #end(end: End): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.line.close();
    this.#listeners.onEnd(end);
  }
}
