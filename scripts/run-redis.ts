import { readFile, realpath, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import type { RedisServer } from './find-redis.ts';
import { LauncherError } from './launcher-error.ts';
import { describeExit, ManagedProcess } from './managed-process.ts';
import { identifyProcess, isAlive, type ProcessIdentity } from './process-identity.ts';

export type RunRedisOptions = {
  server: RedisServer;
  /** An existing folder for the data; only one Redis may use it at a time. */
  dir: string;
  /** Asked again when another process takes the port before Redis does. */
  choosePort: () => Promise<number>;
  /** Default true. */
  appendonly?: boolean;
  /** Default `everysec`. */
  appendfsync?: 'everysec' | 'always';
  /** As Redis writes it, `64mb`; default none. */
  maxmemory?: string;
  /** Further settings, as redis.conf names them. */
  settings?: Record<string, string>;
  logFile?: string;
  say?: (line: string) => void;
  /** Stops waiting for it. */
  signal?: AbortSignal;
};
export type RunningRedis = { url: string; port: number; process: ManagedProcess };

/**
 * Starts a Redis of our own on 127.0.0.1 and waits until it answers, however long it loads its data.
 * Throws a LauncherError with its last lines when it ends instead, or the reason of `signal`.
 */
export async function runRedis(options: RunRedisOptions): Promise<RunningRedis> {
  const pidFile = join(options.dir, 'running.json');
  await endLeftover(pidFile, options.say);
  for (let triesLeft = 3; ; triesLeft -= 1) {
    const port = await options.choosePort();
    const redis = await launch(options, port, pidFile);
    if (await becameReady(redis, port, options)) {
      return { url: `redis://127.0.0.1:${port}`, port, process: redis };
    }
    const lines = redis.lastLines(10).join('\n');
    if (triesLeft > 1 && /address already in use/i.test(lines)) continue;
    const exit = describeExit(redis.exit ?? { code: null, signal: null });
    throw new LauncherError(`Redis ${exit}. Its last lines:\n\n${lines}`);
  }
}

async function launch(options: RunRedisOptions, port: number, pidFile: string): Promise<ManagedProcess> {
  const redis = new ManagedProcess({
    name: 'Redis',
    command: options.server.path,
    args: redisArguments(options, port),
    cwd: options.dir,
    ...(options.logFile ? { logFile: options.logFile } : {}),
  });
  const identity = redis.pid === undefined ? undefined : await identifyProcess(redis.pid);
  if (identity) await writeFile(pidFile, JSON.stringify(identity));
  return redis;
}

function redisArguments(options: RunRedisOptions, port: number): string[] {
  const { dir, appendonly = true, appendfsync = 'everysec', maxmemory } = options;
  const settings: Record<string, string> = {
    port: String(port),
    bind: '127.0.0.1',
    dir,
    daemonize: 'no',
    save: '', // the append-only file is the record; snapshots would only double the disk and the forks
    appendonly: appendonly ? 'yes' : 'no',
    appendfsync,
    'maxmemory-policy': 'noeviction',
    // Deleting a large backlog must not hold up everyone else's commands.
    'lazyfree-lazy-expire': 'yes',
    'lazyfree-lazy-server-del': 'yes',
    'lazyfree-lazy-user-del': 'yes',
    'lazyfree-lazy-user-flush': 'yes',
    ...(maxmemory ? { maxmemory } : {}),
    ...options.settings,
  };
  return Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]);
}

/** False when it ended before it was ready. */
async function becameReady(redis: ManagedProcess, port: number, options: RunRedisOptions): Promise<boolean> {
  const { say, signal } = options;
  const dir = await realpath(options.dir);
  const sayAfter = Date.now() + 3000;
  const ended = redis.exited.then(() => false);
  for (let told = false; !(await Promise.race([answers(port, dir), ended])); await delay(25)) {
    if (redis.exit) return false;
    if (signal?.aborted) {
      await redis.stop(10_000);
      signal.throwIfAborted();
    }
    if (!told && Date.now() > sayAfter) {
      say?.('Redis is loading its data.');
      told = true;
    }
  }
  return true;
}

/** Whether a Redis answers on this port and is ours: another one, on the port first, would answer PING as well. */
async function answers(port: number, dir: string): Promise<boolean> {
  const client = new Redis({
    host: '127.0.0.1',
    port,
    lazyConnect: true,
    retryStrategy: () => null,
    commandTimeout: 2000, // whoever took the port may be silent
  });
  client.on('error', () => {}); // refused until it listens: that is the answer, not an error
  try {
    await client.connect();
    return (await client.ping()) === 'PONG' && (await client.config('GET', 'dir')).at(1) === dir;
  } catch {
    return false;
  } finally {
    client.disconnect();
  }
}

/** A Redis whose launcher was killed may still be writing its data: two on one folder would destroy it. */
async function endLeftover(pidFile: string, say?: (line: string) => void): Promise<void> {
  const text = await readFile(pidFile, 'utf8').catch(() => undefined);
  if (text === undefined) return;
  let leftover: ProcessIdentity;
  try {
    leftover = JSON.parse(text) as ProcessIdentity;
  } catch {
    return; // cut short by a crash before it meant anything
  }
  if (!(await isAlive(leftover))) return;
  say?.(`Ending a Redis (process ${leftover.pid}) that an earlier start has left behind.`);
  process.kill(leftover.pid, 'SIGTERM');
  const deadline = Date.now() + 30_000;
  while (await isAlive(leftover)) {
    if (Date.now() > deadline) {
      throw new LauncherError(`A Redis still uses this data: stop process ${leftover.pid} first.`);
    }
    await delay(50);
  }
}
