import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { positiveInt } from '@sealpost/core';
import { expect, it } from 'vitest';
import { z } from 'zod';
import { configurationDocument, variablesOf } from './configuration-document.ts';

it('docs/configuration.md is what the schemas say; if not: npm run docs:configuration', () => {
  const path = join(import.meta.dirname, '..', '..', '..', 'docs', 'configuration.md');
  expect(readFileSync(path, 'utf8')).toBe(configurationDocument());
});

it('tells a variable’s type by what its error says, and its default', () => {
  const schema = z.object({
    NEEDED: positiveInt.refine((number) => number < 9).describe('How many.'),
    GIVEN: positiveInt.default(3).describe('How often.'),
    FREE: z.enum(['a', 'b']).optional().describe('Which.'),
  });
  expect(variablesOf(schema)).toEqual([
    { name: 'NEEDED', type: 'a whole number from 1', default: undefined, description: 'How many.' },
    { name: 'GIVEN', type: 'a whole number from 1', default: '`3`', description: 'How often.' },
    { name: 'FREE', type: 'one of a, b', default: 'none', description: 'Which.' },
  ]);
});

it('refuses a variable that nobody has described', () => {
  expect(() => variablesOf(z.object({ SILENT: positiveInt }))).toThrow('SILENT');
});
