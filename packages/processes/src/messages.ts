/** What a parent tells one of its processes. Questions are numbered by who asks. */
export type ToMember =
  /** Are you ready? */
  | { sealpost: 'ask'; nr: number }
  /** Whether all are. */
  | { sealpost: 'all'; nr: number; reason?: string | undefined };

/** What a process tells its parent. */
export type ToParent =
  | { sealpost: 'started' }
  | { sealpost: 'own'; nr: number; reason?: string | undefined }
  /** Are all ready? */
  | { sealpost: 'ask-all'; nr: number };

/** node:cluster has messages of its own, and a debugger may have others. */
export function isOurs(message: unknown): boolean {
  return typeof message === 'object' && message !== null && 'sealpost' in message;
}

/** Questions that wait for their answer. */
export class Questions {
  readonly #waiting = new Map<number, (reason: string | undefined) => void>();
  #count = 0;

  /** Asks by `send`, and resolves with the answer, or with `otherwise` if none comes in time. */
  ask(send: (nr: number) => void, timeoutMs: number, otherwise: string): Promise<string | undefined> {
    this.#count += 1;
    const nr = this.#count;
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.answer(nr, otherwise), timeoutMs);
      this.#waiting.set(nr, (reason) => {
        clearTimeout(timer);
        resolve(reason);
      });
      send(nr);
    });
  }

  answer(nr: number, reason: string | undefined): void {
    this.#waiting.get(nr)?.(reason);
    this.#waiting.delete(nr);
  }
}
