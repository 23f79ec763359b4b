import { execFile } from 'node:child_process';
import { constants } from 'node:fs';
import { access, chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { waitForLock } from './lock.ts';
import { isNewEnough } from './redis-version.ts';
import type { System } from './system.ts';

const run = promisify(execFile);
const PACKAGES = ['redis-server', 'valkey-server'];

/** Whether packages can be installed without asking anyone: root on Debian, Ubuntu or one of their children. */
export async function canInstall(system: System): Promise<boolean> {
  if (!system.isRoot || system.family !== 'debian') return false;
  return access('/usr/bin/apt-get', constants.X_OK).then(
    () => true,
    () => false,
  );
}

/**
 * Installs a Redis from the distribution's packages; its service is not started, since Sealpost runs its own.
 * Returns undefined on success, else the reason in words. `alreadyThere` is asked once more under the lock: test
 * suites run side by side, and only one of them needs to install.
 */
export async function installRedis(
  say: (line: string) => void,
  alreadyThere: () => Promise<boolean>,
): Promise<string | undefined> {
  const lock = await waitForLock('/run/sealpost-install-redis.lock', (pid) =>
    say(`Redis is being installed by process ${pid}; waiting for it.`),
  );
  try {
    if (await alreadyThere()) return undefined;
    say('No Redis on this machine: installing it from the distribution’s packages (apt-get).');
    await aptGet(['update']);
    const chosen = await choosePackage();
    if (!chosen) return 'the distribution’s packages have no Redis that is new enough';
    await withoutStartingServices((options) =>
      aptGet([...options, 'install', '-y', '--no-install-recommends', chosen]),
    );
    say(`Installed ${chosen}. Its service was not started: Sealpost runs a Redis of its own.`);
    return undefined;
  } catch (error) {
    return `apt-get failed: ${lastLines(error)}`;
  } finally {
    lock.release();
  }
}

async function aptGet(args: string[]): Promise<void> {
  await run('/usr/bin/apt-get', ['-q', '-o', 'DPkg::Lock::Timeout=120', ...args], {
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C.UTF-8', PATH: systemPath() },
    maxBuffer: 64 * 1024 * 1024,
  });
}

async function choosePackage(): Promise<string | undefined> {
  for (const name of PACKAGES) {
    const { stdout } = await run('/usr/bin/apt-cache', ['policy', name], {
      env: { ...process.env, LC_ALL: 'C' },
    });
    const candidate = /^\s*Candidate: (\S+)/m.exec(stdout)?.[1];
    if (candidate && isNewEnough(candidate)) return name;
  }
  return undefined;
}

/**
 * A package's own scripts start its service by calling invoke-rc.d and deb-systemd-invoke from the path that dpkg
 * gives them. They find ours instead; unlike a policy-rc.d this changes nothing that could be left behind.
 */
async function withoutStartingServices(install: (options: string[]) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'sealpost-install-'));
  try {
    await chmod(folder, 0o755);
    for (const name of ['invoke-rc.d', 'deb-systemd-invoke']) {
      await writeFile(join(folder, name), '#!/bin/sh\nexit 0\n', { mode: 0o755 });
    }
    await install(['-o', `DPkg::Path=${folder}:${systemPath()}`]);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function systemPath(): string {
  return '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
}

function lastLines(error: unknown): string {
  const { stderr, message } = error as { stderr?: string; message: string };
  return (stderr?.trim() || message).split('\n').slice(-3).join('\n');
}
