import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { missingOf, namedTests } from './harness/named-tests.ts';

const text = readFileSync(join(import.meta.dirname, '..', 'docs', 'delivery-semantics.md'), 'utf8');
/** The last cell of each row of a table, without heads and rules. */
const proofs = text
  .split('\n')
  .filter((line) => line.startsWith('| ') && !/^\| (what could break|promise|mode|---)/.test(line))
  .map((line) => line.replace(/ \|$/, '').split(' | ').at(-1)!);
const tests = proofs.flatMap(namedTests);

it('each fault that could break a promise has a test', () => {
  expect(proofs.length).toBeGreaterThan(50);
  expect(proofs.filter((proof) => namedTests(proof).length === 0)).toEqual([]);
});

it.each(tests)('docs/delivery-semantics.md names a test that is there: $file $names', (test) => {
  expect(missingOf(test)).toEqual([]);
});
