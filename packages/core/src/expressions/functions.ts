import { ExpressionError, quote } from './failure.ts';
import type { StaticKind } from './scope.ts';
import { timestampText, toJson } from './to-json.ts';
import { checkInt, isMap, type Kind, kindOf, type Meter, TypeName } from './values.ts';

/**
 * All that expressions can call, with methods.ts and macros.ts: what is in none of them is refused when the expression is
 * saved. Each work charges for what it looks at. Left out on purpose, for what they cost: `matches` (regular expressions
 * backtrack), `split`, `duration`, `cel.bind` (with `+` it doubles), time zones (a formatter for each call).
 */

/** `args`: how many there may be. `receiver`: what it can be called on, when it is a method. */
export type Callable = {
  args: readonly [least: number, most: number];
  receiver?: readonly Kind[];
  result: StaticKind;
  work: (meter: Meter, values: unknown[]) => unknown;
};

const MAX_INDENT = 8;

export const FUNCTIONS: Readonly<Record<string, Callable>> = {
  bool: { args: [1, 1], result: 'bool', work: (_, [value]) => toBool(value) },
  bytes: { args: [1, 1], result: 'bytes', work: (meter, [value]) => toBytes(meter, value) },
  double: { args: [1, 1], result: 'double', work: (meter, [value]) => toDouble(meter, value) },
  dyn: { args: [1, 1], result: 'dyn', work: (_, [value]) => value },
  int: { args: [1, 1], result: 'int', work: (_, [value]) => toInt(value) },
  json: {
    args: [1, 2],
    result: 'string',
    work: (meter, [value, indent]) => toJson(meter, value, indentOf(indent)),
  },
  size: { args: [1, 1], result: 'int', work: (meter, [value]) => sizeOf(meter, value) },
  string: { args: [1, 1], result: 'string', work: (meter, [value]) => toText(meter, value) },
  timestamp: { args: [1, 1], result: 'timestamp', work: (_, [value]) => toTimestamp(value) },
  type: { args: [1, 1], result: 'type', work: (_, [value]) => new TypeName(kindOf(value)) },
};

/** What people write who know CEL, and what to do instead. */
export const INSTEAD: Readonly<Record<string, string>> = {
  matches: 'use contains(), startsWith() or endsWith()',
  split: 'send a list in the payload',
  duration: 'compare int(timestamp), which is seconds',
  bind: 'write the value where it is used',
  uint: 'use int()',
};

/** A string's size counts code points. */
export function sizeOf(meter: Meter, value: unknown): bigint {
  if (typeof value === 'string') {
    meter.charge(2 * value.length);
    let pairs = 0;
    for (let i = 0; i < value.length - 1; i++) {
      const pair = (value.charCodeAt(i) & 0xfc00) === 0xd800 && (value.charCodeAt(i + 1) & 0xfc00) === 0xdc00;
      if (pair) pairs++;
    }
    return BigInt(value.length - pairs);
  }
  if (Array.isArray(value) || value instanceof Uint8Array) return BigInt(value.length);
  if (!isMap(value)) throw wrong(value, 'a string, bytes, list or map');
  const keys = Object.keys(value);
  meter.charge(24 * keys.length);
  return BigInt(keys.length);
}

function toText(meter: Meter, value: unknown): string {
  switch (kindOf(value)) {
    case 'string':
      return value as string;
    case 'bool':
    case 'int':
      return String(value);
    case 'double':
      return value === Infinity ? '+Inf' : value === -Infinity ? '-Inf' : String(value);
    case 'timestamp':
      return timestampText(value as Date);
    case 'bytes':
      meter.charge((value as Uint8Array).length);
      return Buffer.from(value as Uint8Array).toString('utf8');
    default:
      throw new ExpressionError(`string() does not take a ${kindOf(value)}: use json(…)`);
  }
}

