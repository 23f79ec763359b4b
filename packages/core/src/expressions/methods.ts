import { ExpressionError } from './failure.ts';
import { type Callable, index, sizeOf, wrong } from './functions.ts';
import { MAX_TEXT } from './limits.ts';
import type { StaticKind } from './scope.ts';
import { base64 } from './to-json.ts';
import { checkText, kindOf, type Meter } from './values.ts';

/** What can be called on a value: `value.name(…)`. */
export const METHODS: Readonly<Record<string, Callable>> = {
  size: {
    args: [0, 0],
    receiver: ['string', 'bytes', 'list', 'map'],
    result: 'int',
    work: (meter, [value]) => sizeOf(meter, value),
  },
  contains: search('bool', (text, part) => text.includes(part)),
  startsWith: search('bool', (text, part) => text.startsWith(part)),
  endsWith: search('bool', (text, part) => text.endsWith(part)),
  indexOf: search('int', (text, part) => BigInt(text.indexOf(part))),
  lastIndexOf: search('int', (text, part) => BigInt(text.lastIndexOf(part))),
  lowerAscii: rewrite((text) => text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase())),
  upperAscii: rewrite((text) => text.replace(/[a-z]+/g, (letters) => letters.toUpperCase())),
  trim: rewrite((text) => text.trim()),
  substring: {
    args: [1, 2],
    receiver: ['string'],
    result: 'string',
    work: (_, [text, from, to]) => substring(text as string, from, to),
  },
  join: {
    args: [0, 1],
    receiver: ['list'],
    result: 'string',
    work: (meter, [list, separator]) => join(meter, list as unknown[], separator),
  },
  base64: encode(base64),
  hex: encode((bytes) => Buffer.from(bytes).toString('hex')),
  getFullYear: part((date) => date.getUTCFullYear()),
  /** From 0, as in the specification. */
  getMonth: part((date) => date.getUTCMonth()),
  getDate: part((date) => date.getUTCDate()),
  getDayOfMonth: part((date) => date.getUTCDate() - 1),
  getDayOfWeek: part((date) => date.getUTCDay()),
  getDayOfYear: part((date) => Math.floor((Number(date) - startOfYear(date)) / 86_400_000)),
  getHours: part((date) => date.getUTCHours()),
  getMinutes: part((date) => date.getUTCMinutes()),
  getSeconds: part((date) => date.getUTCSeconds()),
  getMilliseconds: part((date) => date.getUTCMilliseconds()),
};

/** V8's searches take up to `text × part` steps, of 0.15 ns: 76 ms for two texts of half an event's size. */
function search(result: StaticKind, work: (text: string, part: string) => unknown): Callable {
  return {
    args: [1, 1],
    receiver: ['string'],
    result,
    work: (meter, [text, wanted]) => {
      if (typeof wanted !== 'string') throw wrong(wanted, 'a string');
      const { length } = text as string;
      meter.charge((length >> 2) + (length * wanted.length) / 32);
      return work(text as string, wanted);
    },
  };
}

function rewrite(work: (text: string) => string): Callable {
  return {
    args: [0, 0],
    receiver: ['string'],
    result: 'string',
    work: (meter, [text]) => {
      meter.charge(32 * (text as string).length);
      return work(text as string);
    },
  };
}

function encode(work: (bytes: Uint8Array) => string): Callable {
  return {
    args: [0, 0],
    receiver: ['bytes'],
    result: 'string',
    work: (meter, [bytes]) => {
      meter.charge((bytes as Uint8Array).length);
      return checkText(work(bytes as Uint8Array));
    },
  };
}

/** In UTC. */
function part(work: (date: Date) => number): Callable {
  return {
    args: [0, 0],
    receiver: ['timestamp'],
    result: 'int',
    work: (_, [date]) => BigInt(work(date as Date)),
  };
}

function startOfYear(date: Date): number {
  const start = new Date(date);
  start.setUTCMonth(0, 1);
  return start.setUTCHours(0, 0, 0, 0);
}

function substring(text: string, from: unknown, to: unknown): string {
  const start = index(from);
  const end = to === undefined ? text.length : index(to);
  if (start >= 0 && end <= text.length && start <= end) return text.slice(start, end);
  throw new ExpressionError(`${start} to ${end} is not within a text of ${text.length} characters`);
}

function join(meter: Meter, list: unknown[], separator: unknown = ''): string {
  if (typeof separator !== 'string') throw wrong(separator, 'a string');
  let length = separator.length * Math.max(0, list.length - 1);
  for (const text of list) {
    meter.charge(4);
    if (typeof text !== 'string') {
      throw new ExpressionError(`join() takes strings, not ${kindOf(text)}: use string(…)`);
    }
    length += text.length;
  }
  if (length > MAX_TEXT) throw new ExpressionError(`join() makes a text of more than ${MAX_TEXT} characters`);
  meter.charge(length);
  return list.join(separator);
}
