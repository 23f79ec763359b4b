import { join } from 'node:path';
import { ManagedProcess } from '@sealpost/scripts/managed-process';
import { expect } from 'vitest';
import { stopAfterAll } from './cleanup.ts';
import { watchProcess } from './processes.ts';
import type { Stack } from './stack.ts';

const ROOT = join(import.meta.dirname, '..', '..');

export type Moving = {
  process: ManagedProcess;
  output: () => string;
  /** Resolves when it has printed this; rejects when it ends without. */
  says: (text: string) => Promise<void>;
};

/** `npm run move-app -- …`, as a process that can be killed. */
export function startMove(
  { redis, masterKey }: Pick<Stack, 'redis' | 'masterKey'>,
  args: string[],
  env: Record<string, string> = {},
): Moving {
  const lines: string[] = [];
  const waiting = new Set<() => void>();
  const moving = new ManagedProcess({
    name: 'move-app',
    command: process.execPath,
    args: [join(ROOT, 'packages/store/src/move/main.ts'), ...args],
    cwd: ROOT,
    env: {
      PATH: process.env.PATH,
      REDIS_URL: redis.url,
      SEALPOST_MASTER_KEY: masterKey,
      SEALPOST_SHARDS: '4',
      ...env,
    },
    onLine: (line) => {
      lines.push(line);
      for (const look of waiting) look();
    },
  });
  watchProcess(moving);
  stopAfterAll(() => moving.stop(5000));
  const output = () => lines.join('\n');
  const says = (text: string) =>
    new Promise<void>((resolve, reject) => {
      const look = () => {
        if (!output().includes(text)) return;
        waiting.delete(look);
        resolve();
      };
      waiting.add(look);
      look();
      void moving.exited.then(() => reject(new Error(`it ended before it said "${text}":\n${output()}`)));
    });
  return { process: moving, output, says };
}

/** Moves an app. Its lanes may still wait. */
export async function moveApp(stack: Stack, app: string, to: number): Promise<string> {
  const moving = startMove(stack, ['--app', app, '--to', String(to), '--no-wait']);
  const { code } = await moving.process.exited;
  expect(code, moving.output()).toBe(0);
  return moving.output();
}

/** Begins a move, and kills it as soon as it has printed this. */
export async function killMoveAt(stack: Stack, app: string, to: number, text: string): Promise<void> {
  const moving = startMove(stack, ['--app', app, '--to', String(to)]);
  await moving.says(text);
  await moving.process.kill('SIGKILL');
}
