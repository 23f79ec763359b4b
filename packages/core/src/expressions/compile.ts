import { ExpressionError, quote } from './failure.ts';
import { type Callable, FUNCTIONS, INSTEAD } from './functions.ts';
import type { ExpressionKind } from './gate.ts';
import { MACROS, macroStep } from './macros.ts';
import { METHODS } from './methods.ts';
import { binaryStep, ternaryStep, unaryStep } from './operators.ts';
import { isVariable, mayBe, type Step, VARIABLES, type VariableName, wrongOperands } from './scope.ts';
import type { Node } from './syntax.ts';
import { checkInt, isMap, type Kind, kindOf, lookUp, TypeName } from './values.ts';

/** What was found out about an expression while it was compiled. */
export type Findings = {
  kind: ExpressionKind;
  /** The event's variables that it reads. */
  reads: Set<VariableName>;
  usesMacros: boolean;
};

/** Names of the macros' variables in sight, outermost first: a name's place is its slot. */
type Names = readonly string[];

/** `type` alone is the event's. */
const TYPES: ReadonlySet<string> = new Set([
  'bool',
  'bytes',
  'double',
  'int',
  'list',
  'map',
  'null_type',
  'string',
]);

/** The tree as closures. @throws ExpressionError for what is not allowed, and for what can never work */
export function compile(root: Node, findings: Findings): Step {
  return stepOf(root, [], findings);
}

function stepOf(node: Node, names: Names, findings: Findings): Step {
  const { op, args } = node;
  const step = (child: Node) => stepOf(child, names, findings);
  switch (op) {
    case 'value':
      return literal(args);
    case 'id':
      return nameStep(args as string, names, findings);
    case '.': {
      const [left, field] = args as [Node, string];
      return accessStep(step(left), { kind: 'string', run: () => field });
    }
    case '[]': {
      const [left, key] = args as [Node, Node];
      return accessStep(step(left), step(key));
    }
    case 'list':
      return listStep((args as Node[]).map(step));
    case 'map':
      return mapStep((args as [Node, Node][]).map(([key, value]) => [step(key), step(value)]));
    case '?:': {
      const [condition, then, otherwise] = args as [Node, Node, Node];
      return ternaryStep(step(condition), step(then), step(otherwise));
    }
    case 'call':
      return functionStep(args as [string, Node[]], names, findings);
    case '-_':
      return negativeLiteral(args as Node) ?? unaryStep(op, step(args as Node))!;
    case 'rcall':
      return methodStep(args as [string, Node, Node[]], names, findings);
  }
  const made = Array.isArray(args)
    ? binaryStep(op, step(args[0] as Node), step(args[1] as Node))
    : unaryStep(op, step(args as Node));
  if (!made) throw new ExpressionError(`uses ${quote(op)}, which is not supported`);
  return made;
}

/** A negative number is one literal, or the least int could not be written. */
function negativeLiteral({ op, args: value }: Node): Step | undefined {
  return op === 'value' && typeof value === 'bigint' ? literal(-value) : undefined;
}

function literal(value: unknown): Step {
  if (typeof value === 'bigint') checkInt(value);
  const kind = kindOf(value);
  if (kind === 'map') throw new ExpressionError('uses an unsigned int: leave the "u" out');
  return { kind, run: () => value };
}

function nameStep(name: string, names: Names, findings: Findings): Step {
  const slot = names.lastIndexOf(name);
  if (slot >= 0) return { kind: 'dyn', run: ({ slots }) => slots[slot] };
  if (isVariable(name)) {
    findings.reads.add(name);
    return { kind: VARIABLES[name], run: ({ event }) => event[name] };
  }
  if (TYPES.has(name)) return { kind: 'type', run: () => new TypeName(name as Kind) };
  const known = Object.keys(VARIABLES).join(', ');
  throw new ExpressionError(`names ${quote(name)}, which is nothing that an event has: ${known}`);
}

function accessStep(left: Step, key: Step): Step {
  if (!mayBe(left, 'map', 'list')) throw new ExpressionError(`looks for a field in a ${left.kind}`);
  return { kind: 'dyn', run: (scope) => lookUp(left.run(scope), key.run(scope)) };
}

function listStep(elements: Step[]): Step {
  return {
    kind: 'list',
    run: (scope) => {
      scope.meter.charge(elements.length);
      return elements.map(({ run }) => run(scope));
    },
  };
}

