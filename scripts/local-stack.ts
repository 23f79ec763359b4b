import { join, relative } from 'node:path';
import { PortChooser } from './choose-ports.ts';
import { findRedisServer } from './find-redis.ts';
import { LauncherError } from './launcher-error.ts';
import { apiKeyIn, makePrivateFolder, masterKeyIn, rotateLog } from './local-files.ts';
import { type Lock, LockHeldError, takeLock } from './lock.ts';
import type { LogView } from './log-view.ts';
import { describeExit, ManagedProcess } from './managed-process.ts';
import { runRedis } from './run-redis.ts';
import { untilReady } from './until-ready.ts';

const ROOT = join(import.meta.dirname, '..');
/** The drain's 25 s, and a little for the exit itself. */
const DRAIN_MS = 28_000;
const NO_REDIS_MS = 3000;
const READY_MS = 60_000;

export type LocalStackOptions = {
  /** The person's settings: each of them wins over what is chosen here. */
  env: NodeJS.ProcessEnv;
  /** Keys, logs, the lock, and Redis' data. */
  dataDir: string;
  say: (line: string) => void;
  log: LogView;
};

/**
 * Redis, the API and one worker on this machine, started in this order and stopped in the other.
 *
 * Failure policy: when any of them ends unasked, `died` resolves with it; the caller says so and stops the rest.
 */
export class LocalStack {
  readonly died: Promise<ManagedProcess>;
  readonly ports: PortChooser;
  apiUrl = '';
  apiKey = '';
  readonly #options: LocalStackOptions;
  readonly #processes: ManagedProcess[] = [];
  readonly #abort = new AbortController();
  #lock: Lock | undefined;
  #tellDied: (process: ManagedProcess) => void = () => {};
  #stopped: Promise<void> | undefined;

  constructor(options: LocalStackOptions) {
    this.#options = options;
    this.ports = new PortChooser(options.env);
    this.died = new Promise((resolve) => {
      this.#tellDied = resolve;
    });
  }

  /** Whether there is, or was, a process to stop. */
  get hasStarted(): boolean {
    return this.#processes.length > 0;
  }

  /** Resolves when API and worker are ready. Throws a LauncherError, or the abort's reason when stopped meanwhile. */
  async start(): Promise<void> {
    const { env, dataDir } = this.#options;
    await makePrivateFolder(dataDir);
    this.#lock = await this.#takeLock();
    const host = env.HOST || '127.0.0.1';
    const port = await this.ports.fromSetting('PORT', 8080, host);
    const healthPort = await this.ports.fromSetting('HEALTH_PORT', 8081, host);
    const apiKeys = env.SEALPOST_API_KEYS || (await apiKeyIn(dataDir));
    this.apiKey = apiKeys.split(',')[0]?.trim() ?? '';
    this.apiUrl = baseUrl(host, port);
    const shared = { ...(await this.#settings()), HOST: host };
    this.#options.say('Starting API and worker.');
    const api = await this.#spawn('API', 'apps/api/src/main.ts', {
      ...shared,
      PORT: String(port),
      SEALPOST_API_KEYS: apiKeys,
    });
    const worker = await this.#spawn('worker', 'apps/worker/src/main.ts', {
      ...shared,
      HEALTH_PORT: String(healthPort),
    });
    const options = { timeoutMs: READY_MS, signal: this.#abort.signal };
    await Promise.all([
      untilReady(api, this.apiUrl, options),
      untilReady(worker, baseUrl(host, healthPort), options),
    ]);
  }

  /** Lets API and worker drain, then ends Redis. Safe to call at any time, also while starting. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  /** Ends everything at once; what is in flight is delivered again after the next start. */
  kill(): void {
    for (const process of this.#processes) void process.kill('SIGKILL');
  }

  async #stop(): Promise<void> {
    this.#abort.abort(new LauncherError('Stopped while starting.'));
    const [redis, apps] = partition(this.#processes, ({ name }) => name === 'Redis');
    const running = apps.filter(({ exit }) => exit === undefined);
    // Without Redis nothing in flight can be recorded, so there is nothing to wait for.
    const graceMs = redis.some(({ exit }) => exit) ? NO_REDIS_MS : DRAIN_MS;
    await Promise.all(running.map((app) => this.#drain(app, graceMs)));
    await Promise.all(redis.map((process) => process.stop(10_000)));
    this.#lock?.release();
  }

  async #drain(app: ManagedProcess, graceMs: number): Promise<void> {
    const exit = await app.stop(graceMs);
    // One that was asked to stop before it had a handler for SIGTERM ends by the signal itself.
    if (exit.code !== 0 && exit.signal !== 'SIGTERM') {
      this.#options.say(`The ${app.name} did not drain: it ${describeExit(exit)}.`);
    }
  }

  async #takeLock(): Promise<Lock> {
    const { dataDir } = this.#options;
    try {
      return await takeLock(join(dataDir, 'start.lock'));
    } catch (error) {
      if (!(error instanceof LockHeldError)) throw error;
      throw new LauncherError(
        `Sealpost already runs on this data (${nameOf(dataDir)}, process ${error.pid}). Stop that one first.`,
      );
    }
  }

  async #settings(): Promise<NodeJS.ProcessEnv> {
    const { env, dataDir } = this.#options;
    return {
      NODE_ENV: 'production',
      UV_THREADPOOL_SIZE: '64',
      SEALPOST_ALLOW_SUBNETS: '127.0.0.0/8,::1/128',
      ...env,
      SEALPOST_MASTER_KEY: env.SEALPOST_MASTER_KEY || (await masterKeyIn(dataDir)),
      REDIS_URL: env.REDIS_URL || (await this.#startRedis()),
    };
  }

  async #startRedis(): Promise<string> {
    const { dataDir, say } = this.#options;
    const server = await findRedisServer({ say });
    this.#abort.signal.throwIfAborted();
    const dir = join(dataDir, 'redis');
    await makePrivateFolder(dir);
    say(`Starting Redis ${server.version} (${server.path}), data in ${nameOf(dir)}.`);
    const logFile = join(dataDir, 'redis.log');
    await rotateLog(logFile);
    const redis = await runRedis({
      server,
      dir,
      choosePort: () => this.ports.free(6390),
      logFile,
      say,
      signal: this.#abort.signal,
    });
    this.#watch(redis.process);
    return redis.url;
  }

  async #spawn(name: string, main: string, env: NodeJS.ProcessEnv): Promise<ManagedProcess> {
    const logFile = join(this.#options.dataDir, `${name.toLowerCase()}.log`);
    await rotateLog(logFile);
    this.#abort.signal.throwIfAborted();
    const child = new ManagedProcess({
      name,
      command: process.execPath,
      args: [join(ROOT, main)],
      cwd: ROOT,
      env,
      logFile,
      onLine: (line) => this.#options.log.line(name, line),
    });
    this.#watch(child);
    return child;
  }

  #watch(child: ManagedProcess): void {
    this.#processes.push(child);
    void child.exited.then(() => {
      if (!child.stopping) this.#tellDied(child);
    });
  }
}

/** Where a server that listens on this host is reached from this machine. */
export function baseUrl(host: string, port: number | string): string {
  const reached = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
  return `http://${reached.includes(':') ? `[${reached}]` : reached}:${port}`;
}

/** A path as seen from where the command was given. */
export function nameOf(path: string): string {
  return relative(process.cwd(), path) || '.';
}

function partition<T>(items: T[], test: (item: T) => boolean): [T[], T[]] {
  return [items.filter(test), items.filter((item) => !test(item))];
}
