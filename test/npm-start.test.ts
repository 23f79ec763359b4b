import { execFile, execFileSync } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ManagedProcess } from '@sealpost/scripts/managed-process';
import { isAlive, type ProcessIdentity } from '@sealpost/scripts/process-identity';
import { describe, expect, it } from 'vitest';
import { stopAfterAll } from './harness/cleanup.ts';
import { waitFor, watchProcess, withoutSettings } from './harness/index.ts';

const ROOT = join(import.meta.dirname, '..');
const SCRIPTS = join(ROOT, 'scripts');
const hasCurl = (() => {
  try {
    return Boolean(execFileSync('curl', ['--version']));
  } catch {
    return false;
  }
})();

/** A script as npm runs it, with a data folder of its own. */
class Script {
  readonly process: ManagedProcess;
  readonly #lines: string[] = [];

  constructor(name: string, dataDir: string, env: NodeJS.ProcessEnv = {}, args: string[] = [], npm?: 'npm') {
    this.process = new ManagedProcess({
      name,
      command: npm ?? process.execPath,
      args: npm ? ['run', name] : [join(SCRIPTS, `${name}.ts`), ...args],
      cwd: ROOT,
      env: { ...withoutSettings(process.env), SEALPOST_DATA_DIR: dataDir, ...env },
      onLine: (line) => this.#lines.push(line),
    });
    watchProcess(this.process);
    stopAfterAll(() => this.process.stop(30_000));
  }

  get output(): string {
    return this.#lines.join('\n');
  }

  /** What stands behind a label in the welcome text. */
  value(label: string): string {
    return new RegExp(`^  ${label} +(\\S+)`, 'm').exec(this.output)?.[1] ?? '';
  }

  untilRunning(): Promise<unknown> {
    const describe = `${this.process.name} to say that it runs`;
    return waitFor(() => /Ctrl-C stops everything/.test(this.output), { describe });
  }
}

async function newDataDir(): Promise<string> {
  const dataDir = await mkdtemp(join(tmpdir(), 'sealpost-start-'));
  stopAfterAll(() => rm(dataDir, { recursive: true, force: true }));
  return dataDir;
}

const isUp = (url: string) =>
  fetch(`${url}/livez`).then(
    () => true,
    () => false,
  );

async function redisOf(dataDir: string): Promise<ProcessIdentity> {
  return JSON.parse(await readFile(join(dataDir, 'redis', 'running.json'), 'utf8')) as ProcessIdentity;
}