function mapStep(entries: [Step, Step][]): Step {
  for (const [key] of entries) {
    if (!mayBe(key, 'string'))
      throw new ExpressionError(`has a ${key.kind} as the key of a map: use string(…)`);
  }
  return {
    kind: 'map',
    run: (scope) => {
      scope.meter.charge(8 * entries.length);
      const map = Object.create(null) as Record<string, unknown>;
      for (const [key, value] of entries) {
        const name = key.run(scope);
        if (typeof name !== 'string') throw wrongOperands('the key of a map', name);
        if (name in map) throw new ExpressionError(`a map has the key ${quote(name)} twice`);
        map[name] = value.run(scope);
      }
      return map;
    },
  };
}

function functionStep([name, args]: [string, Node[]], names: Names, findings: Findings): Step {
  if (name === 'has') return hasStep(args, names, findings);
  const callable = Object.hasOwn(FUNCTIONS, name) ? FUNCTIONS[name] : undefined;
  if (!callable) throw notThere(`${name}()`, name);
  return callStep(`${name}()`, callable, args, names, findings);
}

function methodStep([name, receiver, args]: [string, Node, Node[]], names: Names, findings: Findings): Step {
  if (Object.hasOwn(MACROS, name) && MACROS[name]!.steps.includes(args.length - 1)) {
    return macroOf(name, receiver, args, names, findings);
  }
  const callable = Object.hasOwn(METHODS, name) ? METHODS[name] : undefined;
  if (!callable) throw notThere(`.${name}()`, name);
  return callStep(`.${name}()`, callable, [receiver, ...args], names, findings);
}

function callStep(shown: string, callable: Callable, args: Node[], names: Names, findings: Findings): Step {
  const [least, most] = callable.args;
  const { receiver, result, work } = callable;
  const count = receiver ? args.length - 1 : args.length;
  if (count < least || count > most) {
    const wanted = least === most ? least : `${least} or ${most}`;
    throw new ExpressionError(`calls ${shown} with ${count} arguments, which takes ${wanted}`);
  }
  const steps = args.map((arg) => stepOf(arg, names, findings));
  if (receiver && !mayBe(steps[0]!, ...receiver)) {
    throw new ExpressionError(`calls ${shown} on a ${steps[0]!.kind}`);
  }
  return {
    kind: result,
    run: (scope) => {
      scope.meter.charge(1);
      const values = steps.map(({ run }) => run(scope));
      if (receiver && !receiver.includes(kindOf(values[0]))) throw wrongOperands(shown, values[0]);
      return work(scope.meter, values);
    },
  };
}

/** `has(a.b.c)`: whether `a.b` has the field `c`; an error when there is no `a.b`. */
function hasStep(args: Node[], names: Names, findings: Findings): Step {
  const [select] = args;
  if (args.length !== 1 || select!.op !== '.') {
    throw new ExpressionError('calls has() on what is no field: has(payload.name)');
  }
  const [left, field] = select!.args as [Node, string];
  const { run } = stepOf(left, names, findings);
  return {
    kind: 'bool',
    run: (scope) => {
      const value = run(scope);
      return isMap(value) && Object.hasOwn(value, field);
    },
  };
}

function macroOf(name: string, receiver: Node, args: Node[], names: Names, findings: Findings): Step {
  if (findings.kind === 'filter') {
    throw new ExpressionError(
      `calls .${name}(), which only a transform may; "in" finds an element of a list`,
    );
  }
  const variable = args[0]!;
  if (variable.op !== 'id')
    throw new ExpressionError(`calls .${name}() without a name first: list.${name}(x, …)`);
  const own = variable.args as string;
  if (isVariable(own) || TYPES.has(own)) {
    throw new ExpressionError(`calls .${name}() with the name ${quote(own)}, which is taken`);
  }
  findings.usesMacros = true;
  const over = stepOf(receiver, names, findings);
  const inner = [...names, own];
  const steps = args.slice(1).map((arg) => stepOf(arg, inner, findings));
  return macroStep(name, names.length, over, steps);
}

function notThere(shown: string, name: string): ExpressionError {
  const instead = Object.hasOwn(INSTEAD, name) ? `: ${INSTEAD[name]}` : '';
  return new ExpressionError(`calls ${shown}, which is not allowed${instead}`);
}
