import { randomBytes } from 'node:crypto';
import { access, constants, mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { LauncherError } from './launcher-error.ts';

/** Makes a folder that only its owner can look into. @throws LauncherError: it cannot be made, or not be written to */
export async function makePrivateFolder(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true, mode: 0o700 });
    await access(path, constants.W_OK);
  } catch (error) {
    throw new LauncherError(
      `${path} cannot hold data: ${(error as Error).message}. Name another folder with SEALPOST_DATA_DIR, or mend this one.`,
    );
  }
}

/**
 * The master key of this data folder: 32 bytes in base64, made once, readable by its owner only.
 * @throws LauncherError: it is damaged, or gone although there are data
 */
export async function masterKeyIn(dataDir: string): Promise<string> {
  const path = join(dataDir, 'master.key');
  const [files, stored] = await Promise.all([
    readdir(dataDir),
    readdir(join(dataDir, 'redis')).catch(() => []),
  ]);
  if (!files.includes('master.key') && stored.length > 0) {
    throw new LauncherError(
      `${path} is gone, and what is stored can only be read with the key that was in it: put it back from a copy, ` +
        'set SEALPOST_MASTER_KEY to it, or remove the whole folder to begin anew.',
    );
  }
  const key = await keptText(path, () => randomBytes(32).toString('base64'));
  if (Buffer.from(key, 'base64').length !== 32) {
    throw new LauncherError(
      `${path} is damaged: it must hold 32 bytes in base64. What is stored can only be read with the key that was ` +
        'in it: put it back from a copy, or remove the whole folder to begin anew.',
    );
  }
  return key;
}

/** The API key of this data folder, made once. */
export async function apiKeyIn(dataDir: string): Promise<string> {
  return keptText(join(dataDir, 'api.key'), () => `sk_${randomBytes(24).toString('base64url')}`);
}

/** Keeps the log of the start before, so that what went wrong then can still be read. */
export async function rotateLog(path: string): Promise<void> {
  await rename(path, path.replace(/\.log$/, '.previous.log')).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
  });
}

async function keptText(path: string, make: () => string): Promise<string> {
  try {
    await writeFile(path, `${make()}\n`, { flag: 'wx', mode: 0o600, flush: true });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  return (await readFile(path, 'utf8')).trim();
}
