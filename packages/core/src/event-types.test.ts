import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkPattern, compilePatterns, isEventType } from './event-types.ts';

describe('isEventType', () => {
  it.each(['a', 'order.created', 'Order_1.item-2.x', '0', 'a'.repeat(128)])('accepts %s', (text) =>
    expect(isEventType(text)).toBe(true),
  );

  it.each(['', '.', 'a.', '.a', 'a..b', 'a b', 'a*', 'ä', 'a/b', 'a\n', 'a'.repeat(129)])(
    'refuses %j',
    (text) => expect(isEventType(text)).toBe(false),
  );
});

describe('checkPattern', () => {
  it.each(['job', 'job.*', '*', '**', '*.created', 'a.*.c', 'a.**', '*.**', 'constructor'])(
    'accepts %s',
    (text) => expect(checkPattern(text)).toBeUndefined(),
  );

  it.each([
    '',
    '.',
    'a.',
    'a**',
    'a*',
    'job*',
    '**.a',
    'a.**.b',
    '***',
    'a.***',
    '*.',
    'a b',
    'a\n',
    '[a]',
    '.*',
  ])('refuses %j', (text) => expect(checkPattern(text)).toMatch(/^must be segments/));

  it('refuses more than 128 characters', () => expect(checkPattern('a'.repeat(129))).toMatch(/128/));
});

describe('compilePatterns', () => {
  it.each([
    [[], 'anything.at.all', true],
    [['job.done'], 'job.done', true],
    [['job.done'], 'job.done.late', false],
    [['job.done'], 'jobxdone', false],
    [['job.*'], 'job.done', true],
    [['job.*'], 'job', false],
    [['job.*'], 'job.done.late', false],
    [['job.*'], 'xjob.done', false],
    [['*'], 'job', true],
    [['*'], 'job.done', false],
    [['*.done'], 'job.done', true],
    [['a.*.c'], 'a.b.c', true],
    [['a.*.c'], 'a.b.b.c', false],
    [['a.**'], 'a.b', true],
    [['a.**'], 'a.b.c.d', true],
    [['a.**'], 'a', false],
    [['a.**'], 'ab.c', false],
    [['**'], 'a', true],
    [['**'], 'a.b.c', true],
    [['x', 'y.*', 'z.**'], 'z.1.2', true],
    [['x', 'y.*', 'z.**'], 'y', false],
    [['x', 'y.*', 'z.**'], 'constructor', false],
  ] as [string[], string, boolean][])('%j on %s: %s', (patterns, type, expected) => {
    expect(compilePatterns(patterns)(type)).toBe(expected);
  });

  it('throws on what is not a pattern', () => expect(() => compilePatterns(['(a+)+'])).toThrow(RangeError));

  it('agrees with a comparison segment by segment', () => {
    const segment = fc.constantFrom('a', 'b', 'aa');
    const type = fc.array(segment, { minLength: 1, maxLength: 4 });
    const pattern = fc
      .tuple(fc.array(fc.oneof(segment, fc.constant('*')), { minLength: 1, maxLength: 4 }), fc.boolean())
      .map(([segments, rest]) => (rest ? [...segments, '**'] : segments));
    fc.assert(
      fc.property(fc.array(pattern, { minLength: 1, maxLength: 3 }), type, (patterns, segments) => {
        const matches = compilePatterns(patterns.map((p) => p.join('.')));
        expect(matches(segments.join('.'))).toBe(patterns.some((p) => matchesSegments(p, segments)));
      }),
    );
  });
});

function matchesSegments(pattern: string[], segments: string[]): boolean {
  const rest = pattern.at(-1) === '**';
  const fixed = rest ? pattern.slice(0, -1) : pattern;
  if (rest ? segments.length <= fixed.length : segments.length !== fixed.length) return false;
  return fixed.every((p, i) => p === '*' || p === segments[i]);
}
