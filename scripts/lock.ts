import { randomUUID } from 'node:crypto';
import { readFileSync, rmSync } from 'node:fs';
import { link, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { identifyProcess, isAlive, type ProcessIdentity } from './process-identity.ts';

/** Another live process holds the lock. */
export class LockHeldError extends Error {
  readonly pid: number;
  constructor(path: string, pid: number) {
    super(`${path} is held by process ${pid}`);
    this.pid = pid;
  }
}

export type Lock = { release(): void };

/**
 * Takes a lock file. A lock whose holder is dead, however it died, is taken over. Throws LockHeldError.
 * `release` is synchronous, so that it may run in an `exit` handler.
 */
export async function takeLock(path: string): Promise<Lock> {
  const mine = JSON.stringify(await identifyProcess(process.pid));
  const draft = `${path}.${randomUUID()}`;
  await writeFile(draft, mine, { mode: 0o600 });
  try {
    // link(2) makes the lock appear with its content or not at all: nobody can read half of it.
    while (!(await linked(draft, path))) await removeIfStale(path);
  } finally {
    await rm(draft, { force: true });
  }
  return { release: () => releaseIfMine(path, mine) };
}

/** As takeLock, but waits until the holder lets go or dies. */
export async function waitForLock(path: string, onWait: (pid: number) => void): Promise<Lock> {
  for (let told = false; ; ) {
    try {
      return await takeLock(path);
    } catch (error) {
      if (!(error instanceof LockHeldError)) throw error;
      if (!told) onWait(error.pid);
      told = true;
      await delay(200);
    }
  }
}

async function linked(draft: string, path: string): Promise<boolean> {
  try {
    await link(draft, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

async function removeIfStale(path: string): Promise<void> {
  const seen = await readFile(path, 'utf8').catch(() => undefined);
  if (seen === undefined) return; // released in between
  const holder = parseHolder(seen);
  if (holder && (await isAlive(holder))) throw new LockHeldError(path, holder.pid);
  // Two processes may find the same stale lock, and the slower must not remove the quicker one's new lock.
  const aside = `${path}.${randomUUID()}`;
  const moved = await rename(path, aside).then(
    () => true,
    () => false,
  );
  if (!moved) return;
  if ((await readFile(aside, 'utf8')) !== seen) await linked(aside, path);
  await rm(aside, { force: true });
}

function parseHolder(text: string): ProcessIdentity | undefined {
  try {
    return JSON.parse(text) as ProcessIdentity;
  } catch {
    return undefined; // not written by us or cut short by a full disk: nobody holds it
  }
}

function releaseIfMine(path: string, mine: string): void {
  try {
    if (readFileSync(path, 'utf8') === mine) rmSync(path, { force: true });
  } catch {
    // already gone
  }
}
