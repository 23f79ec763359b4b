import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { elementSpans, memberSpans } from './json-spans.ts';

/** Rich in what a scanner may stumble on. */
const text = fc.string({
  unit: fc.constantFrom('"', '\\', '{', '}', '[', ']', ',', ':', ' ', 'a', 'é', '🔑', '\n'),
});
/**
 * All end in what is no escape: once V8 has read `{"h":1,"\\":2}`, it takes the last key of `{"h":1,"\n":2}` for `\` too
 * (nodejs/node#63785), and `JSON.parse` is no witness.
 */
const key = fc.oneof(
  text.map((start) => `${start}.`),
  fc.constantFrom('__proto__', 'constructor', ''),
);
const { value } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    text,
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.constantFrom(null, true, false),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(key, tie('value'), { maxKeys: 4 }),
  ),
}));
const indent = fc.constantFrom('', ' ', '\t', '  ');

const read = (json: string, [start, end]: [number, number]) => JSON.parse(json.slice(start, end)) as unknown;

describe('the spans of a JSON text', () => {
  it('cover the same members as JSON.parse finds, without white space', () => {
    fc.assert(
      fc.property(fc.dictionary(key, value), indent, (object, space) => {
        const json = JSON.stringify(object, null, space);
        const parsed = JSON.parse(json) as Record<string, unknown>;
        const spans = memberSpans(json);
        expect([...spans.keys()].sort()).toEqual(Object.keys(parsed).sort());
        for (const [key, span] of spans) {
          expect(read(json, span)).toEqual(Object.getOwnPropertyDescriptor(parsed, key)!.value);
          expect(json.slice(...span).trim()).toBe(json.slice(...span));
        }
      }),
    );
  });

  it('cover the same elements as JSON.parse finds', () => {
    fc.assert(
      fc.property(fc.array(value), indent, (array, space) => {
        const json = JSON.stringify(array, null, space);
        expect(elementSpans(json).map((span) => read(json, span))).toEqual(JSON.parse(json));
      }),
    );
  });

  it('keep numbers digit for digit', () => {
    const json = '{"id": 12345678901234567890, "price": 1.10, "big": -1E400 }';
    const texts = [...memberSpans(json).values()].map((span) => json.slice(...span));
    expect(texts).toEqual(['12345678901234567890', '1.10', '-1E400']);
  });

  it('take the last of several equal keys, however they are written', () => {
    const json = String.raw`{"a":1,"\u0061":2,"b":3,"a" : {"a":4}}`;
    const spans = memberSpans(json);
    expect([...spans.keys()]).toEqual(['a', 'b']);
    expect(json.slice(...spans.get('a')!)).toBe('{"a":4}');
  });

  it('are found inside a text, at the place of an inner value', () => {
    const json = ' {"events" : [ {"type":"a"} , {"type":"b\\\\"} ]}';
    const elements = elementSpans(json, memberSpans(json).get('events')![0]);
    const types = elements.map(([start]) => json.slice(...memberSpans(json, start).get('type')!));
    expect(types).toEqual(['"a"', '"b\\\\"']);
  });

  it('are found under a nesting of 200,000 levels', () => {
    const deep = `${'[{"a":'.repeat(100_000)}null${'}]'.repeat(100_000)}`;
    const json = `{"payload":${deep},"type":"x"}`;
    expect(memberSpans(json).get('payload')).toEqual([11, 11 + deep.length]);
  });

  it('are found in white space of every kind', () => {
    const json = '\t\r\n { "a"\n:\t1\r, "b" :\n[ ] } ';
    expect([...memberSpans(json)].map(([key, span]) => [key, json.slice(...span)])).toEqual([
      ['a', '1'],
      ['b', '[ ]'],
    ]);
    expect(memberSpans(' { } ').size).toBe(0);
    expect(elementSpans(' [ ] ')).toEqual([]);
  });

  it('have keys that end in escapes', () => {
    const json = String.raw`{"\"":1,"\\":2,"\\\"":3,"\n" :4}`;
    expect([...memberSpans(json).keys()]).toEqual(['"', '\\', '\\"', '\n']);
  });

  it('are refused where no object or array begins', () => {
    expect(() => memberSpans('[1]')).toThrow(TypeError);
    expect(() => memberSpans('')).toThrow(TypeError);
    expect(() => elementSpans('{"a":[1]}')).toThrow(TypeError);
  });
});
