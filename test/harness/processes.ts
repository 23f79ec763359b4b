import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describeExit, type Exit, ManagedProcess } from '@sealpost/scripts/managed-process';
import { anyFreePort } from '@sealpost/scripts/ports';
import { describeDeath, untilReady } from '@sealpost/scripts/until-ready';
import { stopAfterAll } from './cleanup.ts';
import { PATIENCE_MS } from './patience.ts';

const ROOT = join(import.meta.dirname, '..', '..');
/** A drain takes at most 25 s; who is killed here has hung, or its machine starves. */
const STOP_MS = 40_000;

export type Env = Record<string, string | undefined>;
export type LogLine = Record<string, unknown> & { level: number; msg?: string };

/** An API or worker process under test. */
export class AppProcess {
  /** Of its HTTP server: the API itself, or the worker's health server. */
  readonly url: string;
  readonly process: ManagedProcess;
  readonly #lines: string[];

  constructor(url: string, process: ManagedProcess, lines: string[]) {
    this.url = url;
    this.process = process;
    this.#lines = lines;
  }

  get pid(): number | undefined {
    return this.process.pid;
  }

  /** What it has logged so far, the JSON lines parsed; what is no JSON is left out. */
  get logs(): LogLine[] {
    return this.#lines.filter((line) => line.startsWith('{')).map((line) => JSON.parse(line) as LogLine);
  }

  /** All that it printed. */
  get output(): string {
    return this.#lines.join('\n');
  }

  /** Asks it to drain and waits for its end; SIGKILL after 40 s. */
  stop(): Promise<Exit> {
    return this.process.stop(STOP_MS);
  }

  /** Ends it at once, as a crash would. */
  kill(): Promise<Exit> {
    return this.process.kill('SIGKILL');
  }

  /** It answers nobody and renews no lock until `thaw`. */
  freeze(): void {
    void this.process.kill('SIGSTOP');
  }

  thaw(): void {
    void this.process.kill('SIGCONT');
  }
}

/** Starts an API on a free port and waits until it is ready. `env` is all the Sealpost settings that it gets. */
export function startApi(env: Env): Promise<AppProcess> {
  return startReady('API', 'apps/api/src/main.ts', 'PORT', env);
}

/** Starts a worker, its health server on a free port, and waits until it is ready. */
export function startWorker(env: Env): Promise<AppProcess> {
  return startReady('worker', 'apps/worker/src/main.ts', 'HEALTH_PORT', env);
}

/** Starts an app without waiting: for settings that it must refuse, or a Redis that is not there. */
export async function spawnApp(app: 'API' | 'worker', env: Env): Promise<AppProcess> {
  return app === 'API'
    ? spawn('API', 'apps/api/src/main.ts', 'PORT', env)
    : spawn('worker', 'apps/worker/src/main.ts', 'HEALTH_PORT', env);
}

const expectedEnds = new WeakSet<ManagedProcess>();

async function startReady(name: string, main: string, portName: string, env: Env): Promise<AppProcess> {
  const app = await spawn(name, main, portName, env);
  try {
    await untilReady(app.process, app.url, { timeoutMs: PATIENCE_MS });
    return app;
  } catch (error) {
    expectedEnds.add(app.process); // told by this error, and not again at the end
    throw error;
  }
}

async function spawn(name: string, main: string, portName: string, env: Env): Promise<AppProcess> {
  const port = env[portName] ?? String(await anyFreePort());
  const lines: string[] = [];
  const child = new ManagedProcess({
    name,
    command: process.execPath,
    args: [join(ROOT, main)],
    cwd: ROOT,
    env: {
      ...withoutSettings(process.env),
      UV_THREADPOOL_SIZE: '64',
      HOST: '127.0.0.1',
      ...env,
      [portName]: port,
    },
    onLine: (line) => lines.push(line),
  });
  watchProcess(child);
  stopAfterAll(async () => {
    const { exit, stopping } = child;
    if (exit && !stopping && !expectedEnds.has(child)) {
      throw new Error(describeDeath(child));
    }
    await child.stop(STOP_MS);
  }, 'process');
  return new AppProcess(`http://127.0.0.1:${port}`, child, lines);
}

/** Waits for a process to end by itself, as at a fault point or on bad settings: here that is no failure. */
export function untilEnded(app: AppProcess): Promise<Exit> {
  expectedEnds.add(app.process);
  return app.process.exited;
}

const watched = new Set<ManagedProcess>();

/** Its last lines are shown when a wait fails. */
export function watchProcess(child: ManagedProcess): void {
  watched.add(child);
}

/** The last log lines of every process started by this test file. */
export function tailOfProcesses(count = 15): string {
  return [...watched]
    .map((child) => {
      const state = child.exit ? describeExit(child.exit) : `runs as process ${child.pid}`;
      return `--- ${child.name} (${state})\n${child.lastLines(count).join('\n')}`;
    })
    .join('\n');
}

/** An environment without Sealpost’s settings: the developer’s own must not leak into a test. */
export function withoutSettings(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const ours =
    /^(SEALPOST_|REDIS_URL$|OTEL_|PORT$|HOST$|HEALTH_PORT$|LOG_LEVEL$|WORKER_|API_PROCESSES$|HTTP_CLIENT$)/;
  return Object.fromEntries(Object.entries(env).filter(([name]) => !ours.test(name)));
}

/** Bytes of memory that a process holds. 0 where there is no /proc. */
export async function residentOf(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) * 1024;
}
