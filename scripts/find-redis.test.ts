import { chmod, mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { findRedisServer, waysOut } from './find-redis.ts';
import { familyOf, type System } from './system.ts';

const user: System = { family: 'debian', isRoot: false };
const root: System = { family: 'debian', isRoot: true };

/** A folder with a program that answers `--version` as a server of this version does. */
async function folderWith(name: string, version: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'sealpost-path-'));
  await fakeServer(join(folder, name), version);
  return folder;
}

async function fakeServer(path: string, version: string): Promise<void> {
  await writeFile(path, `#!/bin/sh\necho "Redis server v=${version} sha=00000000:0 malloc=libc bits=64"\n`);
  await chmod(path, 0o755);
}

describe('finding a Redis', () => {
  it('takes redis-server or valkey-server from the path, the first folder first', async () => {
    const valkey = await folderWith('valkey-server', '8.1.0');
    const redis = await folderWith('redis-server', '7.0.15');
    const found = await findRedisServer({ path: [valkey, redis].join(delimiter), system: user });
    expect(found).toEqual({ path: join(valkey, 'valkey-server'), version: '8.1.0' });
  });

  it('passes over one that is too old, and one that cannot be run', async () => {
    const old = await folderWith('redis-server', '6.0.16');
    await mkdir(join(old, 'valkey-server'));
    const good = await folderWith('redis-server', '6.2.0');
    const found = await findRedisServer({ path: [old, good].join(delimiter), system: user });
    expect(found.version).toBe('6.2.0');
  });

  it('tells a user without rights every way out, and why what is there will not do', async () => {
    const old = await folderWith('redis-server', '6.0.16');
    const message = await findRedisServer({ path: old, system: user }).catch((error: Error) => error.message);
    expect(message).toContain('version 6.0.16, too old');
    expect(message).toContain('sudo apt-get install redis-server');
    expect(message).toContain('docker run');
    expect(message).toContain('npx redis-memory-server');
    expect(message).toContain('REDIS_URL=redis://');
  });

  it.runIf(process.platform === 'linux')(
    'installs it where that needs no questions, and says so',
    async () => {
      const folder = await mkdtemp(join(tmpdir(), 'sealpost-path-'));
      const said: string[] = [];
      const install = async (say: (line: string) => void) => {
        say('installing');
        await fakeServer(join(folder, 'redis-server'), '7.0.15');
        return undefined;
      };
      const { family } = { family: familyOf('ID=debian') };
      const options = {
        path: folder,
        system: { ...root, family },
        say: (line: string) => said.push(line),
        install,
      };
      expect((await findRedisServer(options)).path).toBe(join(folder, 'redis-server'));
      expect(said).toEqual(['installing']);
    },
  );

  it('tells why the installation failed, with the ways out', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'sealpost-path-'));
    const install = async () => 'apt-get failed: no network';
    const attempt = findRedisServer({ path: folder, system: root, install });
    await expect(attempt).rejects.toThrow(/no network[\s\S]*Any one of these/);
  });
});

describe('the ways out', () => {
  it.each([
    ['macos', 'brew install redis'],
    ['fedora', 'sudo dnf install valkey'],
    ['alpine', 'sudo apk add redis'],
    ['arch', 'sudo pacman -S valkey'],
    ['windows', 'WSL'],
  ] as const)('on %s name %s', (family, way) => {
    expect(waysOut({ family, isRoot: false }, [])).toContain(way);
  });
});

describe('the distribution’s family', () => {
  it.each([
    ['ID=debian\nVERSION_ID="12"\n', 'debian'],
    ['NAME="Linux Mint"\nID=linuxmint\nID_LIKE="ubuntu debian"\n', 'debian'],
    ['ID="rocky"\nID_LIKE="rhel centos fedora"\n', 'fedora'],
    ['ID=alpine\n', 'alpine'],
    ['ID=nixos\n', 'other'],
    ['', 'other'],
  ])('of %j is %s', (text, family) => {
    expect(familyOf(text)).toBe(family);
  });
});
