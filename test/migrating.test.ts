import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

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

/** `` `file`: outer › inner``: names of tests, or how they begin. */
function testsOf({ proof }: Row): { file: string; names: string[] }[] {
  return [...proof.matchAll(/`([a-z-]+)`: ([^;]+)/g)].map(([, file, names]) => ({
    file: `${file}.test.ts`,
    names: names!.trim().split(' › '),
  }));
}

describe.each(SYSTEMS)('the table of %s', (system) => {
  const rows = featuresOf(system);

  it('has rows, each with a test', () => {
    expect(rows.length).toBeGreaterThan(15);
    const without = rows.filter((row) => testsOf(row).length === 0);
    expect(without).toEqual([]);
  });

  it.each(rows.flatMap(testsOf))('names a test that is there: $file $names', ({ file, names }) => {
    const path = join(import.meta.dirname, file);
    expect(existsSync(path), path).toBe(true);
    const source = plain(readFileSync(path, 'utf8'));
    for (const name of names) expect(source).toContain(plain(name));
  });
});

/** However a quote is written in a table or in code. */
function plain(source: string): string {
  return source.replaceAll(/\\?['’]/g, '’');
}
