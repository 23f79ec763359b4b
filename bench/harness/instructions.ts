import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import type { Readable, Writable } from 'node:stream';

const EVENT = 'instructions:u';

/** Whether `perf` is there and may count. Containers and virtual machines often have no counters. */
export function canCountInstructions(): boolean {
  const { status, stderr } = spawnSync('perf', ['stat', '-x,', '-e', EVENT, 'true'], { encoding: 'utf8' });
  return status === 0 && /^\d+,/m.test(stderr);
}

/**
 * Counts the instructions that a process executes in user mode, in all its threads. They say less than CPU time (nothing of
 * the kernel, nothing of caches), yet are about the same however busy the machine is.
 */
export class InstructionCounter {
  readonly #perf: ChildProcess;
  #output = '';

  private constructor(pid: number) {
    // It begins disabled, and is told through a pipe when to count.
    const args = ['stat', '-x,', '-e', EVENT, '-p', String(pid), '-D', '-1', '--control', 'fd:3,4'];
    this.#perf = spawn('perf', args, { stdio: ['ignore', 'ignore', 'pipe', 'pipe', 'pipe'] });
    this.#perf.stderr!.on('data', (chunk: Buffer) => {
      this.#output += chunk;
    });
  }

  /** Resolves when it counts. */
  static async start(pid: number): Promise<InstructionCounter> {
    const counter = new InstructionCounter(pid);
    await counter.#tell('enable');
    return counter;
  }

  /** How many there were since the start. */
  async stop(): Promise<number> {
    await this.#tell('disable');
    this.#perf.kill('SIGINT'); // upon which it writes what it has counted
    await once(this.#perf, 'close');
    const count = /^(\d+|<not counted>),/m.exec(this.#output)?.[1];
    if (!count) throw new Error(`perf did not tell: ${this.#output}`);
    return count === '<not counted>' ? 0 : Number(count); // a process that never ran
  }

  async #tell(command: string): Promise<void> {
    const [control, acknowledged] = [this.#perf.stdio[3] as Writable, this.#perf.stdio[4] as Readable];
    const answer = once(acknowledged, 'data');
    const ended = once(this.#perf, 'exit').then(() => {
      throw new Error(`perf ended: ${this.#output}`);
    });
    control.write(`${command}\n`);
    await Promise.race([answer, ended]);
    ended.catch(() => {}); // its end is expected from now on
  }
}
