/** What goes between a parent and one of its processes, either way. Questions are numbered by who asks. */
export type Message =
  /** A process: I do my work from now on. */
  | { sealpost: 'started' }
  /** A process: I cannot start, and end. */
  | { sealpost: 'failed'; why: string }
  | { sealpost: 'ask'; nr: number; what: Question }
  | { sealpost: 'answer'; nr: number; answer: unknown };

/**
 * `ready` → undefined, or why not. `metrics` → a process: its own, for adding up; the parent: those of all, as text.
 * `there` → anything: who answers is not stuck.
 */
export type Question = 'ready' | 'metrics' | 'there';

/** Instead of an answer: none came in time, or who was asked has ended. */
export const NO_ANSWER = Symbol('no answer');

/** One end of the channel between a parent and one of its processes. */
export class Line {
  readonly #send: (message: Message) => void;
  readonly #reply: (what: Question) => Promise<unknown>;
  readonly #waiting = new Map<number, (answer: unknown) => void>();
  #count = 0;

  /** @param reply answers what the other end asks; if it rejects, the other end gets no answer */
  constructor(send: (message: Message) => void, reply: (what: Question) => Promise<unknown>) {
    this.#send = send;
    this.#reply = reply;
  }

  tell(message: Message): void {
    this.#send(message);
  }

  /** Resolves with the answer, or with {@link NO_ANSWER} after `timeoutMs`. */
  ask(what: Question, timeoutMs: number): Promise<unknown> {
    this.#count += 1;
    const nr = this.#count;
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#settle(nr, NO_ANSWER), timeoutMs);
      this.#waiting.set(nr, (answer) => {
        clearTimeout(timer);
        resolve(answer);
      });
      this.tell({ sealpost: 'ask', nr, what });
    });
  }

  /** Takes what the other end has sent, if it is a question or an answer. */
  hear(message: Message): void {
    if (message.sealpost === 'answer') this.#settle(message.nr, message.answer);
    if (message.sealpost !== 'ask') return;
    const { nr, what } = message;
    this.#reply(what).then(
      (answer) => this.tell({ sealpost: 'answer', nr, answer }),
      () => {}, // who asks hears nothing in time, which tells as much
    );
  }

  /** The other end is gone: nobody waits for it any longer. */
  close(): void {
    for (const nr of [...this.#waiting.keys()]) this.#settle(nr, NO_ANSWER);
  }

  #settle(nr: number, answer: unknown): void {
    this.#waiting.get(nr)?.(answer);
    this.#waiting.delete(nr);
  }
}

/** node:cluster has messages of its own, and a debugger may have others. */
export function isMessage(message: unknown): message is Message {
  return typeof message === 'object' && message !== null && 'sealpost' in message;
}
