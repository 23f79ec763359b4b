import { ExpressionError, quote, TooMuchWork } from './failure.ts';
import { MAX_LIST, MAX_TEXT, MAX_VALUE_DEPTH } from './limits.ts';

/**
 * Values of expressions:
 *
 *   int        bigint, 64 bits        double     number: every number of JSON is one
 *   string     string                 bytes      Uint8Array
 *   bool       boolean                null_type  null
 *   list       array                  map        object; only its own keys count, so it has no prototype to get at
 *   timestamp  Date                   type       TypeName
 */
export class TypeName {
  readonly type: Kind;

  constructor(type: Kind) {
    this.type = type;
  }
}

export type Kind =
  | 'bool'
  | 'bytes'
  | 'double'
  | 'int'
  | 'list'
  | 'map'
  | 'null_type'
  | 'string'
  | 'timestamp'
  | 'type';

export type CelMap = Readonly<Record<string, unknown>>;

/** What one evaluation may still do. */
export class Meter {
  #left: number;

  constructor(work: number) {
    this.#left = work;
  }

  /** @throws TooMuchWork */
  charge(units: number): void {
    this.#left -= units;
    if (this.#left < 0) throw new TooMuchWork('it needs too much work');
  }
}

export function kindOf(value: unknown): Kind {
  switch (typeof value) {
    case 'string':
      return 'string';
    case 'number':
      return 'double';
    case 'boolean':
      return 'bool';
    case 'bigint':
      return 'int';
  }
  if (value === null) return 'null_type';
  if (Array.isArray(value)) return 'list';
  if (value instanceof Date) return 'timestamp';
  if (value instanceof Uint8Array) return 'bytes';
  return value instanceof TypeName ? 'type' : 'map';
}

export function isMap(value: unknown): value is CelMap {
  return typeof value === 'object' && value !== null && kindOf(value) === 'map';
}

const MIN_INT = -(2n ** 63n);
const MAX_INT = 2n ** 63n - 1n;

export function checkInt(value: bigint): bigint {
  if (value < MIN_INT || value > MAX_INT) throw new ExpressionError('an int has more than 64 bits');
  return value;
}

export function checkText(text: string): string {
  if (text.length > MAX_TEXT) throw new ExpressionError(`a text has more than ${MAX_TEXT} characters`);
  return text;
}

export function checkList<T>(list: T[]): T[] {
  if (list.length > MAX_LIST) throw new ExpressionError(`a list has more than ${MAX_LIST} elements`);
  return list;
}

export function checkDepth(depth: number): void {
  if (depth > MAX_VALUE_DEPTH) {
    throw new ExpressionError(`a value nests more than ${MAX_VALUE_DEPTH} levels deep`);
  }
}

/** The field of a map, or element of a list. */
export function lookUp(value: unknown, key: unknown): unknown {
  if (Array.isArray(value)) {
    const index = typeof key === 'bigint' || typeof key === 'number' ? Number(key) : -1;
    if (Number.isInteger(index) && index >= 0 && index < value.length) return value[index];
    throw new ExpressionError(`no such element: ${typeof key === 'object' ? kindOf(key) : quote(key)}`);
  }
  if (typeof key !== 'string') throw new ExpressionError(`a ${kindOf(key)} is no name of a field`);
  if (!isMap(value)) throw new ExpressionError(`a ${kindOf(value)} has no field ${quote(key)}`);
  if (!Object.hasOwn(value, key)) throw new ExpressionError(`no such field: ${quote(key)}`);
  return value[key];
}

/** Ints and doubles are equal as numbers; values of two other types never are. Total, but for TooMuchWork and depth. */
export function isEqual(meter: Meter, a: unknown, b: unknown, depth = 0): boolean {
  meter.charge(5);
  if (a === b) {
    if (typeof a === 'string') meter.charge(a.length >> 2);
    return true;
  }
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) {
    // biome-ignore lint/suspicious/noDoubleEquals: compares a bigint with a number by value, exactly
    return isNumber(a) && isNumber(b) && a == b;
  }
  meter.charge(10);
  const kind = kindOf(a);
  if (kind !== kindOf(b)) return false;
  checkDepth(depth);
  switch (kind) {
    case 'list':
      return areListsEqual(meter, a as unknown[], b as unknown[], depth);
    case 'map':
      return areMapsEqual(meter, a as CelMap, b as CelMap, depth);
    case 'timestamp':
      return Number(a) === Number(b);
    case 'bytes':
      meter.charge((a as Uint8Array).length >> 2);
      return Buffer.compare(a as Uint8Array, b as Uint8Array) === 0;
    default:
      return (a as TypeName).type === (b as TypeName).type;
  }
}

function areListsEqual(meter: Meter, a: unknown[], b: unknown[], depth: number): boolean {
  return a.length === b.length && a.every((element, i) => isEqual(meter, element, b[i], depth + 1));
}

function areMapsEqual(meter: Meter, a: CelMap, b: CelMap, depth: number): boolean {
  const keys = Object.keys(a);
  const others = Object.keys(b);
  meter.charge(16 * (keys.length + others.length));
  if (keys.length !== others.length) return false;
  return keys.every((key) => {
    meter.charge(24 + (key.length >> 2));
    return Object.hasOwn(b, key) && isEqual(meter, a[key], b[key], depth + 1);
  });
}

export function isNumber(value: unknown): value is number | bigint {
  return typeof value === 'number' || typeof value === 'bigint';
}
