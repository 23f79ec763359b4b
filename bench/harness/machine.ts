import { execFileSync, type StdioOptions } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { dirname } from 'node:path';
import { toJson } from './report.ts';

/** Writes figures with what they were measured on. @param root the Sealpost that was measured */
export async function writeFigures(file: string, root: string, figures: object): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, `${toJson({ ...machine(root), ...figures })}\n`);
}

export type Machine = {
  date: string;
  /** Undefined where the measured folder is no repository. */
  commit: string | undefined;
  node: string;
  cores: number;
  cpu: string | undefined;
};

export function machine(root: string): Machine {
  return {
    date: new Date().toISOString(),
    commit: commit(root),
    node: process.version,
    cores: cpus().length,
    cpu: cpus()[0]?.model,
  };
}

/** Undefined where the measured folder is no repository. */
function commit(root: string): string | undefined {
  const stdio: StdioOptions = ['ignore', 'pipe', 'ignore'];
  try {
    const args = ['describe', '--always', '--dirty'];
    return execFileSync('git', args, { cwd: root, encoding: 'utf8', stdio }).trim();
  } catch {
    return undefined;
  }
}
