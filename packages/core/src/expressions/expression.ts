import { LRUCache } from 'lru-cache';
import { compile, type Findings } from './compile.ts';
import { ExpressionError, TooMuchWork } from './failure.ts';
import { type ExpressionKind, parseWithinLimits } from './gate.ts';
import { MAX_RESULT_BYTES } from './limits.ts';
import { type EventVariables, mayBe, type Step } from './scope.ts';
import { toJson } from './to-json.ts';
import { Meter } from './values.ts';

/** An expression that has passed the gate, ready to be evaluated any number of times. */
export type Expression = Findings & { source: string; step: Step };

/** What a filter says. `work`: it needs more than it was given, which is no verdict. */
export type FilterResult = { passes: boolean } | { failure: string } | { work: true };

/** A transform's body. `json`: it is JSON, else a text that stands for itself. */
export type TransformResult = { body: string; json: boolean } | { failure: string } | { work: true };

/** Expressions, each compiled once while it is in use. @throws ExpressionError why it cannot be saved */
export type ExpressionCache = (source: string, kind: ExpressionKind) => Expression;

/** @param characters of source that it keeps in all, for either kind: of up to 120 bytes of heap each */
export function createExpressionCache(characters: number): ExpressionCache {
  const compiled = { filter: createCache(characters), transform: createCache(characters) };
  return (source, kind) => {
    const known = compiled[kind].get(source);
    if (known) return known;
    const expression = compileExpression(source, kind);
    compiled[kind].set(source, expression);
    return expression;
  };
}

function createCache(maxSize: number): LRUCache<string, Expression> {
  return new LRUCache({ maxSize, sizeCalculation: ({ source }) => source.length });
}

export function compileExpression(source: string, kind: ExpressionKind): Expression {
  const findings: Findings = { kind, reads: new Set(), usesMacros: false };
  const step = compile(parseWithinLimits(source, kind), findings);
  if (kind === 'filter' && !mayBe(step, 'bool')) {
    throw new ExpressionError(`is a ${step.kind}, where a filter is true or false`);
  }
  return { ...findings, source, step };
}

/** What is wrong with an expression that somebody wants to save; undefined: nothing. To be read after "filter" or "transform". */
export function expressionProblem(source: string, kind: ExpressionKind): string | undefined {
  try {
    compileExpression(source, kind);
    return undefined;
  } catch (error) {
    if (error instanceof ExpressionError) return error.message;
    throw error;
  }
}

/** @param work units that it may use up. Total: whatever the event holds, it answers. */
export function evaluateFilter({ step }: Expression, event: EventVariables, work: number): FilterResult {
  return guarded(() => {
    const value = step.run({ event, slots: [], meter: new Meter(work) });
    return typeof value === 'boolean'
      ? { passes: value }
      : { failure: 'the filter came to something else than true or false' };
  });
}

/** As above. A string is the body itself, everything else JSON. */
export function evaluateTransform(
  { step }: Expression,
  event: EventVariables,
  work: number,
): TransformResult {
  return guarded(() => {
    const meter = new Meter(work);
    const value = step.run({ event, slots: [], meter });
    const json = typeof value !== 'string';
    const body = json ? toJson(meter, value) : value.toWellFormed();
    if (Buffer.byteLength(body) > MAX_RESULT_BYTES) {
      return { failure: `the result has more than ${MAX_RESULT_BYTES} bytes` };
    }
    return { body, json };
  });
}

function guarded<T extends object>(evaluate: () => T): T | { failure: string } | { work: true } {
  try {
    return evaluate();
  } catch (error) {
    if (error instanceof TooMuchWork) return { work: true };
    if (error instanceof ExpressionError) return { failure: error.message };
    // What nests deeper than the stack.
    if (error instanceof RangeError) return { failure: 'a value nests too deeply' };
    throw error;
  }
}
