import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const TESTS = join(import.meta.dirname, '..');

/** A test as a document names it: its file in `test/`, and its titles from the outermost on, or how they begin. */
export type NamedTest = { file: string; names: string[] };

/**
 * The tests that a cell of a table names: `` `file`: outer › inner``, several with `;` between, the file once for those that
 * follow. A title may have a `;` of its own where what follows it is found in the file with it.
 */
export function namedTests(cell: string): NamedTest[] {
  return [...cell.matchAll(/`([a-z-]+)`: ((?:(?!`[a-z-]+`: ).)+)/g)].flatMap(([, file, titles]) =>
    splitTitles(`${file}.test.ts`, titles!.replace(/;\s*$/, '')).map((title) => ({
      file: `${file}.test.ts`,
      names: title.trim().split(' › '),
    })),
  );
}

/** Which of a test's titles are not in its file; the file itself, where that is not there. */
export function missingOf({ file, names }: NamedTest): string[] {
  const source = sourceOf(file);
  if (source === undefined) return [file];
  return names.filter((name) => !source.includes(plain(name)));
}

function splitTitles(file: string, titles: string): string[] {
  const parts = titles.split('; ');
  const whole: string[] = [];
  for (const part of parts) {
    const together = `${whole.at(-1)?.split(' › ').at(-1)}; ${part}`;
    if (whole.length > 0 && sourceOf(file)?.includes(plain(together))) whole.push(`${whole.pop()}; ${part}`);
    else whole.push(part);
  }
  return whole;
}

function sourceOf(file: string): string | undefined {
  const path = join(TESTS, file);
  return existsSync(path) ? plain(readFileSync(path, 'utf8')) : undefined;
}

/** However a quote is written in a table or in code. */
function plain(source: string): string {
  return source.replaceAll(/\\?['’]/g, '’');
}
