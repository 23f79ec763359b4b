import cluster from 'node:cluster';
import { NR_ARGUMENT } from './child.ts';
import { isMessage, Line, NO_ANSWER, type Question } from './line.ts';

/** The parent gives each of its processes less, and a probe or Prometheus gives us more: 4 s in deploy/, 10 s. */
const ALL_READY_MS = 3000;
const ALL_METRICS_MS = 6000;

/** What a process tells of itself. */
export type Own = {
  /** Undefined: ready. Else why not. */
  notReady(): Promise<string | undefined>;
  /** For adding up with those of the others. */
  metrics(): Promise<unknown>;
  /** The same as text, of this process alone. */
  text(): Promise<string>;
};

/**
 * An app's process as one of several under a parent, or alone: then it answers for itself, and nothing of this package
 * does anything. Should the parent die, node:cluster ends this process at once, as a crash of its own would.
 */
export class Member {
  readonly isAlone = !cluster.isWorker;
  /** Which of the parent's processes this is, from 1; one that is started again keeps its number. Undefined: alone. */
  readonly nr = cluster.isWorker ? nrOf(process.argv) : undefined;
  readonly #line = new Line(
    (message) => process.connected && process.send?.(message),
    (what) => this.#reply(what),
  );
  #own: Own | undefined;
  #isDraining = false;

  constructor() {
    if (this.isAlone) return;
    process.on('message', (message) => isMessage(message) && this.#line.hear(message));
    // In a terminal, Ctrl-C reaches all processes at once: the parent is the one to act on it.
    process.on('SIGINT', () => {});
  }

  /** From now on it can tell; before, it is not ready. */
  tells(own: Own): void {
    this.#own = own;
  }

  /** From now on `drain` is called when this process is to stop; a second signal ends it. To be set before it takes work. */
  drainsWith(drain: (signal: string) => void): void {
    const signalled = (signal: string) => {
      if (!this.#isDraining) {
        this.#isDraining = true;
        drain(signal);
      } else if (this.isAlone) process.exit(1);
      // A service manager may signal every process, and the parent does so as well: that is no second time.
    };
    process.on('SIGTERM', signalled);
    if (this.isAlone) process.on('SIGINT', signalled);
  }

  /** This process does its work from now on. */
  started(): void {
    if (!this.isAlone && !this.#isDraining) this.#line.tell({ sealpost: 'started' });
  }

  /** This process cannot start: has that told once, by the parent if there is one, and ends with 1. */
  failed(why: string, tell: (why: string) => void): void {
    if (this.isAlone || !process.connected) {
      tell(why);
      process.exit(1);
    }
    process.send?.({ sealpost: 'failed', why }, () => process.exit(1));
  }

  /** Whether this process, and all beside it, are ready: undefined, or why not. */
  async allNotReady(): Promise<string | undefined> {
    if (this.isAlone) return this.#own?.notReady();
    const reason = await this.#line.ask('ready', ALL_READY_MS);
    return reason === NO_ANSWER ? 'the parent process does not answer' : (reason as string | undefined);
  }

  /** The metrics of this process and all beside it, added up, in Prometheus' text format. */
  async allMetrics(): Promise<string> {
    if (this.isAlone) return this.#own?.text() ?? '';
    const text = await this.#line.ask('metrics', ALL_METRICS_MS);
    // Its own alone would be less than all were before: to Prometheus, a restart.
    if (text === NO_ANSWER) throw new Error('the parent process does not answer');
    return text as string;
  }

  async #reply(what: Question): Promise<unknown> {
    if (what === 'there') return true;
    if (!this.#own) return what === 'ready' ? 'starting' : undefined;
    return what === 'ready' ? this.#own.notReady() : this.#own.metrics();
  }
}

function nrOf(args: readonly string[]): number | undefined {
  const argument = args.find((text) => text.startsWith(NR_ARGUMENT));
  return argument === undefined ? undefined : Number(argument.slice(NR_ARGUMENT.length));
}
