import { LRUCache } from 'lru-cache';
import { SandboxChild } from './child-process.ts';

/** What an owner's evaluations may need that wait, ms by the clock: a worker's slot is held by what waits. */
const MOST_OWED_MS = 500;
/** What one is taken to need whose owner is not known yet, ms. */
const FIRST_GUESS_MS = 5;
const KNOWN_OWNERS = 10_000;

/** Too much waits already: to be tried again later. */
export class SandboxBusy extends Error {
  override readonly name = 'SandboxBusy';
}

/** What is done with the child when it is its turn. */
type Work<T> = (child: SandboxChild) => Promise<T>;

/**
 * One child, and what waits for it. The owners take turns, so that who has much to evaluate, or what takes long, keeps
 * nobody else waiting for more than one evaluation.
 */
export class Line {
  readonly #child = new SandboxChild();
  readonly #most: number;
  /** By owner, in the order of their turns. */
  readonly #waiting = new Map<string, (() => Promise<void>)[]>();
  /** With the one whose turn it is. */
  #count = 0;
  #serving = false;
  /** What an evaluation of an owner's needs, ms: the last one, where that is more than those before needed. */
  readonly #costs = new LRUCache<string, number>({ max: KNOWN_OWNERS });

  /** @param most so many wait, of all owners */
  constructor(most: number) {
    this.#most = most;
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** @throws SandboxBusy */
  async run<T>(owner: string, work: Work<T>): Promise<T> {
    const own = this.#waiting.get(owner) ?? [];
    const owed = own.length * (this.#costs.get(owner) ?? FIRST_GUESS_MS);
    if (this.#count >= this.#most || owed > MOST_OWED_MS) {
      throw new SandboxBusy('too many expressions wait to be evaluated');
    }
    const result = new Promise<T>((resolve, reject) => {
      own.push(() => work(this.#child).then(resolve, reject));
    });
    this.#waiting.set(owner, own);
    this.#count++;
    void this.#serve();
    return result;
  }

  close(): void {
    this.#child.close();
  }

  async #serve(): Promise<void> {
    if (this.#serving) return;
    this.#serving = true;
    // What is set while this goes on comes last, and is met as well.
    for (const [owner, own] of this.#waiting) {
      const work = own.shift()!;
      this.#waiting.delete(owner);
      if (own.length > 0) this.#waiting.set(owner, own);
      const before = this.#child.spentMs;
      await work();
      this.#count--;
      this.#note(owner, this.#child.spentMs - before);
    }
    this.#serving = false;
  }

  #note(owner: string, ms: number): void {
    const known = this.#costs.get(owner) ?? FIRST_GUESS_MS;
    this.#costs.set(owner, ms > known ? ms : known + (ms - known) / 8);
  }
}
