import { LRUCache } from 'lru-cache';
import type { Answer, Request } from './child.ts';
import type { Killed, SandboxChild } from './child-process.ts';
import { Line, SandboxBusy } from './line.ts';

/** An evaluation waits for so many others at most. */
const MOST_WAITING = 200;
const MOST_SUSPECTS_WAITING = 8;
/** How long what was killed is a suspect, ms. */
const SUSPECT_MS = 600_000;
const SUSPECTS = 10_000;
/** From so many killed expressions on, all of an owner's are suspects: a new text for each try does not help. */
const OWNER_KILLS = 5;

/** `owner`: whose expression it is, an app. */
export type SandboxRequest = Request & { owner: string };

type Finished = Answer | { killed: 'time' | 'died' };

/**
 * Evaluates what is not evaluated in process, in two children: one for expressions that were never killed, and one for those
 * that were, so that suspects delay only each other. Nothing runs until something is asked for.
 */
export class Sandbox {
  readonly #trusted = new Line(MOST_WAITING);
  readonly #suspects = new Line(MOST_SUSPECTS_WAITING);
  /** Whose and what: another owner's events may do no harm in the same expression. */
  readonly #killed = new LRUCache<string, true>({ max: SUSPECTS, ttl: SUSPECT_MS });
  readonly #owners = new LRUCache<string, number>({ max: SUSPECTS, ttl: SUSPECT_MS });

  /**
   * What is killed is tried once more, among the suspects: a busy machine must not condemn the innocent.
   * @throws SandboxBusy
   */
  async run(request: SandboxRequest): Promise<Finished> {
    const { owner, ...rest } = request;
    const line = JSON.stringify(rest);
    const first = await this.#tryTrusted(request, line);
    if (first && !('killed' in first)) return first;
    if (first) this.#suspect(request);
    return this.#suspects.run(owner, (child) => evaluate(child, line, first ? 1 : 2)).then(finished);
  }

  /** Undefined: it is a suspect, and was not begun. */
  async #tryTrusted(request: SandboxRequest, line: string): Promise<Finished | undefined> {
    if (this.#isSuspect(request)) return undefined;
    const answer = await this.#trusted.run(request.owner, async (child) =>
      // It may have become one while it waited: many come at once.
      this.#isSuspect(request) ? undefined : evaluate(child, line, 1),
    );
    return answer && finished(answer);
  }

  /** Process ids, for tests. */
  get pids(): (number | undefined)[] {
    return [this.#trusted.pid, this.#suspects.pid];
  }

  close(): void {
    this.#trusted.close();
    this.#suspects.close();
  }

  #isSuspect(request: SandboxRequest): boolean {
    return this.#killed.has(keyOf(request)) || (this.#owners.get(request.owner) ?? 0) >= OWNER_KILLS;
  }

  #suspect(request: SandboxRequest): void {
    const { owner } = request;
    if (!this.#killed.has(keyOf(request))) this.#owners.set(owner, (this.#owners.get(owner) ?? 0) + 1);
    this.#killed.set(keyOf(request), true);
  }
}

function keyOf({ owner, source }: SandboxRequest): string {
  return `${owner}\n${source}`;
}

/** @param tries how often it is begun, if it is killed */
async function evaluate(child: SandboxChild, line: string, tries: number): Promise<Answer | Killed> {
  let answer: Answer | Killed = { killed: 'unbegun' };
  for (let i = 0; i < tries && 'killed' in answer; i++) answer = await child.run(line);
  return answer;
}

/** @throws SandboxBusy */
function finished(answer: Answer | Killed): Finished {
  if ('killed' in answer && answer.killed === 'unbegun') throw new SandboxBusy('the sandbox did not start');
  return answer as Finished;
}
