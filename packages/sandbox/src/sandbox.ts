import { LRUCache } from 'lru-cache';
import type { Answer, Request } from './child.ts';
import { type Killed, SandboxChild } from './child-process.ts';

/** An evaluation waits for so many others at most. Of suspects few: a worker's slot is held by what waits. */
const MOST_WAITING = 200;
const MOST_SUSPECTS_WAITING = 8;
/** How long what was killed is a suspect, ms. */
const SUSPECT_MS = 600_000;
const SUSPECTS = 10_000;
/** From so many killed expressions on, all of an owner's are suspects: a new text for each try does not help. */
const OWNER_KILLS = 5;

/** Too much waits already: to be tried again later. */
export class SandboxBusy extends Error {
  override readonly name = 'SandboxBusy';
}

/** `owner`: whose expression it is, an app. */
export type SandboxRequest = Request & { owner: string };

/**
 * Evaluates what is not evaluated in process, in two children: one for expressions that were never killed, and one for those
 * that were, so that suspects delay only each other. Nothing runs until something is asked for.
 */
export class Sandbox {
  readonly #trusted = new Line(MOST_WAITING);
  readonly #suspects = new Line(MOST_SUSPECTS_WAITING);
  readonly #killed = new LRUCache<string, true>({ max: SUSPECTS, ttl: SUSPECT_MS });
  readonly #owners = new LRUCache<string, number>({ max: SUSPECTS, ttl: SUSPECT_MS });

  /**
   * What is killed is tried once more, among the suspects: a busy machine must not condemn the innocent.
   * @throws SandboxBusy
   */
  async run(request: SandboxRequest): Promise<Answer | { killed: 'time' | 'died' }> {
    const { owner, ...rest } = request;
    const line = JSON.stringify(rest);
    if (this.#isSuspect(request)) return this.#suspects.run(line, 2);
    const first = await this.#trusted.run(line, 1);
    if (!('killed' in first)) return first;
    this.#suspect(request);
    return this.#suspects.run(line, 1);
  }

  /** Process ids, for tests. */
  get pids(): (number | undefined)[] {
    return [this.#trusted.pid, this.#suspects.pid];
  }

  close(): void {
    this.#trusted.close();
    this.#suspects.close();
  }

  #isSuspect({ source, owner }: SandboxRequest): boolean {
    return this.#killed.has(source) || (this.#owners.get(owner) ?? 0) >= OWNER_KILLS;
  }

  #suspect({ source, owner }: SandboxRequest): void {
    if (!this.#killed.has(source)) this.#owners.set(owner, (this.#owners.get(owner) ?? 0) + 1);
    this.#killed.set(source, true);
  }
}

type Finished = Answer | { killed: 'time' | 'died' };

/** One child, and what waits for it, in order. */
class Line {
  readonly #most: number;
  readonly #child = new SandboxChild();
  #waiting = 0;
  #last: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(most: number) {
    this.#most = most;
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** @param tries how often it is begun, if it is killed. @throws SandboxBusy */
  async run(line: string, tries: number): Promise<Finished> {
    if (this.#waiting >= this.#most) throw new SandboxBusy('too many expressions wait to be evaluated');
    this.#waiting++;
    const turn = this.#last.then(() => this.#try(line, tries));
    this.#last = turn;
    const answer: Answer | Killed = await turn.finally(() => {
      this.#waiting--;
    });
    if ('killed' in answer && answer.killed === 'unbegun') throw new SandboxBusy('the sandbox did not start');
    return answer as Finished;
  }

  async #try(line: string, tries: number): Promise<Answer | Killed> {
    let answer: Answer | Killed = { killed: 'unbegun' };
    for (let i = 0; i < tries && 'killed' in answer && !this.#closed; i++)
      answer = await this.#child.run(line);
    return answer;
  }

  close(): void {
    this.#closed = true;
    this.#child.close();
  }
}
