import { ExpressionError } from './failure.ts';
import { MAX_TEXT } from './limits.ts';
import { mayBe, type Scope, type StaticKind, type Step, wrongOperands } from './scope.ts';
import {
  type CelMap,
  checkInt,
  checkList,
  checkText,
  isEqual,
  isMap,
  isNumber,
  type Meter,
} from './values.ts';

/**
 * Operators, as the CEL specification has them ("Operators"), but that arithmetic takes an int beside a double: JSON does not
 * tell 1 from 1.0, so a payload's numbers are doubles all, and `payload.n + 1` would not work otherwise.
 */

type Work = (meter: Meter, a: unknown, b: unknown) => unknown;

const ARITHMETIC: Record<
  string,
  { ints: (a: bigint, b: bigint) => bigint; doubles: (a: number, b: number) => number }
> = {
  '+': { ints: (a, b) => a + b, doubles: (a, b) => a + b },
  '-': { ints: (a, b) => a - b, doubles: (a, b) => a - b },
  '*': { ints: (a, b) => a * b, doubles: (a, b) => a * b },
  '/': { ints: (a, b) => a / notZero(b), doubles: (a, b) => a / b },
  '%': { ints: (a, b) => a % notZero(b), doubles: (a, b) => a % b },
};

const ORDER: Record<string, (a: never, b: never) => boolean> = {
  '<': (a, b) => a < b,
  '<=': (a, b) => a <= b,
  '>': (a, b) => a > b,
  '>=': (a, b) => a >= b,
};

/** Undefined: there is no such operator. @throws ExpressionError when its operands can never be right */
export function binaryStep(operator: string, left: Step, right: Step): Step | undefined {
  if (operator in ARITHMETIC) return arithmeticStep(operator, left, right);
  if (operator in ORDER) return orderStep(operator, left, right);
  switch (operator) {
    case '==':
      return step('bool', left, right, (meter, a, b) => isEqual(meter, a, b));
    case '!=':
      return step('bool', left, right, (meter, a, b) => !isEqual(meter, a, b));
    case 'in':
      if (!mayBe(right, 'list', 'map')) throw new ExpressionError(`"in" needs a list or map on its right`);
      return step('bool', left, right, isIn);
    case '&&':
      return logicalStep(false, left, right);
    case '||':
      return logicalStep(true, left, right);
    default:
      return undefined;
  }
}

export function unaryStep(operator: string, operand: Step): Step | undefined {
  if (operator === '!_') {
    if (!mayBe(operand, 'bool')) throw new ExpressionError('"!" needs a bool');
    return { kind: 'bool', run: (scope) => !bool('!', operand.run(scope)) };
  }
  if (operator !== '-_') return undefined;
  if (!mayBe(operand, 'int', 'double')) throw new ExpressionError('"-" needs a number');
  return {
    kind: operand.kind,
    run: (scope) => {
      const value = operand.run(scope);
      if (typeof value === 'number') return -value;
      if (typeof value === 'bigint') return checkInt(-value);
      throw wrongOperands('-', value);
    },
  };
}

export function ternaryStep(condition: Step, then: Step, otherwise: Step): Step {
  if (!mayBe(condition, 'bool')) throw new ExpressionError('"?" needs a bool before it');
  return {
    kind: then.kind === otherwise.kind ? then.kind : 'dyn',
    run: (scope) => (bool('?', condition.run(scope)) ? then : otherwise).run(scope),
  };
}

function step(kind: StaticKind, left: Step, right: Step, work: Work): Step {
  const { run: a } = left;
  const { run: b } = right;
  return { kind, run: (scope) => work(scope.meter, a(scope), b(scope)) };
}

