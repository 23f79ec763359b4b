import { describe, expect, it } from 'vitest';
import { compileExpression, expressionProblem } from './expression.ts';

const problem = (source: string, kind: 'filter' | 'transform' = 'transform') =>
  expressionProblem(source, kind);

/** Ended well before anything that depends on its length could matter. */
describe('refuses, saying what to do,', () => {
  it.each<[string, string, string | RegExp]>([
    ['a megabyte of source', '1 + '.repeat(262_144), 'has more than 4096 bytes: make it shorter'],
    [
      'too many bytes in few characters',
      `"${'ä'.repeat(2048)}"`,
      'has more than 4096 bytes: make it shorter',
    ],
    ['nothing', ' \n', 'is empty: leave it out, or give null'],
    ['nested brackets', `${'('.repeat(1000)}1${')'.repeat(1000)}`, /nests more than 32 levels deep/],
    ['nested lists', `${'['.repeat(1000)}1${']'.repeat(1000)}`, /nests more than 32 levels deep/],
    ['nested fields', `payload${'.a'.repeat(100)}`, /nests more than 32 levels deep/],
    ['nested ternaries', `${'true ? 1 : '.repeat(100)}1`, /nests more than 32 levels deep/],
    ['unary operators without end', `${'!'.repeat(4000)}true`, 'has more than 256 parts: make it shorter'],
    ['minuses without end', `${'-'.repeat(4000)}1`, 'has more than 256 parts: make it shorter'],
    ['a huge list', `[${'1,'.repeat(1500)}1]`, 'has more than 256 parts: make it shorter'],
    ['a huge map', `{${'"a":1,'.repeat(500)}"b":1}`, 'has more than 256 parts: make it shorter'],
    ['many conditions', `${'true && '.repeat(300)}true`, 'has more than 256 parts: make it shorter'],
    ['a long chain of +', `${'payload + '.repeat(9)}payload`, /adds more than 8 times in a row/],
    [
      'the same in brackets',
      '((1 + 1) + (1 + 1)) + ((1 + 1) + (1 + 1)) + ((1 + 1) + 1)',
      /adds more than 8 times/,
    ],
    ['many chains of +', `[${'1 + 1, '.repeat(33)}1]`, /has more than 32 "\+"/],
    [
      'regular expressions',
      'payload.a.matches("(a+)+$")',
      /\.matches\(\), which is not allowed: use contains/,
    ],
    [
      'durations of many digits',
      `duration("${'1'.repeat(2000)}s") == 1`,
      /duration\(\), which is not allowed/,
    ],
    ['split', 'payload.a.split("")', /\.split\(\), which is not allowed: send a list/],
    ['bind', 'cel.bind(x, payload + payload, x + x)', /\.bind\(\), which is not allowed/],
    ['optionals', 'payload.?a', /is no valid CEL at "\?a"/],
    ['time zones', 'timestamp.getHours("Europe/Berlin")', /\.getHours\(\) with 1 arguments, which takes 0/],
    ['an unknown name', 'process.env', /names "process", which is nothing that an event has: type, payload/],
    ['the name inside', 'event_type', /names "event_type"/],
    ['a function that is inherited', 'toString()', /toString\(\), which is not allowed/],
    ['a method that is inherited', 'payload.constructor()', /\.constructor\(\), which is not allowed/],
    ['unsigned ints', '5u', 'uses an unsigned int: leave the "u" out'],
    ['ints of many digits', '9'.repeat(3000), 'an int has more than 64 bits'],
    ['keys that are no text', '{1: 2}', 'has a int as the key of a map: use string(…)'],
    ['texts and numbers added', '"a" + 1', '"+" does not work on string and int: use string(…)'],
    ['a macro without a name', 'payload.map(1, 2)', /is no valid CEL/],
    ["a macro over a variable's name", 'payload.map(type, 1)', /with the name "type", which is taken/],
    ['has() of no field', 'has(payload)', /has\(\) on what is no field/],
    ['what is not finished', '1 +', 'is no valid CEL at its end: Unexpected token: EOF'],
  ])('%s', (_, source, expected) => {
    if (typeof expected === 'string') expect(problem(source)).toBe(expected);
    else expect(problem(source)).toMatch(expected);
  });
});

describe('of filters refuses', () => {
  it.each([
    ['payload.list.exists(x, x > 1)', /\.exists\(\), which only a transform may; "in" finds/],
    ['payload.list.map(x, x)', /\.map\(\), which only a transform may/],
    ['1', 'is a int, where a filter is true or false'],
    ['type', 'is a string, where a filter is true or false'],
    ['payload.yes ? "a" : "b"', 'is a string, where a filter is true or false'],
    [`"${'x'.repeat(2048)}" == type`, 'has more than 2048 bytes: make it shorter'],
  ])('%s', (source, expected) => {
    if (typeof expected === 'string') expect(problem(source, 'filter')).toBe(expected);
    else expect(problem(source, 'filter')).toMatch(expected);
  });

  it('and takes what may come to true or false', () => {
    for (const source of ['payload', 'payload.a', 'has(payload.a)', 'payload.a ? payload.b : true', 'true'])
      expect(problem(source, 'filter')).toBeUndefined();
  });
});

describe('finds out', () => {
  it('what is read, and whether a macro is used', () => {
    const { reads, usesMacros } = compileExpression(
      'payload.map(id, id + type)'.replaceAll('id', 'x'),
      'transform',
    );
    expect([[...reads].sort(), usesMacros]).toEqual([['payload', 'type'], true]);
    const filter = compileExpression('has(payload.a) && sequence > 1', 'filter');
    expect([[...filter.reads].sort(), filter.usesMacros]).toEqual([['payload', 'sequence'], false]);
  });
});
