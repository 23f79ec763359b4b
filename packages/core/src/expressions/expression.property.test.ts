import { evaluate } from '@marcbachmann/cel-js';
import { Duration, UnsignedInt } from '@marcbachmann/cel-js/evaluator';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { eventVariables } from './event-variables.ts';
import { compileExpression, evaluateTransform, expressionProblem } from './expression.ts';
import { ExpressionError } from './failure.ts';
import { MAX_RESULT_BYTES, WORK_IN_PROCESS } from './limits.ts';

const RUNS = Number(process.env.PROPERTY_RUNS ?? 1000);

const NAMES = [
  'payload',
  'type',
  'attributes',
  'sequence',
  'id',
  'timestamp',
  'x',
  'environment',
  'string',
  'map',
];
const FIELDS = ['a', 'b', '__proto__', 'constructor', 'prototype', 'toString', 'length', 'hasOwnProperty'];
const METHODS = [
  'size()',
  'contains("a")',
  'lastIndexOf("a")',
  'substring(1)',
  'join(",")',
  'lowerAscii()',
  'base64()',
  'getHours()',
  'map(x, x)',
  'filter(x, x == 1)',
  'exists(x, x.a)',
  'matches("(a+)+$")',
  'toString()',
  '__proto__()',
];
const FUNCTIONS = [
  'size',
  'string',
  'int',
  'double',
  'bytes',
  'json',
  'type',
  'dyn',
  'timestamp',
  'has',
  'bool',
  'eval',
];
const OPERATORS = ['+', '-', '*', '/', '%', '==', '!=', '<', '<=', '>', '>=', 'in', '&&', '||'];

/** Expressions that could be somebody's, and many that could not. */
const source = fc.letrec<{ any: string }>((tie) => ({
  any: fc.oneof(
    { maxDepth: 5, withCrossShrink: true },
    fc.constantFrom(...NAMES),
    fc.constantFrom('1', '2.5', '"a"', '"ä😀"', 'true', 'null', 'b"x"', '[]', '{}', '9223372036854775807'),
    fc.tuple(tie('any'), fc.constantFrom(...FIELDS)).map(([left, field]) => `${left}.${field}`),
    fc.tuple(tie('any'), tie('any')).map(([left, key]) => `${left}[${key}]`),
    fc.tuple(tie('any'), fc.constantFrom(...METHODS)).map(([left, method]) => `${left}.${method}`),
    fc.tuple(tie('any'), tie('any')).map(([list, step]) => `${list}.map(x, ${step})`),
    fc.tuple(fc.constantFrom(...FUNCTIONS), tie('any')).map(([name, value]) => `${name}(${value})`),
    fc.tuple(tie('any'), fc.constantFrom(...OPERATORS), tie('any')).map(([a, op, b]) => `(${a} ${op} ${b})`),
    fc.tuple(tie('any'), tie('any'), tie('any')).map(([a, b, c]) => `(${a} ? ${b} : ${c})`),
    fc.tuple(tie('any'), tie('any')).map(([a, b]) => `[${a}, ${b}]`),
    fc.tuple(fc.constantFrom(...FIELDS), tie('any')).map(([key, value]) => `{"${key}": ${value}}`),
    tie('any').map((value) => `!${value}`),
    tie('any').map((value) => `-${value}`),
  ),
})).any;

const payload = fc.oneof(
  fc.json({ maxDepth: 4 }),
  fc.constantFrom(
    '{"__proto__":{"a":1},"constructor":{"a":[1]},"a":"aaa","b":[1,"a",null]}',
    '{"a":{"a":{"a":1}}}',
  ),
);

const facts = (text: string) => ({ type: 'a.b', payload: text, id: 'evt_1', acceptedAt: 0, sequence: 1 });

describe('whatever is given as an expression', () => {
  it('is answered with a problem, a failure or a result, and changes nothing', () => {
    const before = [
      Object.getOwnPropertyNames(Object.prototype),
      Object.getOwnPropertyNames(Array.prototype),
    ];
    fc.assert(
      fc.property(source, payload, (text, json) => {
        const event = eventVariables(facts(json));
        const shown = JSON.stringify(event.payload);
        if (expressionProblem(text, 'transform') !== undefined) return;
        const result = evaluateTransform(compileExpression(text, 'transform'), event, WORK_IN_PROCESS);
        if ('body' in result) {
          expect(Buffer.byteLength(result.body)).toBeLessThanOrEqual(MAX_RESULT_BYTES);
          if (result.json) JSON.parse(result.body);
          expect(result.body).not.toMatch(/native code|\[object /);
        } else if ('failure' in result) {
          expect(result.failure.length).toBeLessThan(300);
        }
        expect(JSON.stringify(event.payload)).toBe(shown);
      }),
      { numRuns: RUNS },
    );
    expect([
      Object.getOwnPropertyNames(Object.prototype),
      Object.getOwnPropertyNames(Array.prototype),
    ]).toEqual(before);
  });

  it('though it be no text of the language', () => {
    const token = fc.constantFrom(
      ...NAMES,
      ...FIELDS,
      ...OPERATORS,
      ...'()[]{}.,?:!"\'\\-0u',
      'b"',
      '"""',
      '//',
      '\n',
    );
    const junk = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 200 }),
      fc.array(token, { maxLength: 60 }).map((all) => all.join('')),
    );
    fc.assert(
      fc.property(junk, fc.constantFrom('filter', 'transform'), (text, kind) => {
        const problem = expressionProblem(text, kind);
        if (problem !== undefined) expect(problem.length).toBeLessThan(300);
      }),
      { numRuns: RUNS },
    );
  });
});

