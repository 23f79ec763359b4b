import { execFileSync } from 'node:child_process';
import { it } from 'vitest';
import { DOCUMENTS_DIR, haveDocuments } from './documents.ts';

/** What a test cannot do without, and a machine may not have. */
export type Need = 'documents' | 'python' | 'flask' | 'go';

const REASONS: Record<Need, string> = {
  documents: `no documents at ${DOCUMENTS_DIR}`,
  python: 'no python3 here',
  flask: 'no Flask for python3 here (on Debian: python3-flask)',
  go: 'no go here',
};

const PROBES: Record<Need, () => boolean> = {
  documents: () => haveDocuments,
  python: () => runs('python3', '-c', ''),
  flask: () => runs('python3', '-c', 'import flask'),
  go: () => runs('go', 'version'),
};

const known = new Map<Need, boolean>();
const said = new Set<Need>();

/** `it`; where something is missing a test that is skipped and says why in its name. It is printed as well, once. */
export function needing(...needs: Need[]): (title: string, test: () => Promise<void> | void) => void {
  const missing = needs.find((need) => !has(need));
  if (!missing) return it;
  const reason = `skipped: ${REASONS[missing]}`;
  return (title, test) => {
    if (!said.has(missing)) console.log(`Tests are ${reason}`);
    said.add(missing);
    it.skip(`${title} (${reason})`, test);
  };
}

function has(need: Need): boolean {
  if (!known.has(need)) known.set(need, PROBES[need]());
  return known.get(need) === true;
}

function runs(command: string, ...args: string[]): boolean {
  try {
    execFileSync(command, args, { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
