import { ExpressionError } from './failure.ts';
import { type Scope, type StaticKind, type Step, wrongOperands } from './scope.ts';
import { checkList, isMap } from './values.ts';

/** Macros over a list, or the keys of a map: `list.name(variable, step, …)` (CEL specification, "Macros"). */

type Elements = { scope: Scope; elements: unknown[]; slot: number };

type Macro = {
  /** How many arguments after the variable. */
  steps: readonly number[];
  result: StaticKind;
  run: (over: Elements, steps: Step[]) => unknown;
};

export const MACROS: Readonly<Record<string, Macro>> = {
  all: { steps: [1], result: 'bool', run: (over, [test]) => !anyIs(over, test!, false) },
  exists: { steps: [1], result: 'bool', run: (over, [test]) => anyIs(over, test!, true) },
  exists_one: {
    steps: [1],
    result: 'bool',
    run: (over, [test]) => {
      let found = 0;
      for (const _ of each(over)) if (holds('exists_one', over, test!)) found++;
      return found === 1;
    },
  },
  filter: {
    steps: [1],
    result: 'list',
    run: (over, [test]) => {
      const kept: unknown[] = [];
      for (const element of each(over)) if (holds('filter', over, test!)) kept.push(element);
      return kept;
    },
  },
  map: {
    steps: [1, 2],
    result: 'list',
    run: (over, steps) => {
      const [test, make] = steps.length === 2 ? steps : [undefined, steps[0]];
      const made: unknown[] = [];
      for (const _ of each(over)) if (!test || holds('map', over, test)) made.push(make!.run(over.scope));
      return checkList(made);
    },
  },
};

export function macroStep(name: string, slot: number, receiver: Step, steps: Step[]): Step {
  const macro = MACROS[name]!;
  return {
    kind: macro.result,
    run: (scope) => macro.run({ scope, elements: elementsOf(name, receiver.run(scope)), slot }, steps),
  };
}

function elementsOf(name: string, value: unknown): unknown[] {
  if (Array.isArray(value)) return value;
  if (isMap(value)) return Object.keys(value);
  throw wrongOperands(`${name}()`, value);
}

/** The elements one after the other, each as the macro's variable. */
function* each({ scope, elements, slot }: Elements): Generator<unknown> {
  for (const element of elements) {
    scope.meter.charge(8);
    scope.slots[slot] = element;
    yield element;
  }
}

function holds(name: string, { scope }: Elements, test: Step): boolean {
  const value = test.run(scope);
  if (typeof value !== 'boolean') throw wrongOperands(`${name}()`, value);
  return value;
}

/** Whether the test is `wanted` for any; errors count only when it is for none, as with `||`. */
function anyIs(over: Elements, test: Step, wanted: boolean): boolean {
  let failure: ExpressionError | undefined;
  for (const _ of each(over)) {
    try {
      if (holds(wanted ? 'exists' : 'all', over, test) === wanted) return true;
    } catch (error) {
      if (!(error instanceof ExpressionError)) throw error;
      failure ??= error;
    }
  }
  if (failure) throw failure;
  return false;
}
