import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream, type WriteStream } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { watchOver } from './reaper.ts';

export type Exit = { code: number | null; signal: NodeJS.Signals | null };
export type ProcessOptions = {
  /** How people call it: `API`, `worker`, `Redis`. */
  name: string;
  command: string;
  args: string[];
  env?: NodeJS.ProcessEnv;
  cwd?: string;
  /** Everything it prints goes here as well. */
  logFile?: string;
  onLine?: (line: string) => void;
};

const KEPT_LINES = 200;

/**
 * A child process in a process group of its own, so that Ctrl-C reaches only the launcher, which then stops its
 * children in the right order. It keeps the last lines of output, and never outlives this process for long.
 */
export class ManagedProcess {
  readonly name: string;
  /** Resolves once it has ended and its output was read; never rejects. */
  readonly exited: Promise<Exit>;
  exit: Exit | undefined;
  /** True from the first call of stop or kill: its end is expected. */
  stopping = false;
  readonly #child: ChildProcess;
  readonly #lines: string[] = [];
  readonly #log: WriteStream | undefined;
  #stopped: Promise<Exit> | undefined;

  constructor(options: ProcessOptions) {
    this.name = options.name;
    if (options.logFile) this.#log = createWriteStream(options.logFile, { mode: 0o600 });
    this.#child = spawn(options.command, options.args, {
      cwd: options.cwd,
      env: options.env ?? process.env,
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    const unwatch = this.#child.pid === undefined ? () => {} : watchOver(this.#child.pid);
    this.#read(this.#child.stdout, options.onLine);
    this.#read(this.#child.stderr, options.onLine);
    this.exited = this.#ended().then((exit) => {
      unwatch();
      this.exit = exit;
      this.#log?.end();
      return exit;
    });
  }

  /** Undefined when it could not even be started. */
  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** The last lines of its output, oldest first. */
  lastLines(count = 20): string[] {
    return this.#lines.slice(-count);
  }

  /** SIGTERM, and SIGKILL for what still runs after `graceMs`. Calls after the first share its result. */
  stop(graceMs: number): Promise<Exit> {
    this.#stopped ??= this.#stop(graceMs);
    return this.#stopped;
  }

  /** Sends a signal; it is expected to end then, unless the signal is one that does not end it. */
  kill(signal: NodeJS.Signals): Promise<Exit> {
    if (signal !== 'SIGSTOP' && signal !== 'SIGCONT') this.stopping = true;
    this.#child.kill(signal);
    return this.exited;
  }

  async #stop(graceMs: number): Promise<Exit> {
    this.stopping = true;
    if (this.exit) return this.exit;
    this.#child.kill('SIGTERM');
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), graceMs);
    const exit = await this.exited;
    clearTimeout(timer);
    return exit;
  }

  #read(from: Readable | null, onLine?: ProcessOptions['onLine']): void {
    if (!from) return;
    createInterface({ input: from, crlfDelay: Number.POSITIVE_INFINITY }).on('line', (line) => {
      this.#log?.write(`${line}\n`);
      this.#lines.push(line);
      if (this.#lines.length > KEPT_LINES) this.#lines.shift();
      onLine?.(line);
    });
  }

  #ended(): Promise<Exit> {
    return new Promise((resolve) => {
      this.#child.once('error', (error) => {
        this.#lines.push(error.message);
        if (this.#child.pid === undefined) resolve({ code: 127, signal: null });
      });
      this.#child.once('close', (code, signal) => resolve({ code, signal }));
      // `close` waits for the pipes, which a grandchild may hold open for ever.
      this.#child.once('exit', (code, signal) => setTimeout(() => resolve({ code, signal }), 1000).unref());
    });
  }
}

/** `exited with code 1` or `was ended by SIGKILL`. */
export function describeExit({ code, signal }: Exit): string {
  return signal ? `was ended by ${signal}` : `exited with code ${code}`;
}
