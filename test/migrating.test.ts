import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { missingOf, namedTests } from './harness/named-tests.ts';

const text = readFileSync(join(import.meta.dirname, '..', 'docs', 'migrating.md'), 'utf8');
const SYSTEMS = ['Flock', 'TaskFlow', 'AIFAI', 'goflagship'];

type Row = { feature: string; proof: string };

/** The rows of the table of features and their tests under a system's heading. */
function featuresOf(system: string): Row[] {
  const section = text.split(`\n## ${system}\n`)[1]?.split('\n## ')[0] ?? '';
  const [, table = ''] = section.split('| documented | test |\n| --- | --- |\n');
  return table.split('\n').flatMap((line) => {
    const [, feature, proof] = /^\| (.*) \| (.*) \|$/.exec(line) ?? [];
    return feature && proof ? [{ feature, proof }] : [];
  });
}

describe.each(SYSTEMS)('the table of %s', (system) => {
  const rows = featuresOf(system);

  it('has rows, each with a test', () => {
    expect(rows.length).toBeGreaterThan(15);
    const without = rows.filter((row) => namedTests(row.proof).length === 0);
    expect(without).toEqual([]);
  });

  const tests = rows.flatMap((row) => namedTests(row.proof));
  it.each(tests)('names a test that is there: $file $names', (test) => {
    expect(missingOf(test)).toEqual([]);
  });
});
