import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect, it } from 'vitest';
import { LockHeldError, takeLock, waitForLock } from './lock.ts';
import { identifyProcess } from './process-identity.ts';

const newPath = async () => join(await mkdtemp(join(tmpdir(), 'sealpost-lock-')), 'start.lock');

it('is held by one process at a time, which the error names', async () => {
  const path = await newPath();
  const lock = await takeLock(path);
  await expect(takeLock(path)).rejects.toMatchObject({ name: 'Error', pid: process.pid });
  lock.release();
  (await takeLock(path)).release();
  expect(await readdir(dirname(path))).toEqual([]);
});

it('is taken over from a holder that was killed', async () => {
  const path = await newPath();
  const holder = spawn('sleep', ['60']);
  await writeFile(path, JSON.stringify(await identifyProcess(holder.pid ?? 0)));
  await expect(takeLock(path)).rejects.toBeInstanceOf(LockHeldError);
  holder.kill('SIGKILL');
  await once(holder, 'exit');
  (await takeLock(path)).release();
});

it('is taken over when another process has got the holder’s number', async () => {
  const path = await newPath();
  await writeFile(path, JSON.stringify({ pid: process.pid, startedAt: 'another boot:1' }));
  (await takeLock(path)).release();
});

it('goes to exactly one of many that find the same dead holder', async () => {
  const path = await newPath();
  await writeFile(path, 'not even a holder');
  const results = await Promise.allSettled(Array.from({ length: 20 }, () => takeLock(path)));
  expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
});

it('does not release a lock that another has taken over', async () => {
  const path = await newPath();
  const lock = await takeLock(path);
  await writeFile(path, 'somebody else');
  lock.release();
  expect(existsSync(path)).toBe(true);
});

it('can be waited for', async () => {
  const path = await newPath();
  const lock = await takeLock(path);
  const holder = await new Promise<number>((resolve) => {
    void waitForLock(path, resolve).then((second) => second.release());
  });
  expect(holder).toBe(process.pid);
  lock.release();
});