function toBytes(meter: Meter, value: unknown): Uint8Array {
  if (value instanceof Uint8Array) return value;
  if (typeof value !== 'string') throw wrong(value, 'a string');
  meter.charge(value.length);
  return Buffer.from(value);
}

const DOUBLE = /^[+-]?(?:\d{1,400}(?:\.\d{0,400})?|\.\d{1,400})(?:e[+-]?\d{1,4})?$/i;
const SPECIAL: Readonly<Record<string, number>> = {
  inf: Infinity,
  infinity: Infinity,
  '-inf': -Infinity,
  '-infinity': -Infinity,
  nan: NaN,
};

function toDouble(meter: Meter, value: unknown): number {
  if (typeof value === 'number' || typeof value === 'bigint') return Number(value);
  if (typeof value !== 'string') throw wrong(value, 'a number or string');
  meter.charge(Math.min(1000, value.length));
  if (value.length <= 1000 && DOUBLE.test(value)) return Number(value);
  const special = value.length < 10 ? value.toLowerCase().replace(/^\+/, '') : '';
  if (Object.hasOwn(SPECIAL, special)) return SPECIAL[special]!;
  throw new ExpressionError(`${quote(value)} is no number`);
}

const INT = /^[+-]?\d{1,20}$/;

function toInt(value: unknown): bigint {
  if (typeof value === 'bigint') return value;
  if (typeof value === 'number' && Number.isFinite(value)) return checkInt(BigInt(Math.trunc(value)));
  if (value instanceof Date) return BigInt(Math.floor(Number(value) / 1000));
  if (typeof value === 'string' && INT.test(value)) return checkInt(BigInt(value.replace(/^\+/, '')));
  throw new ExpressionError(`${typeof value === 'object' ? kindOf(value) : quote(value)} is no int`);
}

const TRUE: readonly unknown[] = [true, '1', 't', 'true', 'TRUE', 'True'];
const FALSE: readonly unknown[] = [false, '0', 'f', 'false', 'FALSE', 'False'];

function toBool(value: unknown): boolean {
  if (TRUE.includes(value)) return true;
  if (FALSE.includes(value)) return false;
  throw new ExpressionError(`${typeof value === 'object' ? kindOf(value) : quote(value)} is no bool`);
}

/** RFC 3339. */
const TIMESTAMP = /^\d{4}-\d\d-\d\d[Tt](?!24)\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)$/;
const FIRST_MS = Date.parse('0001-01-01T00:00:00Z');
const LAST_MS = Date.parse('9999-12-31T23:59:59.999Z');

function toTimestamp(value: unknown): Date {
  if (value instanceof Date) return value;
  let ms = Number.NaN;
  if (typeof value === 'bigint') ms = Number(value) * 1000;
  if (typeof value === 'number') ms = Math.floor(value * 1000);
  if (typeof value === 'string' && TIMESTAMP.test(value) && isDay(value.slice(0, 10)))
    ms = Date.parse(value.toUpperCase());
  if (ms >= FIRST_MS && ms <= LAST_MS) return new Date(ms);
  throw new ExpressionError(
    `${typeof value === 'object' ? kindOf(value) : quote(value)} is no RFC 3339 timestamp`,
  );
}

/** `Date` takes February 30 for March 2. */
function isDay(text: string): boolean {
  const start = new Date(`${text}T00:00:00Z`);
  return !Number.isNaN(Number(start)) && start.toISOString().startsWith(text);
}

export function index(value: unknown): number {
  if (typeof value === 'bigint') return Number(value);
  if (typeof value === 'number' && Number.isInteger(value)) return value;
  throw wrong(value, 'a whole number');
}

function indentOf(value: unknown): number {
  const spaces = value === undefined ? 0 : index(value);
  if (spaces < 0 || spaces > MAX_INDENT) throw new ExpressionError(`json() indents by 0 to ${MAX_INDENT}`);
  return spaces;
}

export function wrong(value: unknown, wanted: string): ExpressionError {
  return new ExpressionError(`a ${kindOf(value)} is not ${wanted}`);
}