/** Of one kind each, so that most of them work. */
const typed = fc.letrec<{ int: string; double: string; text: string; bool: string; list: string }>((tie) => {
  const infix = (of: 'int' | 'double' | 'text' | 'bool' | 'list', operators: string[]) =>
    fc.tuple(tie(of), fc.constantFrom(...operators), tie(of)).map(([a, op, b]) => `(${a} ${op} ${b})`);
  const choice = (of: 'int' | 'double' | 'text' | 'list') =>
    fc.tuple(tie('bool'), tie(of), tie(of)).map(([c, a, b]) => `(${c} ? ${a} : ${b})`);
  const deep = { maxDepth: 4 };
  return {
    int: fc.oneof(
      deep,
      fc.constantFrom('0', '1', '7', '-3', '9223372036854775807'),
      infix('int', ['+', '-', '*', '/', '%']),
      tie('text').map((text) => `size(${text})`),
      tie('list').map((list) => `size(${list})`),
      fc.tuple(tie('text'), tie('text')).map(([a, b]) => `${a}.indexOf(${b})`),
      fc.tuple(tie('text'), tie('text')).map(([a, b]) => `${a}.lastIndexOf(${b})`),
      tie('double').map((value) => `int(${value})`),
      choice('int'),
    ),
    double: fc.oneof(
      deep,
      fc.constantFrom('0.0', '1.5', '-2.25', 'payload.n', 'payload.m', '1e300'),
      infix('double', ['+', '-', '*', '/']),
      tie('int').map((value) => `double(${value})`),
      choice('double'),
    ),
    text: fc.oneof(
      deep,
      fc.constantFrom('""', '"a"', '"Bä"', '" c "', 'payload.s', '"😀"'),
      infix('text', ['+']),
      tie('int').map((value) => `string(${value})`),
      tie('double').map((value) => `string(${value})`),
      tie('bool').map((value) => `string(${value})`),
      tie('text').map((value) => `${value}.trim()`),
      fc.tuple(tie('text'), tie('int')).map(([value, from]) => `${value}.substring(${from})`),
      tie('text').map((value) => `bytes(${value}).base64()`),
      fc.tuple(tie('text'), tie('text'), tie('text')).map(([a, b, c]) => `[${a}, ${b}].join(${c})`),
      choice('text'),
    ),
    bool: fc.oneof(
      deep,
      fc.constantFrom('true', 'false', 'payload.yes', 'has(payload.n)', 'has(payload.none)', 'payload.none'),
      infix('bool', ['&&', '||', '==', '!=']),
      ...(['int', 'double', 'text'] as const).map((of) => infix(of, ['==', '!=', '<', '<=', '>', '>='])),
      infix('list', ['==', '!=']),
      tie('bool').map((value) => `!${value}`),
      fc.tuple(tie('int'), tie('list')).map(([a, b]) => `(${a} in ${b})`),
      fc
        .tuple(tie('text'), fc.constantFrom('contains', 'startsWith', 'endsWith'), tie('text'))
        .map(([a, op, b]) => `${a}.${op}(${b})`),
      fc
        .tuple(tie('list'), fc.constantFrom('all', 'exists', 'exists_one'), tie('int'))
        .map(([a, op, b]) => `${a}.${op}(x, x > ${b})`),
    ),
    list: fc.oneof(
      deep,
      // Of ints alone: in a list it finds a double equal to no int.
      fc.constantFrom('[1]', '[1, 2, 3]'),
      infix('list', ['+']),
      fc.tuple(tie('int'), tie('int')).map(([a, b]) => `[${a}, ${b}]`),
      fc.tuple(tie('list'), tie('int')).map(([a, b]) => `${a}.map(x, x == ${b})`),
      fc.tuple(tie('list'), tie('int')).map(([a, b]) => `${a}.filter(x, x != ${b})`),
      choice('list'),
    ),
  };
});

const VALUES = { n: 5, m: -0.5, s: 'Hello ä', yes: true };

/** As our results show it. */
function jsonOf(value: unknown): unknown {
  if (value instanceof UnsignedInt || value instanceof Duration)
    throw new TypeError('not in these expressions');
  return JSON.parse(
    JSON.stringify(value, (_, part) => (typeof part === 'bigint' ? `${part}n` : part)) ?? 'null',
  );
}

function ours(text: string): unknown {
  const event = eventVariables(facts(JSON.stringify(VALUES)));
  const { step } = compileExpression(text, 'transform');
  return jsonOf(step.run({ event, slots: [], meter: { charge: () => {} } as never }));
}

describe('beside another evaluator of CEL', () => {
  it('comes to the same, wherever that comes to anything', () => {
    let compared = 0;
    fc.assert(
      fc.property(fc.oneof(typed.int, typed.double, typed.text, typed.bool, typed.list), (text) => {
        let theirs: unknown;
        try {
          theirs = evaluate(text, { payload: VALUES });
        } catch {
          return; // it is stricter about what may meet what, and about limits
        }
        if (expressionProblem(text, 'transform') !== undefined) return;
        let own: unknown;
        try {
          own = ours(text);
        } catch (error) {
          // It lets conversions and signs go beyond 64 bits; which of two errors `||` then tells is another matter.
          if (error instanceof ExpressionError && /int\(|-/.test(text)) return;
          throw error;
        }
        compared++;
        expect([text, own]).toEqual([text, jsonOf(theirs)]);
      }),
      { numRuns: RUNS },
    );
    expect(compared).toBeGreaterThan(RUNS / 3);
  });
});
