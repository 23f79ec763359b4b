import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, expect, it, onTestFinished, vi } from 'vitest';
import type { Patience } from './supervisor.ts';

const APP = join(import.meta.dirname, '..', 'testing', 'app.ts');

/** testing/app.ts as real processes, and all that they say. */
class App {
  readonly parent: ChildProcess;
  readonly ended: Promise<unknown[]>;
  readonly lines: string[] = [];
  readonly #count: number;
  #heard: () => void = () => {};

  constructor(count: number, behaviour = 'works', patience: Partial<Patience> = {}, file = '') {
    this.#count = count;
    this.parent = spawn(process.execPath, [APP, String(count), behaviour, JSON.stringify(patience), file]);
    // Not 'close': that waits for whoever holds its output, which is what some tests are about.
    this.ended = once(this.parent, 'exit');
    for (const stream of [this.parent.stdout!, this.parent.stderr!])
      createInterface(stream).on('line', (line) => {
        this.lines.push(line);
        this.#heard();
      });
  }

  /** Every line that was logged with this message. */
  logged(message: string): { pid: number; process: number; child: number; why?: string }[] {
    return this.lines.flatMap((line) => {
      const parsed = line.startsWith('{') ? JSON.parse(line) : {};
      return parsed.msg === message ? [parsed] : [];
    });
  }

  /** Resolves as soon as `holds`, looked at with each line. */
  until(holds: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      this.#heard = () => holds() && resolve();
      this.#heard();
    });
  }

  untilLogged(message: string, times = 1): Promise<void> {
    return this.until(() => this.logged(message).length >= times);
  }

  /** Until the parent knows, and each was heard of: who is killed before takes a line with it that it has not written yet. */
  async untilAllReady(): Promise<void> {
    await this.untilLogged('all ready');
    await this.untilLogged('works', this.#count);
  }

  async ask(what: 'ready' | 'metrics'): Promise<string> {
    return (await this.askAtOnce(what, 1))[0]!;
  }

  /** Asks so often before anything is answered. */
  async askAtOnce(what: 'ready' | 'metrics', times: number): Promise<string[]> {
    const answers = () => this.lines.filter((line) => line.startsWith(`{"asked":"${what}"`));
    const before = answers().length;
    this.parent.stdin!.write(`${what}\n`.repeat(times));
    await this.until(() => answers().length === before + times);
    return answers()
      .slice(before)
      .map((line) => JSON.parse(line).answer);
  }

  get children(): number[] {
    return this.logged('process started').map(({ child }) => child);
  }
}

const apps: App[] = [];
function start(...args: ConstructorParameters<typeof App>): App {
  const app = new App(...args);
  apps.push(app);
  return app;
}

afterEach(() => {
  for (const { parent, children } of apps.splice(0))
    for (const pid of [parent.pid!, ...children]) if (isAlive(pid)) process.kill(pid, 'SIGKILL');
});

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'sealpost-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return folder;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** In a container whose first process reaps nobody, what has ended stays as a zombie. */
function isGone(pid: number): boolean {
  if (!isAlive(pid)) return true;
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)!.startsWith('Z');
  } catch {
    return !isAlive(pid); // another system than Linux, or it has just gone
  }
}

const untilGone = (pids: number[]) => vi.waitUntil(() => pids.every(isGone), { timeout: 60_000 });

it('a process that cannot start ends the others, which drain, and its reason is told once', async () => {
  const app = start(2, 'second-fails', {}, join(newFolder(), 'works'));
  expect(await app.ended).toEqual([1, null]);
  expect(app.lines.filter((line) => line.includes('cannot start'))).toEqual(['cannot start: Redis says no']);
  expect(app.logged('works')).toHaveLength(1);
  expect(app.logged('drained')).toHaveLength(1);
  await untilGone(app.children);
});

it('a first signal while a failed start drains cuts nobody off', async () => {
  const file = join(newFolder(), 'works');
  writeFileSync(`${file}.holds`, '');
  const app = start(2, 'second-fails', {}, file);
  await app.untilLogged('draining');
  app.parent.kill('SIGTERM');
  // What the parent answers to the second question comes after the signal.
  for (let i = 0; i < 2; i++) expect(await Promise.race([app.ask('ready'), app.ended])).toBe('draining');
  rmSync(`${file}.holds`);
  expect(await app.ended).toEqual([1, null]);
  expect(app.logged('drained')).toHaveLength(1);
  expect(app.lines.filter((line) => line.includes('cannot start'))).toHaveLength(1);
});

it('one that hangs while it is started again is ended, and started again', async () => {
  const file = join(newFolder(), 'works');
  const app = start(1, 'hangs-when-restarted', { lookMs: 100, startMs: 500 }, file);
  await app.untilAllReady();
  await vi.waitUntil(() => existsSync(file), { timeout: 60_000 });
  process.kill(app.children[0]!, 'SIGKILL');
  await app.untilLogged('a process does not start; it is ended');
  await app.untilLogged('process started', 3);
});

