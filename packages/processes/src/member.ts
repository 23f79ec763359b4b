import cluster from 'node:cluster';
import { isOurs, Questions, type ToMember, type ToParent } from './messages.ts';

/** The parent asks each of its processes, and gives each a second. */
const ALL_MS = 2000;

type NotReady = () => Promise<string | undefined>;

/**
 * An app's process as one of several under a parent, or alone: then it answers for itself. Should the parent die,
 * node:cluster ends this process at once, as a crash of its own would.
 */
export class Member {
  readonly isAlone = !cluster.isWorker;
  readonly #notReady: NotReady;
  readonly #questions = new Questions();
  #isDraining = false;

  /** `notReady`: whether this process is. */
  constructor(notReady: NotReady) {
    this.#notReady = notReady;
    if (!this.isAlone) process.on('message', (message) => isOurs(message) && this.#hear(message as ToMember));
  }

  /** This process does its work from now on, and has `drain` called when it is to stop; a second signal ends it. */
  started(drain: (signal: string) => void): void {
    const signalled = (signal: string) => {
      if (!this.#isDraining) {
        this.#isDraining = true;
        drain(signal);
      } else if (this.isAlone) process.exit(1);
      // A service manager may signal every process, and the parent does so as well: that is no second time.
    };
    process.on('SIGTERM', signalled);
    // In a terminal, Ctrl-C reaches all processes at once: the parent is the one to act on it.
    process.on('SIGINT', (signal) => this.isAlone && signalled(signal));
    this.#tell({ sealpost: 'started' });
  }

  /** Whether this process, and all beside it, are ready: undefined, or why not. */
  allNotReady(): Promise<string | undefined> {
    if (this.isAlone) return this.#notReady();
    const ask = (nr: number) => this.#tell({ sealpost: 'ask-all', nr });
    return this.#questions.ask(ask, ALL_MS, 'the parent process does not answer');
  }

  #hear(message: ToMember): void {
    if (message.sealpost === 'all') this.#questions.answer(message.nr, message.reason);
    else {
      this.#notReady().then(
        (reason) => this.#tell({ sealpost: 'own', nr: message.nr, reason }),
        () => this.#tell({ sealpost: 'own', nr: message.nr, reason: 'Redis does not answer' }),
      );
    }
  }

  #tell(message: ToParent): void {
    if (!this.isAlone && process.connected) process.send?.(message);
  }
}
