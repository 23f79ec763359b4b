import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type Env, type Loose, withoutSettings } from '../harness/index.ts';
import { folderWith } from './run-receiver.ts';

const AROUND = join(import.meta.dirname, 'around');

/** Runs Python to its end and gives the lines that it printed, each of them JSON. */
export async function pythonOutput(code: string, env: Env): Promise<Loose[]> {
  const folder = await folderWith({ 'snippet.py': code });
  return printed([join(folder, 'snippet.py')], env, '');
}

/** Runs a snippet of Flock's document under the stand-in for Flock; the tasks are told there. */
export async function flockOutput(code: string, task: 'options'): Promise<Loose[]>;
export async function flockOutput(
  code: string,
  task: 'sent' | 'messages',
  artifacts: object[],
): Promise<Loose[]>;
export async function flockOutput(code: string, task: string, artifacts: object[] = []): Promise<Loose[]> {
  const folder = await folderWith({ 'snippet.py': code });
  const args = [join(AROUND, 'flock_stand_in.py'), join(folder, 'snippet.py'), task];
  return (await printed(args, {}, JSON.stringify(artifacts)))[0];
}

async function printed(args: string[], env: Env, stdin: string): Promise<Loose[]> {
  const own = { PYTHONPATH: AROUND, PYTHONDONTWRITEBYTECODE: '1', PYTHONIOENCODING: 'utf-8' };
  const running = promisify(execFile)('python3', args, {
    env: { ...withoutSettings(process.env), ...own, ...env },
  });
  running.child.stdin?.end(stdin);
  const { stdout } = await running;
  return stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
}
