import {
  type EventFacts,
  type EventVariables,
  ExpressionError,
  evaluateFilter,
  evaluateTransform,
  eventVariables,
  expressionOf,
  type FilterResult,
  type TransformResult,
  WORK_IN_PROCESS,
} from '@sealpost/core/expressions';
import { LRUCache } from 'lru-cache';
import { Sandbox } from './sandbox.ts';

/** An evaluation that took longer in process, ms, whatever its work was counted as, is not done there again … */
const SLOW_MS = 5;
/** … for so long, ms: it may have been the machine that was slow. */
const SLOW_FOR_MS = 60_000;
const KNOWN_SLOW = 10_000;

/** An expression and whose it is, an app. */
export type OwnedExpression = { source: string; owner: string };

export type Killed = { killed: true };

const WORK: { work: true } = { work: true };

/** Evaluates expressions where it is best done: in process what is quick, in the sandbox what may not be. */
export class Expressions {
  readonly #sandbox: Sandbox;
  readonly #now: () => number;
  readonly #slow = new LRUCache<string, true>({ max: KNOWN_SLOW, ttl: SLOW_FOR_MS });

  constructor(sandbox: Sandbox = new Sandbox(), now: () => number = () => performance.now()) {
    this.#sandbox = sandbox;
    this.#now = now;
  }

  close(): void {
    this.#sandbox.close();
  }

  /** A filter in process, before the event has its numbers. `work`: not here, or not yet. Total. */
  filterEarly(source: string, event: EventVariables): FilterResult {
    return this.#filterNow(source, event, true);
  }

  /** @throws SandboxBusy */
  async filter(
    { source, owner }: OwnedExpression,
    facts: EventFacts,
  ): Promise<{ passes: boolean } | { failure: string } | Killed> {
    return this.#evaluate('filter', { source, owner }, facts, (event) =>
      this.#filterNow(source, event, false),
    );
  }

  /** @throws SandboxBusy */
  async transform(
    { source, owner }: OwnedExpression,
    facts: EventFacts,
  ): Promise<{ body: string; json: boolean } | { failure: string } | Killed> {
    return this.#evaluate('transform', { source, owner }, facts, (event) => {
      const expression = expressionOf(source, 'transform');
      if (expression.usesMacros) return WORK;
      return this.#inProcess(source, () => evaluateTransform(expression, event, WORK_IN_PROCESS));
    });
  }

  #filterNow(source: string, event: EventVariables, early: boolean): FilterResult {
    return orFailure(() => {
      const expression = expressionOf(source, 'filter');
      if (early && (expression.reads.has('id') || expression.reads.has('sequence'))) return WORK;
      return this.#inProcess(source, () => evaluateFilter(expression, event, WORK_IN_PROCESS));
    });
  }

  async #evaluate<T extends FilterResult | TransformResult>(
    kind: 'filter' | 'transform',
    { source, owner }: OwnedExpression,
    facts: EventFacts,
    now: (event: EventVariables) => T | { failure: string } | { work: true },
  ): Promise<Exclude<T, { work: true }> | { failure: string } | Killed> {
    const here = orFailure(() => now(eventVariables(facts)));
    if (!('work' in here)) return here as Exclude<T, { work: true }>;
    const there = await this.#sandbox.run({ kind, source, owner, facts });
    if ('killed' in there) return { killed: true };
    if ('work' in there) return { failure: 'it needs too much work' };
    return there as Exclude<T, { work: true }>;
  }

  #inProcess<T extends object>(source: string, evaluate: () => T): T | { work: true } {
    if (this.#slow.has(source)) return WORK;
    const start = this.#now();
    const result = evaluate();
    if ('work' in result || this.#now() - start > SLOW_MS) this.#slow.set(source, true);
    return result;
  }
}

/** An expression that was saved is not always one that can be used: this version may know less than the one that took it. */
function orFailure<T extends object>(evaluate: () => T): T | { failure: string } {
  try {
    return evaluate();
  } catch (error) {
    if (error instanceof ExpressionError) return { failure: error.message };
    throw error;
  }
}