it('however many ask at once, each process is asked once', async () => {
  const app = start(1, 'counts', { readyMs: 300 });
  await app.untilAllReady();
  process.kill(app.children[0]!, 'SIGSTOP');
  const silent = 'process 1 does not answer';
  expect(await app.askAtOnce('ready', 10)).toEqual(Array(10).fill(silent));
  process.kill(app.children[0]!, 'SIGCONT');
  // It finds what it was asked meanwhile, and answers as soon as it gets the CPU.
  const answers: string[] = [];
  while ((answers.at(-1) ?? silent) === silent) answers.push(await app.ask('ready'));
  expect(answers.at(-1)).toBe(`process 1: asked ${1 + answers.length}`);
});

it('a process that hangs is ended, and another one takes its place and its number', async () => {
  // 3 s of silence: on a busy machine the others must not be taken for hung.
  const app = start(2, 'works', { lookMs: 500, looks: 6 });
  await app.untilAllReady();
  const [, second] = app.children;
  process.kill(second!, 'SIGSTOP');
  await app.untilLogged('a process hangs; it is ended');
  await app.untilLogged('works', 3);
  // The parent tells of its start, and it of its work: whoever is quicker comes first.
  await app.untilLogged('process started', 3);
  expect(app.logged('a process died; it is started again')).toMatchObject([{ process: 2, child: second }]);
  expect(app.logged('works').at(-1)).toMatchObject({ process: 2, pid: app.children[2] });
  expect(await app.ask('ready')).toBe('ready');
});

it('one that does not drain is ended, and the parent ends as told', async () => {
  const app = start(2, 'never-drains', { drainMs: 300 });
  await app.untilAllReady();
  process.kill(app.children[0]!, 'SIGSTOP');
  app.parent.kill('SIGTERM');
  expect(await app.ended).toEqual([0, null]);
  expect(app.logged('not all processes drained in time; these are ended')).toHaveLength(1);
  await untilGone(app.children);
});

it('a second signal ends all at once', async () => {
  const app = start(2, 'never-drains');
  await app.untilAllReady();
  app.parent.kill('SIGTERM');
  await app.untilLogged('draining', 2);
  app.parent.kill('SIGTERM');
  expect(await app.ended).toEqual([1, null]);
  await untilGone(app.children);
});

it('all end when the parent is killed', async () => {
  const app = start(3);
  await app.untilAllReady();
  app.parent.kill('SIGKILL');
  await app.ended;
  await untilGone(app.children);
});

it('go on when nobody reads what they print, and nobody writes to them', async () => {
  const app = start(2);
  await app.untilAllReady();
  const { stdin, stdout, stderr } = app.parent;
  for (const stream of [stdin!, stdout!, stderr!]) stream.destroy();
  const [first, second] = app.children;
  process.kill(first!, 'SIGKILL');
  await untilGone([first!]);
  expect(isAlive(second!)).toBe(true);
  app.parent.kill('SIGTERM');
  expect(await app.ended).toEqual([0, null]);
  await untilGone([second!]);
});

it('lines of several processes are whole, however many there are at once', async () => {
  // A pipe, as in a container (Node itself gives its children sockets, which keep what is written together), and a reader
  // that is slower than they are, so that it is full.
  const shell = spawn('sh', [
    '-c',
    '"$0" "$@" | dd bs=64 status=none',
    process.execPath,
    APP,
    '3',
    'chatters',
    '{}',
    '',
  ]);
  const lines: string[] = [];
  // Each process is started, chatters, works; then all are ready.
  for await (const line of createInterface(shell.stdout)) if (lines.push(line) === 3 * 5002 + 1) break;
  process.kill(Number(/"pid":(\d+)/.exec(lines[0]!)![1]), 'SIGKILL');
  expect(lines.filter((line) => !isWhole(line))).toEqual([]);
});

function isWhole(line: string): boolean {
  try {
    return typeof JSON.parse(line) === 'object';
  } catch {
    return false;
  }
}

it('what a killed process has counted stays in the sum, and what it is does not', async () => {
  const app = start(3);
  await app.untilAllReady();
  const read = async () => {
    const text = await app.ask('metrics');
    const of = (name: string) =>
      Number(new RegExp(`^sealpost_${name}(?:{[^}]*})? (.+)$`, 'm').exec(text)?.[1]);
    return { retries: of('retries_total'), processes: of('processes'), deaths: of('process_deaths_total') };
  };
  expect(await read()).toEqual({ retries: 1 + 2 + 3, processes: 3, deaths: 0 });
  process.kill(app.children[2]!, 'SIGKILL');
  await app.untilLogged('a process died; it is started again');
  const { retries, processes, deaths } = await read();
  expect(deaths).toBe(1);
  // It may be back by now, and has counted 3 again.
  expect(retries).toBe(1 + 2 + 3 + 3 * (processes - 2));
  await app.untilLogged('works', 4);
  expect(await read()).toEqual({ retries: 1 + 2 + 3 + 3, processes: 3, deaths: 1 });
  process.kill(app.children[0]!, 'SIGSTOP');
  expect(await read()).toEqual({ retries: 1 + 2 + 3 + 3, processes: 2, deaths: 1 });
  expect(await app.ask('ready')).toBe('process 1 does not answer');
});
