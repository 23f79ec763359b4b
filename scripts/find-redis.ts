import { delimiter, join } from 'node:path';
import { canInstall, installRedis } from './install-redis.ts';
import { LauncherError, runMain } from './launcher-error.ts';
import { isNewEnough, OLDEST_REDIS, versionOf } from './redis-version.ts';
import { type Family, type System, thisSystem } from './system.ts';

/** A server binary that can be run, with its version such as `7.0.15`. */
export type RedisServer = { path: string; version: string };
export type FindOptions = {
  /** Folders to search, in the form of PATH. */
  path?: string;
  system?: System;
  say?: (line: string) => void;
  /** Tells why it could not be installed, or undefined when it was. */
  install?: typeof installRedis;
};

const NAMES = ['redis-server', 'valkey-server'];
/** A PATH that a service manager or a cron job gave us may lack the folders that packages install to. */
const USUAL_FOLDERS = ['/usr/bin', '/usr/sbin', '/usr/local/bin', '/opt/homebrew/bin'];

/**
 * Finds a Redis or Valkey server to run, in this order: on the PATH, in the usual folders, installed from the
 * distribution's packages where that needs no questions. Throws a LauncherError with the ways out.
 */
export async function findRedisServer(options: FindOptions = {}): Promise<RedisServer> {
  const system = options.system ?? thisSystem();
  const say = options.say ?? (() => {});
  const path = options.path ?? [process.env.PATH ?? '', ...USUAL_FOLDERS].join(delimiter);
  let found = await search(path);
  if (found.server) return found.server;
  let problem: string | undefined;
  if (await canInstall(system)) {
    const install = options.install ?? installRedis;
    problem = await install(say, async () => (await search(path)).server !== undefined);
    found = await search(path);
    if (found.server) return found.server;
  }
  throw new LauncherError(waysOut(system, [...found.tooOld, ...(problem ? [problem] : [])]));
}

async function search(path: string): Promise<{ server?: RedisServer; tooOld: string[] }> {
  const tooOld = new Set<string>();
  for (const folder of new Set(path.split(delimiter).filter(Boolean))) {
    for (const name of NAMES) {
      const candidate = join(folder, name);
      const version = await versionOf(candidate);
      if (version && isNewEnough(version)) return { server: { path: candidate, version }, tooOld: [] };
      if (version) tooOld.add(`${candidate} is version ${version}, too old`);
    }
  }
  return { tooOld: [...tooOld] };
}

const PACKAGE_COMMANDS: Record<Family, string | undefined> = {
  debian: 'apt-get install redis-server',
  fedora: 'dnf install valkey',
  alpine: 'apk add redis',
  arch: 'pacman -S valkey',
  macos: 'brew install redis',
  windows: undefined,
  other: undefined,
};

/** The one message for a machine without Redis: what is needed, and every way to get it on this system. */
export function waysOut(system: System, problems: string[]): string {
  const command = PACKAGE_COMMANDS[system.family];
  const sudo = system.isRoot || system.family === 'macos' ? '' : 'sudo ';
  const ways = [
    ...(command ? [`Install it, then run this command again:\n     ${sudo}${command}`] : []),
    ...(system.family === 'windows' ? ['Run Sealpost in WSL, where Redis can be installed.'] : []),
    'Run it in Docker:\n     docker run -d -p 127.0.0.1:6390:6379 redis --appendonly yes\n' +
      '     REDIS_URL=redis://127.0.0.1:6390 npm start',
    'Let npm build one (needs make and a C compiler; it forgets everything when it stops), in another terminal:\n' +
      '     REDISMS_PORT=6390 npx redis-memory-server\n     REDIS_URL=redis://127.0.0.1:6390 npm start',
    'Use one that runs elsewhere:\n     REDIS_URL=redis://HOST:6379 npm start',
  ];
  return [
    `Sealpost needs Redis ${OLDEST_REDIS} or newer, or Valkey, and found none.`,
    ...problems.map((problem) => `(${problem})`),
    'Any one of these will do:\n',
    ...ways.map((way, index) => `  ${index + 1}. ${way}`),
  ].join('\n');
}

if (import.meta.main) {
  await runMain(async () => {
    if (process.env.REDIS_URL) return console.log('REDIS_URL is set and is used.');
    const { path, version } = await findRedisServer({ say: (line) => console.error(line) });
    console.log(`${path} (${version})`);
  });
}
