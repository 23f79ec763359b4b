import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findRedisServer } from '@sealpost/scripts/find-redis';
import { ManagedProcess } from '@sealpost/scripts/managed-process';
import { anyFreePort } from '@sealpost/scripts/ports';
import { runRedis } from '@sealpost/scripts/run-redis';
import { untilReady } from '@sealpost/scripts/until-ready';
import { Redis } from 'ioredis';
import { atExit, endAtExit, failWith, logsOf } from './children.ts';
import { Client } from './client.ts';
import { now } from './clock.ts';
import { Receivers } from './receivers.ts';
import { say } from './report.ts';
import { machineSeconds } from './usage.ts';

export type StackOptions = {
  /** The Sealpost that is measured: a folder with `apps/` and `node_modules/`. */
  root: string;
  /** WORKER_CONCURRENCY of each worker. */
  slots?: number;
  workers?: number;
  /** Settings of all processes, over the benchmark's own. */
  env?: NodeJS.ProcessEnv;
  /** Gets every line that the API and the workers print. */
  onLine?: (line: string) => void;
  /** Default: receivers of its own. Those that are given are left to whoever gave them. */
  receivers?: Receivers;
};

/** A whole Sealpost of the benchmark's own, with receivers. All of it goes when the benchmark ends. */
export class Stack {
  readonly client: Client;
  readonly receivers: Receivers;
  /** For looking only. */
  readonly redis: Redis;
  readonly redisPid: number;
  readonly workers: ManagedProcess[] = [];
  readonly #options: StackOptions;
  readonly #env: NodeJS.ProcessEnv;
  readonly #processes: ManagedProcess[];
  readonly #dir: string;

  private constructor(
    options: StackOptions,
    env: NodeJS.ProcessEnv,
    redis: ManagedProcess,
    api: ManagedProcess,
    dir: string,
  ) {
    this.#options = options;
    this.#env = env;
    this.#processes = [redis, api];
    this.#dir = dir;
    this.receivers = options.receivers ?? new Receivers();
    this.redisPid = redis.pid!;
    this.client = new Client(`http://127.0.0.1:${env.PORT}`, env.SEALPOST_API_KEYS!);
    this.redis = new Redis(env.REDIS_URL!);
    for (const child of this.#processes) failWith(child);
  }

  static async start(options: StackOptions): Promise<Stack> {
    const server = await findRedisServer({ say });
    const dir = await mkdtemp(join(tmpdir(), 'sealpost-bench-'));
    atExit(() => rmSync(dir, { recursive: true, force: true }));
    const redis = await runRedis({ server, dir, choosePort: () => anyFreePort() });
    endAtExit(redis.process);
    // Nothing of the caller's own settings may leak into what is measured.
    const env = {
      PATH: process.env.PATH,
      NODE_ENV: 'production',
      UV_THREADPOOL_SIZE: '64',
      HOST: '127.0.0.1',
      PORT: String(await anyFreePort()),
      LOG_LEVEL: 'error',
      REDIS_URL: redis.url,
      SEALPOST_API_KEYS: `sk_${randomBytes(24).toString('base64url')}`,
      SEALPOST_MASTER_KEY: randomBytes(32).toString('base64'),
      SEALPOST_ALLOW_SUBNETS: '127.0.0.0/8,::1/128',
      ...options.env,
    };
    const api = await startApp(options, 'api', env, env.PORT);
    const stack = new Stack(options, env, redis.process, api, dir);
    for (let i = 0; i < (options.workers ?? 1); i += 1) await stack.addWorker();
    return stack;
  }

  /** For a process that is given the same Redis and keys. */
  get env(): NodeJS.ProcessEnv {
    return this.#env;
  }

  get apiPid(): number {
    return this.#processes[1]!.pid!;
  }

  async addWorker(): Promise<void> {
    const port = String(await anyFreePort());
    const env = { ...this.#env, HEALTH_PORT: port, WORKER_CONCURRENCY: String(this.#options.slots ?? 50) };
    const worker = await startApp(this.#options, 'worker', env, port);
    failWith(worker);
    this.workers.push(worker);
    this.#processes.push(worker);
  }

  /** API and workers end as they do when they are told to, in their own time. */
  async drain(): Promise<void> {
    const [, ...apps] = this.#processes;
    await Promise.all(apps.map((child) => child.stop(30_000)));
  }

  /** At once: what is under way is of no use to anyone. */
  async stop(): Promise<void> {
    this.client.close();
    this.redis.disconnect();
    if (!this.#options.receivers) this.receivers.stop();
    await Promise.all(this.#processes.toReversed().map((child) => child.kill('SIGKILL')));
    await rm(this.#dir, { recursive: true, force: true });
  }
}

/**
 * Runs with a stack of its own, and stops it whatever happens. Says what else the machine did meanwhile: figures that
 * were measured beside others' work mean little.
 */
export async function withStack<T>(options: StackOptions, run: (stack: Stack) => Promise<T>): Promise<T> {
  const stack = await Stack.start(options);
  const start = { at: now(), ...(await machineSeconds()) };
  try {
    const result = await run(stack);
    const end = await machineSeconds();
    const others = end.all - start.all - (end.ours - start.ours);
    const percent = (100 * Math.max(0, others)) / ((now() - start.at) / 1000);
    say(`Other processes of this machine took ${percent.toFixed(0)} % of a core meanwhile.`);
    return result;
  } finally {
    await stack.stop();
  }
}

async function startApp(
  { root, onLine }: StackOptions,
  app: 'api' | 'worker',
  env: NodeJS.ProcessEnv,
  port: string,
): Promise<ManagedProcess> {
  const child = new ManagedProcess({
    name: app,
    command: process.execPath,
    args: [join(root, 'apps', app, 'src/main.ts')],
    cwd: root,
    env,
    ...(onLine ? { onLine } : {}),
    ...logsOf(app),
  });
  endAtExit(child);
  await untilReady(child, `http://127.0.0.1:${port}`, { timeoutMs: 60_000 });
  return child;
}
