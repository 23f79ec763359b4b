import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { type Answer, BEGUN } from './child.ts';

/** What an evaluation may use, ms. */
export type Limits = {
  /** CPU time; where a process cannot know another's, as it passes for everybody. */
  runMs: number;
  /** However little of it it has been given: it is over by then, after it began. */
  mostMs: number;
};
const LIMITS: Limits = { runMs: 50, mostMs: 1000 };
/** What has some CPU time left is looked at again after as much, but no sooner than this, ms: Linux counts in ticks. */
const LEAST_LOOK_MS = 5;
/** And this long until it has begun: the time to start a process on a busy machine. */
const BEGIN_MS = 10_000;
const HEAP_MB = 64;
/** Characters that it may write in one line: a body of 256 KiB, each of its characters escaped. */
const MOST_WRITTEN = 2_000_000;

const CHILD = fileURLToPath(new URL('./child.ts', import.meta.url));
const ROOT = fileURLToPath(new URL('../../..', import.meta.url));

/** How Node is started for it. */
export const CHILD_ARGS = [
  `--max-old-space-size=${HEAP_MB}`,
  '--disable-proto=delete',
  '--disallow-code-generation-from-strings',
  '--permission',
  // Its code, and nothing of what else may lie beside it: data, keys, settings.
  `--allow-fs-read=${ROOT}packages/*`,
  `--allow-fs-read=${ROOT}node_modules/*`,
  `--allow-fs-read=${ROOT}package.json`,
];

/** `time`: it took longer than it may. `died`: out of memory, mostly. `unbegun`: no fault of the expression. */
export type Killed = { killed: 'time' | 'died' | 'unbegun' };

type Running = {
  resolve: (answer: Answer | Killed) => void;
  begunAt: number | undefined;
  /** CPU time that the child had used before, ms. */
  usedBefore: number;
  timer: NodeJS.Timeout;
};

/** CPU time that a process' first thread has used, ms. Undefined where the system does not tell. */
function cpuTimeOf(pid: number | undefined): number | undefined {
  try {
    const nanoseconds = Number(readFileSync(`/proc/${pid}/schedstat`, 'utf8').split(' ')[0]);
    return nanoseconds > 0 ? nanoseconds / 1e6 : undefined;
  } catch {
    return undefined; // another system than Linux, or it has just ended
  }
}

/** One process that evaluates one expression at a time; started when there is one, and again after it was killed. */
export class SandboxChild {
  readonly #code: string;
  readonly #limits: Limits;
  #process: ChildProcess | undefined;
  #running: Running | undefined;
  #output = '';
  #closed = false;
  #spentMs = 0;

  /** @param code what it runs */
  constructor(code: string = CHILD, limits: Partial<Limits> = {}) {
    this.#code = code;
    this.#limits = { ...LIMITS, ...limits };
  }

  /** ms that evaluations have taken in all, from their beginning to their end: for so long others had to wait. */
  get spentMs(): number {
    return this.#spentMs;
  }

  /** Process id, while there is one. */
  get pid(): number | undefined {
    return this.#process?.pid;
  }

  /** @param line a Request as JSON. To be called when the one before has been answered. Never rejects. */
  async run(line: string): Promise<Answer | Killed> {
    if (this.#closed) return { killed: 'unbegun' };
    let child: ChildProcess;
    try {
      child = this.#process ?? this.#start();
    } catch {
      // No more processes or files may be opened. Failure policy: as any that does not begin, it is tried again later.
      this.#end('unbegun');
      return { killed: 'unbegun' };
    }
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#end('unbegun'), BEGIN_MS);
      this.#running = { resolve, begunAt: undefined, usedBefore: 0, timer };
      this.#hold(child, true);
      child.stdin!.write(`${line}\n`);
    });
  }

  /** For good. */
  close(): void {
    this.#closed = true;
    this.#end('unbegun');
  }

  #start(): ChildProcess {
    const child = spawn(process.execPath, [...CHILD_ARGS, this.#code], {
      cwd: ROOT,
      env: {},
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    this.#process = child;
    this.#output = '';
    const gone = () => {
      if (child === this.#process) this.#end(this.#running?.begunAt !== undefined ? 'died' : 'unbegun');
    };
    // First: without a file to be had it has no pipes, so that the next line throws, and tells of an error all the same.
    child.on('exit', gone).on('error', gone);
    child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      if (child === this.#process) this.#read(text);
    });
    // What is written to one that has died: `exit` tells of it.
    child.stdin!.on('error', () => {});
    this.#hold(child, false);
    return child;
  }

  #read(text: string): void {
    this.#output += text;
    for (let end = this.#output.indexOf('\n'); end >= 0; end = this.#output.indexOf('\n')) {
      const line = this.#output.slice(0, end);
      this.#output = this.#output.slice(end + 1);
      if (line.startsWith(BEGUN)) this.#begin(Number(line.slice(BEGUN.length)) / 1000);
      else this.#answer(line);
    }
    if (this.#output.length > MOST_WRITTEN) this.#end('died');
  }

  /** Whoever has broken out of an expression may write anything. */
  #answer(line: string): void {
    let answer: unknown;
    try {
      answer = JSON.parse(line);
    } catch {
      // As any other line that is no answer.
    }
    if (typeof answer === 'object' && answer !== null) this.#settle(answer as Answer);
    else this.#end('died');
  }

  #begin(usedBefore: number): void {
    const running = this.#running;
    if (!running) return;
    if (running.begunAt !== undefined || !(usedBefore >= 0)) {
      this.#end('died');
      return;
    }
    running.begunAt = performance.now();
    running.usedBefore = usedBefore;
    clearTimeout(running.timer);
    this.#lookAfter(running, this.#limits.runMs);
  }

  #lookAfter(running: Running, ms: number): void {
    running.timer = setTimeout(() => {
      // When it was this process that was busy, the answer has come meanwhile and is read first.
      setImmediate(() => {
        if (running !== this.#running) return;
        const left = this.#leftOf(running);
        if (left <= 0) this.#end('time');
        else this.#lookAfter(running, Math.max(LEAST_LOOK_MS, left));
      });
    }, ms);
  }

  /** How long it may go on, ms: on a machine that others use, 50 ms may pass in which it is not given 5. */
  #leftOf({ begunAt, usedBefore }: Running): number {
    const used = cpuTimeOf(this.pid);
    if (used === undefined) return 0;
    const { runMs, mostMs } = this.#limits;
    return Math.min(runMs - (used - usedBefore), begunAt! + mostMs - performance.now());
  }

  #end(killed: Killed['killed']): void {
    const child = this.#process;
    this.#process = undefined;
    child?.kill('SIGKILL');
    this.#settle({ killed });
  }

  #settle(answer: Answer | Killed): void {
    const running = this.#running;
    if (!running) return;
    clearTimeout(running.timer);
    if (running.begunAt !== undefined) this.#spentMs += performance.now() - running.begunAt;
    this.#running = undefined;
    if (this.#process) this.#hold(this.#process, false);
    running.resolve(answer);
  }

  /** An idle one does not keep this process from ending. */
  #hold(child: ChildProcess, busy: boolean): void {
    // Pipes to a child are sockets, which the types do not tell.
    const held = [child, child.stdin as Socket | null, child.stdout as Socket | null];
    for (const part of held) {
      if (busy) part?.ref();
      else part?.unref();
    }
  }
}
