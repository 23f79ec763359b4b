import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const PREFIX = `sealpost-faults-disk-`;
const SIZE_MB = 1024;
/** What is left of a full disk: less than Redis writes in a moment. */
const SPARE_BYTES = 64 * 1024;
const MOST_TRIES = 20;

/** A disk of its own for Redis' data, in memory, that can be full: it is then made as small as what lies on it. */
export class SmallDisk {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  /** Undefined, and the reason, where this process may not mount. */
  static async mount(): Promise<SmallDisk | string> {
    await removeLeftovers();
    const path = await mkdtemp(join(tmpdir(), `${PREFIX}${process.pid}-`));
    const disk = new SmallDisk(path);
    try {
      await run('mount', ['-t', 'tmpfs', '-o', `size=${SIZE_MB}m`, 'sealpost-faults', path]);
    } catch (error) {
      await rm(path, { recursive: true, force: true });
      return `no disk of its own could be mounted: ${
        String((error as Error).message)
          .split('\n')
          .at(-2) ?? error
      }`;
    }
    return disk;
  }

  async folder(name: string): Promise<string> {
    const path = join(this.path, name);
    await mkdir(path);
    return path;
  }

  async fill(): Promise<void> {
    for (let tries = 1; ; tries += 1) {
      const { blocks, bfree, bsize } = await statfs(this.path);
      try {
        return await this.#resize((blocks - bfree) * bsize + SPARE_BYTES);
      } catch (error) {
        // A disk is not made smaller than what lies on it: Redis has written more since it was looked at.
        if (tries === MOST_TRIES) throw error;
      }
    }
  }

  async free(): Promise<void> {
    await this.#resize(SIZE_MB * 1024 * 1024);
  }

  async unmount(): Promise<void> {
    await unmount(this.path);
  }

  async #resize(bytes: number): Promise<void> {
    await run('mount', ['-o', `remount,size=${bytes}`, this.path]);
  }
}

async function unmount(path: string): Promise<void> {
  const mounted = (await readFile('/proc/mounts', 'utf8').catch(() => '')).includes(` ${path} `);
  if (mounted) await run('umount', ['--lazy', path]);
  await rm(path, { recursive: true, force: true });
}

/** Of a run that was killed: its process number stands in the name. */
async function removeLeftovers(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    const pid = name.startsWith(PREFIX) ? Number(name.slice(PREFIX.length).split('-')[0]) : 0;
    if (pid > 0 && !isAlive(pid)) await unmount(join(tmpdir(), name)).catch(() => {});
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
