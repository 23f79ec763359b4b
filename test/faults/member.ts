import { readFile, writeFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { describeExit, type Exit } from '@sealpost/scripts/managed-process';
import { type AppProcess, type Env, spawnApp, untilEnded } from '../harness/processes.ts';
import { TcpProxy } from './tcp-proxy.ts';

export type Kind = 'API' | 'worker';

/** A drain must have ended within this, ms. */
const DRAIN_MS = 25_000;
const LOOK_MS = 100;

/** One API or worker of the fleet: a place in which one process runs after the other, behind a proxy of its own. */
export class Member {
  readonly name: string;
  readonly kind: Kind;
  readonly proxy: TcpProxy;
  /** Every process that ever ran here, the last one now. */
  readonly processes: AppProcess[] = [];
  /** A fault has it now. */
  busy = false;
  /** What should not have happened. */
  readonly complaints: string[] = [];
  mostRss = 0;
  readonly #env: Env;
  readonly #clockFile: string;
  #expectEnd = false;
  #stopped = false;

  private constructor(name: string, kind: Kind, proxy: TcpProxy, env: Env, clockFile: string) {
    this.name = name;
    this.kind = kind;
    this.proxy = proxy;
    this.#env = env;
    this.#clockFile = clockFile;
  }

  /** @param env of all its processes; its Redis is behind the proxy to `redisPort` */
  static async join(
    name: string,
    kind: Kind,
    redisPort: number,
    env: Env,
    clockFile: string,
  ): Promise<Member> {
    const proxy = await TcpProxy.listen(redisPort);
    const shiftClock = new URL('./shift-clock.ts', import.meta.url).href;
    const all = {
      ...env,
      REDIS_URL: proxy.url,
      FAULTS_CLOCK_FILE: clockFile,
      NODE_OPTIONS: `--import=${shiftClock}`,
    };
    return new Member(name, kind, proxy, all, clockFile);
  }

  get process(): AppProcess {
    return this.processes.at(-1)!;
  }

  get url(): string {
    return this.process.url;
  }

  get runs(): boolean {
    return this.processes.length > 0 && this.process.process.exit === undefined;
  }

  /**
   * Starts it, again and again while Redis is away as an orchestrator would, until it is ready.
   * @param mortal it may end by itself, and is then not started again
   */
  async start(env: Env = {}, mortal = false): Promise<void> {
    await writeFile(this.#clockFile, '0');
    for (;;) {
      if (this.#stopped) return;
      const app = await spawnApp(this.kind, { ...this.#env, ...this.#portEnv(), ...env });
      this.processes.push(app);
      this.#expectEnd = mortal;
      const exited = untilEnded(app);
      let wasReady = false;
      void exited.then((exit) => {
        if (wasReady && app === this.process && !this.#expectEnd) this.#complain(app, exit);
      });
      while (app.process.exit === undefined && !wasReady) {
        wasReady = await this.isReady();
        if (!wasReady) await delay(LOOK_MS);
      }
      if (wasReady || mortal) return;
      await delay(500);
    }
  }

  async isReady(): Promise<boolean> {
    try {
      return (await fetch(`${this.url}/readyz`, { signal: AbortSignal.timeout(2000) })).ok;
    } catch {
      return false;
    }
  }

  async kill(): Promise<void> {
    this.#expectEnd = true;
    await this.process.kill();
  }

  /** SIGTERM. It has to be gone in time, and say that all is well. */
  async drain(): Promise<void> {
    this.#expectEnd = true;
    const app = this.process;
    const began = Date.now();
    const exit = await app.stop();
    const took = Date.now() - began;
    if (exit.code !== 0 || took > DRAIN_MS + 10_000) {
      this.complaints.push(`${this.name} ${describeExit(exit)} ${took} ms after SIGTERM`);
    }
  }

  /** Runs with a fault point until it dies there, `withinMs` at most; false: it did not get there, and was killed. */
  async dieAt(point: string, withinMs: number): Promise<boolean> {
    await this.start({ SEALPOST_FAULT_POINT: point }, true);
    const exit = await Promise.race([this.process.process.exited, delay(withinMs)]);
    if (!exit) await this.kill();
    return exit?.signal === 'SIGKILL';
  }

  freeze(): void {
    this.process.freeze();
  }

  thaw(): void {
    this.process.thaw();
  }

  /** Its clock is off by so much from now on, ms. */
  async shiftClock(ms: number): Promise<void> {
    await writeFile(this.#clockFile, String(ms));
    if (this.runs && this.process.pid) process.kill(this.process.pid, 'SIGUSR2');
  }

  async sample(): Promise<void> {
    if (!this.runs) return;
    const status = await readFile(`/proc/${this.process.pid}/status`, 'utf8').catch(() => '');
    this.mostRss = Math.max(this.mostRss, Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) * 1024);
  }

  /** Ends it at once, and for good. */
  async stop(): Promise<void> {
    this.#stopped = true;
    if (this.runs) {
      this.#expectEnd = true;
      this.thaw();
      await this.process.kill();
    }
  }

  #portEnv(): Env {
    // An API keeps its port over restarts, so that a producer need not be told.
    return this.kind === 'API' && this.processes.length > 0 ? { PORT: new URL(this.url).port } : {};
  }

  #complain(app: AppProcess, exit: Exit): void {
    const last = app.process.lastLines(10).join('\n');
    this.complaints.push(`${this.name} ${describeExit(exit)} unexpectedly. Its last lines:\n${last}`);
  }
}
