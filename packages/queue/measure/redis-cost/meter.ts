import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import type { RedisClient } from '../../src/connection.ts';

/** CPU time, µs, and instructions in the process and in the kernel for it (NaN where `perf` cannot count them). */
export type Spent = { cpu: number; user: number; kernel: number };

/** What steps cost a Redis server. */
export class Meter {
  readonly spent = new Map<string, Spent>();
  readonly #client: RedisClient;
  readonly #pid: string;

  private constructor(client: RedisClient, pid: string) {
    this.#client = client;
    this.#pid = pid;
  }

  static async of(client: RedisClient): Promise<Meter> {
    const pid = /process_id:(\d+)/.exec(await client.info('server'))?.[1] ?? '';
    return new Meter(client, pid);
  }

  /** Adds what `run` costs to the account of `step`. */
  readonly measure = async (step: string, run: () => Promise<void>): Promise<void> => {
    const counter = await Instructions.start(this.#pid);
    const before = await this.#cpu();
    await run();
    const cpu = (await this.#cpu()) - before;
    const { user, kernel } = (await counter?.stop()) ?? { user: Number.NaN, kernel: Number.NaN };
    const sum = this.spent.get(step) ?? { cpu: 0, user: 0, kernel: 0 };
    this.spent.set(step, { cpu: sum.cpu + cpu, user: sum.user + user, kernel: sum.kernel + kernel });
  };

  async #cpu(): Promise<number> {
    const info = await this.#client.info('cpu');
    const of = (name: string) => Number(new RegExp(`used_cpu_${name}:([\\d.]+)`).exec(info)?.[1]) * 1e6;
    return of('user') + of('sys');
  }
}

/** `perf stat` of a process, told when to count. */
class Instructions {
  readonly #perf: ChildProcess;
  readonly #control: Duplex;
  readonly #answers: Duplex;
  #said = '';

  private constructor(pid: string) {
    const events = 'instructions:u,instructions:k';
    const args = ['stat', '-x', ',', '-e', events, '-p', pid, '--delay=-1', '--control', 'fd:3,4'];
    this.#perf = spawn('perf', args, { stdio: ['ignore', 'ignore', 'pipe', 'pipe', 'pipe'] });
    [, , , this.#control, this.#answers] = this.#perf.stdio as unknown as Duplex[] as [
      ...[Duplex, Duplex, Duplex],
      Duplex,
      Duplex,
    ];
    for (const pipe of [this.#control, this.#answers]) pipe.on('error', () => {}); // there is no perf, or it has ended
    this.#perf.stderr!.on('data', (text) => {
      this.#said += text;
    });
  }

  /** Undefined: this machine has no `perf`. */
  static async start(pid: string): Promise<Instructions | undefined> {
    const counting = new Instructions(pid);
    const started = await Promise.race([
      counting.#tell('enable').then(() => true),
      once(counting.#perf, 'exit').then(() => false),
      once(counting.#perf, 'error').then(() => false),
    ]).catch(() => false);
    return started ? counting : undefined;
  }

  async stop(): Promise<{ user: number; kernel: number }> {
    await this.#tell('disable');
    this.#perf.kill('SIGINT');
    await once(this.#perf, 'close');
    const of = (event: string) =>
      Number(new RegExp(`^(\\d+),,instructions:${event}`, 'm').exec(this.#said)?.[1]);
    return { user: of('u'), kernel: of('k') };
  }

  async #tell(command: string): Promise<void> {
    this.#control.write(`${command}\n`);
    await once(this.#answers, 'data');
  }
}