describe('npm start', () => {
  it.runIf(hasCurl)(
    'prints three lines of curl that work as they stand, and keeps its data',
    async () => {
      const dataDir = await newDataDir();
      const first = new Script('start', dataDir);
      await first.untilRunning();
      const lines = first.output.split('\n').filter((line) => line.startsWith('curl '));
      expect(lines).toHaveLength(3);
      const answers: { status?: number; deliveries?: object[]; data?: object[]; secret?: string }[] = [];
      for (const line of lines) {
        const { stdout } = await promisify(execFile)('sh', ['-c', line]);
        answers.push(JSON.parse(stdout));
      }
      expect(answers[0]?.secret).toMatch(/^whsec_/);
      expect(answers[1]?.deliveries).toMatchObject([{ status: 'delivered' }]);
      expect(answers[2]?.data).toMatchObject([{ status: 'delivered' }]);
      expect(first.output).toMatch(/inbox {3}POST \/ {2}.*hello\.world/);
      const key = first.value('API key');
      expect((await first.process.stop(30_000)).code).toBe(0);
      expect(await isUp(first.value('API'))).toBe(false);
      expect(await isAlive(await redisOf(dataDir))).toBe(false);

      const second = new Script('start', dataDir);
      await second.untilRunning();
      expect(second.value('API key')).toBe(key);
      const response = await fetch(`${second.value('API')}/v1/apps/default/deliveries`, {
        headers: { authorization: `Bearer ${key}` },
      });
      expect(await response.json()).toMatchObject({ data: [{ status: 'delivered' }] });
      expect((await second.process.stop(30_000)).code).toBe(0);
    },
    90_000,
  );

  it('shows its keys to their owner only', async () => {
    const dataDir = await newDataDir();
    const start = new Script('start', dataDir);
    await start.untilRunning();
    for (const name of ['master.key', 'api.key', 'api.log', 'worker.log', 'redis.log']) {
      expect((await stat(join(dataDir, name))).mode & 0o077, name).toBe(0);
    }
    const master = (await readFile(join(dataDir, 'master.key'), 'utf8')).trim();
    for (const name of await readdir(dataDir)) {
      if (!name.endsWith('.log')) continue;
      expect(await readFile(join(dataDir, name), 'utf8')).not.toContain(master);
    }
    expect(start.output).not.toContain(master);

    const again = new Script('start', dataDir);
    expect((await again.process.exited).code).toBe(1);
    expect(again.output).toContain('Sealpost already runs on this data');
    expect(await isUp(start.value('API'))).toBe(true);
  });

  it('says which part has died, with its last words, stops the others and fails', async () => {
    const dataDir = await newDataDir();
    const start = new Script('start', dataDir);
    await start.untilRunning();
    const redis = await redisOf(dataDir);
    process.kill(redis.pid, 'SIGKILL');
    expect((await start.process.exited).code).toBe(1);
    expect(start.output).toMatch(/Redis was ended by SIGKILL unexpectedly[\s\S]*Ready to accept connections/);
    expect(await isUp(start.value('API'))).toBe(false);
  });

  it('leaves nothing behind when it is itself killed', async () => {
    const dataDir = await newDataDir();
    const start = new Script('start', dataDir);
    await start.untilRunning();
    await start.process.kill('SIGKILL');
    const redis = await redisOf(dataDir);
    await waitFor(async () => !(await isAlive(redis)) && !(await isUp(start.value('API'))), {
      describe: 'the children to end',
    });
  });

  it('stops in order when it is npm that is told to', async () => {
    const dataDir = await newDataDir();
    const start = new Script('start', dataDir, {}, [], 'npm');
    await start.untilRunning();
    const redis = await redisOf(dataDir);
    await start.process.kill('SIGTERM');
    await waitFor(async () => !(await isAlive(redis)), { describe: 'everything to stop' });
    expect(await isUp(start.value('API'))).toBe(false);
  });

  it('refuses a port that is taken when it was asked for, and takes another when it was not', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => other.once('listening', resolve));
    const { port } = other.address() as AddressInfo;
    const start = new Script('start', await newDataDir(), { PORT: String(port) });
    expect((await start.process.exited).code).toBe(1);
    expect(start.output).toContain(`Port ${port} (PORT) is taken`);
    expect(start.output).not.toContain('Starting');
    other.close();
  });
});

describe('npm run demo', () => {
  it('shows a good, a flaky and a dead endpoint, and sums up', async () => {
    const demo = new Script('demo', await newDataDir(), {}, ['--seconds', '1.6']);
    expect((await demo.process.exited).code, demo.output).toBe(0);
    const published = Number(/^(\d+) events were published/m.exec(demo.output)?.[1]);
    expect(published).toBeGreaterThan(0);
    const summary = (name: string, delivered: number, dead: number, attempts: number) =>
      `  ${name}  ${delivered} delivered, ${dead} dead, in ${attempts} attempts, every signature valid`;
    expect(demo.output).toContain(summary('good ', published, 0, published));
    expect(demo.output).toContain(summary('flaky', published, 0, 3 * published));
    expect(demo.output).toContain(summary('dead ', 0, published, 4 * published));
    expect(demo.output).toMatch(/flaky {2}evt_\S+ {2}attempt 3 → 200/);
  });
});