function arithmeticStep(operator: string, left: Step, right: Step): Step {
  const { ints, doubles } = ARITHMETIC[operator]!;
  const numbers = mayBe(left, 'int', 'double') && mayBe(right, 'int', 'double');
  const joins = operator === '+' && ['string', 'list', 'bytes'].some((kind) => both(left, right, kind));
  if (!numbers && !joins) {
    const hint =
      operator === '+' && (left.kind === 'string' || right.kind === 'string') ? ': use string(…)' : '';
    throw new ExpressionError(`"${operator}" does not work on ${left.kind} and ${right.kind}${hint}`);
  }
  return step(arithmeticKind(left.kind, right.kind), left, right, (meter, a, b) => {
    if (typeof a === 'bigint' && typeof b === 'bigint') return checkInt(ints(a, b));
    if (isNumber(a) && isNumber(b)) return doubles(Number(a), Number(b));
    const joined = operator === '+' ? join(meter, a, b) : undefined;
    if (joined === undefined) throw wrongOperands(operator, a, b);
    return joined;
  });
}

function both(left: Step, right: Step, kind: string): boolean {
  return (left.kind === kind || left.kind === 'dyn') && (right.kind === kind || right.kind === 'dyn');
}

function arithmeticKind(left: StaticKind, right: StaticKind): StaticKind {
  if (left === right) return left;
  if (left === 'dyn' || right === 'dyn') {
    const known = left === 'dyn' ? right : left;
    return known === 'int' ? 'dyn' : known;
  }
  return 'double';
}

function join(meter: Meter, a: unknown, b: unknown): unknown {
  if (typeof a === 'string' && typeof b === 'string') {
    // Copied only where it is read, which charges for itself.
    meter.charge(16 + Math.min(a.length, b.length));
    return checkText(a + b);
  }
  if (Array.isArray(a) && Array.isArray(b)) {
    meter.charge(a.length + b.length);
    return checkList(a.concat(b));
  }
  if (a instanceof Uint8Array && b instanceof Uint8Array) {
    meter.charge(a.length + b.length);
    if (a.length + b.length > MAX_TEXT) throw new ExpressionError(`bytes are longer than ${MAX_TEXT}`);
    return Buffer.concat([a, b]);
  }
  return undefined;
}

function orderStep(operator: string, left: Step, right: Step): Step {
  const compare = ORDER[operator]! as (a: unknown, b: unknown) => boolean;
  return step('bool', left, right, (meter, a, b) => {
    if (typeof a === 'string' && typeof b === 'string') {
      meter.charge(Math.min(a.length, b.length) >> 2);
      return compare(a, b);
    }
    const ordered =
      (isNumber(a) && isNumber(b)) ||
      (a instanceof Date && b instanceof Date) ||
      (typeof a === 'boolean' && typeof b === 'boolean');
    if (!ordered) throw wrongOperands(operator, a, b);
    return compare(a, b);
  });
}

function isIn(meter: Meter, value: unknown, container: unknown): boolean {
  if (Array.isArray(container)) return container.some((element) => isEqual(meter, value, element));
  if (!isMap(container)) throw wrongOperands('in', value, container);
  return typeof value === 'string' && Object.hasOwn(container as CelMap, value);
}

/**
 * `&&` and `||` are commutative about errors: a side that decides does so although the other one errs (CEL specification,
 * "Logical Operators"). @param decides the value of one side that needs no other
 */
function logicalStep(decides: boolean, left: Step, right: Step): Step {
  const name = decides ? '||' : '&&';
  for (const side of [left, right]) {
    if (!mayBe(side, 'bool')) throw new ExpressionError(`"${name}" needs a bool on both sides`);
  }
  const run = (scope: Scope): boolean => {
    let failure: ExpressionError | undefined;
    try {
      if (bool(name, left.run(scope)) === decides) return decides;
    } catch (error) {
      if (!(error instanceof ExpressionError)) throw error;
      failure = error;
    }
    const value = bool(name, right.run(scope));
    if (failure && value !== decides) throw failure;
    return value;
  };
  return { kind: 'bool', run };
}

function bool(operator: string, value: unknown): boolean {
  if (typeof value === 'boolean') return value;
  throw wrongOperands(operator, value);
}

function notZero(divisor: bigint): bigint {
  if (divisor === 0n) throw new ExpressionError('division by zero');
  return divisor;
}
