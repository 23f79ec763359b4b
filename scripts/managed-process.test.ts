import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { describeExit, ManagedProcess } from './managed-process.ts';
import { identifyProcess, isAlive } from './process-identity.ts';

const shell = (script: string, logFile?: string) =>
  new ManagedProcess({
    name: 'shell',
    command: '/bin/sh',
    args: ['-c', script],
    ...(logFile ? { logFile } : {}),
  });

it('keeps the last lines and writes all of them to the log', async () => {
  const logFile = join(mkdtempSync(join(tmpdir(), 'sealpost-log-')), 'shell.log');
  const child = shell('for i in 1 2 3; do echo "line $i"; done; echo problem >&2; exit 3', logFile);
  expect(await child.exited).toEqual({ code: 3, signal: null });
  expect(child.lastLines()).toEqual(expect.arrayContaining(['line 1', 'line 2', 'line 3', 'problem']));
  await expect.poll(() => readFile(logFile, 'utf8')).toContain('line 3\n');
});

it('is asked to end, and made to when it does not', async () => {
  const willing = shell('trap "exit 0" TERM; echo ready; while :; do sleep 0.01; done');
  await expect.poll(() => willing.lastLines()).toEqual(['ready']);
  expect(await willing.stop(10_000)).toEqual({ code: 0, signal: null });
  const deaf = shell('trap "" TERM; echo ready; while :; do sleep 0.01; done');
  await expect.poll(() => deaf.lastLines()).toEqual(['ready']);
  expect(describeExit(await deaf.stop(50))).toBe('was ended by SIGKILL');
});

it('tells of a command that does not exist', async () => {
  const child = new ManagedProcess({ name: 'nothing', command: '/no/such/command', args: [] });
  expect((await child.exited).code).toBe(127);
  expect(child.lastLines().join()).toContain('ENOENT');
});

it('does not outlive a parent that was killed', async () => {
  const parent = spawn(process.execPath, [
    '--input-type=module',
    '-e',
    `import { ManagedProcess } from '${join(import.meta.dirname, 'managed-process.ts')}';
     const done = new ManagedProcess({ name: 'quick', command: 'true', args: [] });
     await done.exited;
     const child = new ManagedProcess({ name: 'long', command: 'sleep', args: ['600'] });
     console.log(child.pid);`,
  ]);
  const [printed] = (await once(parent.stdout, 'data')) as [Buffer];
  const child = await identifyProcess(Number(printed.toString()));
  if (!child) throw new Error(`the child has not started: ${printed}`);
  parent.kill('SIGKILL');
  for (let i = 0; (await isAlive(child)) && i < 2400; i += 1) await delay(25);
  expect(await isAlive(child)).toBe(false);
});
