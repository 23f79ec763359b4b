import { ExpressionError } from './failure.ts';
import { MAX_TEXT } from './limits.ts';
import { type CelMap, checkDepth, kindOf, type Meter } from './values.ts';

/**
 * JSON of a value. Ints become their digits, timestamps RFC 3339, bytes base64 (as protobuf's JSON mapping has it, but for
 * ints, which it makes strings). `indent` > 0: a line for each element, as `JSON.stringify` and Python's `json.dumps` do.
 * @throws ExpressionError for what JSON cannot say (NaN, infinity, types), what nests too deeply, and what is longer than
 * a text may be; TooMuchWork
 */
export function toJson(meter: Meter, value: unknown, indent = 0): string {
  return new Writer(meter, indent).write(value);
}

class Writer {
  readonly #meter: Meter;
  readonly #indent: number;
  #text = '';

  constructor(meter: Meter, indent: number) {
    this.#meter = meter;
    this.#indent = indent;
  }

  write(value: unknown): string {
    this.#value(value, 1);
    return this.#text;
  }

  #put(text: string): void {
    this.#meter.charge(8 + text.length);
    this.#text += text;
    if (this.#text.length > MAX_TEXT) {
      throw new ExpressionError(`the JSON is longer than ${MAX_TEXT} characters`);
    }
  }

  #value(value: unknown, depth: number): void {
    checkDepth(depth);
    const kind = kindOf(value);
    if (kind === 'list') this.#list(value as unknown[], depth);
    else if (kind === 'map') this.#map(value as CelMap, depth);
    else this.#put(scalarJson(this.#meter, value));
  }

  #list(list: unknown[], depth: number): void {
    this.#put('[');
    for (let i = 0; i < list.length; i++) {
      this.#begin(i, depth);
      this.#value(list[i], depth + 1);
    }
    this.#end(']', list.length, depth);
  }

  #map(map: CelMap, depth: number): void {
    const keys = Object.keys(map);
    this.#meter.charge(24 * keys.length);
    this.#put('{');
    for (let i = 0; i < keys.length; i++) {
      this.#begin(i, depth);
      this.#put(JSON.stringify(keys[i]));
      this.#put(this.#indent > 0 ? ': ' : ':');
      this.#value(map[keys[i]!], depth + 1);
    }
    this.#end('}', keys.length, depth);
  }

  #begin(index: number, depth: number): void {
    if (index > 0) this.#put(',');
    if (this.#indent > 0) this.#put(`\n${' '.repeat(this.#indent * depth)}`);
  }

  #end(bracket: string, count: number, depth: number): void {
    if (this.#indent > 0 && count > 0) this.#put(`\n${' '.repeat(this.#indent * (depth - 1))}`);
    this.#put(bracket);
  }
}

function scalarJson(meter: Meter, value: unknown): string {
  switch (kindOf(value)) {
    case 'string':
      meter.charge((value as string).length);
      return JSON.stringify(value);
    case 'double':
      if (Number.isFinite(value)) return JSON.stringify(value);
      throw new ExpressionError(`${value} cannot be written as JSON`);
    case 'timestamp':
      return `"${timestampText(value as Date)}"`;
    case 'bytes':
      meter.charge((value as Uint8Array).length);
      return `"${base64(value as Uint8Array)}"`;
    case 'type':
      throw new ExpressionError('a type cannot be written as JSON');
    default:
      return String(value);
  }
}

/** RFC 3339 in UTC, with milliseconds only where there are any. */
export function timestampText(date: Date): string {
  return date.toISOString().replace('.000Z', 'Z');
}

export function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
}
