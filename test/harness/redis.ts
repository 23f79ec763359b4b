import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findRedisServer, type RedisServer } from '@sealpost/scripts/find-redis';
import { anyFreePort } from '@sealpost/scripts/ports';
import { type RunningRedis, runRedis } from '@sealpost/scripts/run-redis';
import { Redis } from 'ioredis';
import { stopAfterAll } from './cleanup.ts';
import { watchProcess } from './processes.ts';

export type TestRedisOptions = {
  /** As Redis writes it: `64mb`. */
  maxmemory?: string;
  /** Default true, as in production. */
  appendonly?: boolean;
  /** Default `everysec`. */
  appendfsync?: 'everysec' | 'always';
  /** An existing folder for the data, which the caller removes; default one of its own. */
  dir?: string;
};

/** A Redis of the test's own, with its data in a temporary folder that goes with it. */
export class TestRedis {
  readonly url: string;
  readonly port: number;
  /** For looking and tampering; reconnects when the server was restarted. */
  readonly client: Redis;
  readonly #start: (port?: number) => Promise<RunningRedis>;
  readonly #remove: () => Promise<void>;
  #running: RunningRedis;

  constructor(
    running: RunningRedis,
    start: (port?: number) => Promise<RunningRedis>,
    remove: () => Promise<void>,
  ) {
    this.url = running.url;
    this.port = running.port;
    this.#running = running;
    this.#start = start;
    this.#remove = remove;
    this.client = new Redis(running.url, { maxRetriesPerRequest: null, retryStrategy: () => 50 });
    this.client.on('error', () => {}); // a test may well stop the server under it
  }

  get pid(): number | undefined {
    return this.#running.process.pid;
  }

  /** Whether its process runs, frozen or not. */
  get runs(): boolean {
    return this.#running.process.exit === undefined;
  }

  /** Resolves when the process that runs now has ended. */
  get ended(): Promise<unknown> {
    return this.#running.process.exited;
  }

  /** Ends the server as a crash would; the data stays, for `restart`. */
  async kill(): Promise<void> {
    await this.#running.process.kill('SIGKILL');
  }

  /** Ends it in order; the data stays, for `restart`. */
  async shutdown(): Promise<void> {
    await this.#running.process.stop(10_000);
  }

  /** Starts it again on the same port and data. */
  async restart(): Promise<void> {
    this.#running = await this.#start(this.port);
  }

  /** The server answers nobody, as when its machine hangs, until `thaw`. */
  freeze(): void {
    void this.#running.process.kill('SIGSTOP');
  }

  thaw(): void {
    void this.#running.process.kill('SIGCONT');
  }

  async stop(): Promise<void> {
    this.client.disconnect();
    this.thaw();
    await this.#running.process.stop(10_000);
    await this.#remove();
  }
}

/** A replica is in step at once: Redis waits for five seconds for others that may want the same snapshot. */
const SETTINGS = { 'repl-diskless-sync-delay': '0' };

let found: Promise<RedisServer> | undefined;

/**
 * Starts a Redis on a free port of 127.0.0.1. The server is found, or installed, as `npm start` does it. REDIS_URL
 * is not looked at: tests fill, freeze and kill their server.
 */
export async function startRedis(options: TestRedisOptions = {}): Promise<TestRedis> {
  found ??= findRedisServer({ say: (line) => console.error(line) });
  const server = await found;
  const dir = options.dir ?? (await mkdtemp(join(tmpdir(), 'sealpost-redis-')));
  const start = async (port?: number) => {
    const choosePort = async () => port ?? (await anyFreePort());
    const running = await runRedis({ ...options, server, dir, choosePort, settings: SETTINGS });
    watchProcess(running.process);
    return running;
  };
  const remove = async () => {
    if (options.dir === undefined) await rm(dir, { recursive: true, force: true });
  };
  const redis = new TestRedis(await start(), start, remove);
  stopAfterAll(() => redis.stop(), 'last');
  return redis;
}
