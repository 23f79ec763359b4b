import {
  assertWithinEventLimit,
  createExpressionCache,
  type EventFacts,
  type EventVariables,
  ExpressionError,
  evaluateFilter,
  evaluateTransform,
  eventVariables,
  type FilterResult,
  type TransformResult,
  WORK_IN_PROCESS,
} from '@sealpost/core/expressions';
import { LRUCache } from 'lru-cache';
import { Sandbox } from './sandbox.ts';

/**
 * An evaluation that took longer in process, ms, twice in a row, whatever its work was counted as, is not done there again …
 * Once may have been a collection of garbage, upon which a filter of the API would make deliveries only to skip them.
 */
const SLOW_MS = 5;
/** … for so long, ms. */
const SLOW_FOR_MS = 60_000;
const KNOWN_SLOW = 10_000;

/** Characters of source that are kept compiled, of filters and of transforms. */
const CACHED_CHARACTERS = 500_000;

/** An expression and whose it is, an app. */
export type OwnedExpression = { source: string; owner: string };

export type Killed = { killed: true };

const WORK: { work: true } = { work: true };

/** Evaluates expressions where it is best done: in process what is quick, in the sandbox what may not be. */
export class Expressions {
  readonly #sandbox: Sandbox;
  readonly #now: () => number;
  readonly #compiled = createExpressionCache(CACHED_CHARACTERS);
  readonly #slow = new LRUCache<string, 'once' | 'slow'>({ max: KNOWN_SLOW, ttl: SLOW_FOR_MS });

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
    return this.#evaluate('filter', { source, owner }, facts, () =>
      this.#filterNow(source, eventVariables(facts), false),
    );
  }

  /** @throws SandboxBusy */
  async transform(
    { source, owner }: OwnedExpression,
    facts: EventFacts,
  ): Promise<{ body: string; json: boolean } | { failure: string } | Killed> {
    return this.#evaluate('transform', { source, owner }, facts, () => {
      const expression = this.#compiled(source, 'transform');
      if (expression.usesMacros) return WORK;
      const event = eventVariables(facts);
      return this.#inProcess(source, () => evaluateTransform(expression, event, WORK_IN_PROCESS));
    });
  }

  #filterNow(source: string, event: EventVariables, early: boolean): FilterResult {
    return orFailure(() => {
      const expression = this.#compiled(source, 'filter');
      if (early && (expression.reads.has('id') || expression.reads.has('sequence'))) return WORK;
      return this.#inProcess(source, () => evaluateFilter(expression, event, WORK_IN_PROCESS));
    });
  }

  async #evaluate<T extends FilterResult | TransformResult>(
    kind: 'filter' | 'transform',
    { source, owner }: OwnedExpression,
    facts: EventFacts,
    now: () => T | { failure: string } | { work: true },
  ): Promise<Exclude<T, { work: true }> | { failure: string } | Killed> {
    const here = orFailure(() => {
      assertWithinEventLimit(facts.payload);
      return now();
    });
    if (!('work' in here)) return here as Exclude<T, { work: true }>;
    const there = await this.#sandbox.run({ kind, source, owner, facts });
    if ('killed' in there) return { killed: true };
    if ('work' in there) return { failure: 'it needs too much work' };
    return there as Exclude<T, { work: true }>;
  }

  #inProcess<T extends object>(source: string, evaluate: () => T): T | { work: true } {
    const before = this.#slow.get(source);
    if (before === 'slow') return WORK;
    const start = this.#now();
    const result = evaluate();
    const isSlow = this.#now() - start > SLOW_MS;
    if ('work' in result || (isSlow && before === 'once')) this.#slow.set(source, 'slow');
    else if (isSlow) this.#slow.set(source, 'once');
    else if (before) this.#slow.delete(source);
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
