import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ManagedProcess } from '@sealpost/scripts/managed-process';
import { stopAfterAll } from '../harness/cleanup.ts';
import { type Env, waitFor, watchProcess, withoutSettings } from '../harness/index.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const AROUND = join(import.meta.dirname, 'around');
const GO = { GOFLAGS: '-mod=mod', GOPROXY: 'off', GOTOOLCHAIN: 'local', CGO_ENABLED: '0' };

/** A folder for this file's tests, gone after them, with these files in it. */
export async function folderWith(files: Record<string, string>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'sealpost-receiver-'));
  stopAfterAll(() => rm(folder, { recursive: true, force: true }));
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
  return folder;
}

/** Runs Python code under one of the mains in `around/`, and gives its origin once it listens. */
export async function runPython(main: string, code: string, env: Env, args: string[] = []): Promise<string> {
  const folder = await folderWith({ 'snippet.py': code });
  return runServer('python3', ['-u', join(AROUND, main), join(folder, 'snippet.py'), ...args], env);
}

/** Runs CommonJS code, which finds this repository's packages, and gives its origin once it listens. */
export async function runNode(code: string, env: Env): Promise<string> {
  const folder = await folderWith({ 'snippet.cjs': code });
  const NODE_PATH = join(ROOT, 'node_modules');
  return runServer(process.execPath, [join(folder, 'snippet.cjs')], { ...env, NODE_PATH });
}

/** Builds a Go module from files, runs it, and gives its origin once it listens. */
export async function runGo(files: Record<string, string>, env: Env): Promise<string> {
  return runServer(await buildGo(await folderWith(files)), [], env);
}

/** Builds the Go module in a folder without looking anything up elsewhere, and gives the program's path. */
export async function buildGo(folder: string): Promise<string> {
  await promisify(execFile)('go', ['build', '-o', 'receiver', '.'], {
    cwd: folder,
    env: { ...process.env, ...GO },
  });
  return join(folder, 'receiver');
}

/** Starts a server that prints `listening {port}`, and gives its origin. All that it prints is added to `lines`. */
export async function runServer(
  command: string,
  args: string[],
  env: Env,
  lines: string[] = [],
): Promise<string> {
  let port: string | undefined;
  const server = new ManagedProcess({
    name: `receiver ${args.at(-1) ?? command}`,
    command,
    args,
    env: { ...withoutSettings(process.env), NODE_ENV: 'production', PYTHONDONTWRITEBYTECODE: '1', ...env },
    onLine: (line) => {
      lines.push(line);
      port ??= /^listening (\d+)$/.exec(line)?.[1];
    },
  });
  watchProcess(server);
  stopAfterAll(() => server.stop(2_000));
  await waitFor(() => port !== undefined || server.exit, {
    describe: `${args} to listen`,
  });
  if (port === undefined) throw new Error(`The receiver ended at once:\n${server.lastLines().join('\n')}`);
  return `http://127.0.0.1:${port}`;
}
