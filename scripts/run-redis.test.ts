import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterEach, expect, it } from 'vitest';
import { findRedisServer } from './find-redis.ts';
import { anyFreePort, findFreePort, isPortFree } from './ports.ts';
import { type RunningRedis, runRedis } from './run-redis.ts';

const server = await findRedisServer();
const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const clean of cleanups.splice(0).reverse()) await clean();
});

async function newFolder(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'sealpost redis '));
  cleanups.push(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

async function run(dir: string, choosePort = () => anyFreePort()): Promise<RunningRedis> {
  const redis = await runRedis({ server, dir, choosePort });
  cleanups.push(() => redis.process.stop(10_000));
  return redis;
}

async function ask<T>(url: string, question: (client: Redis) => Promise<T>): Promise<T> {
  const client = new Redis(url);
  try {
    return await question(client);
  } finally {
    client.disconnect();
  }
}

async function occupy(): Promise<number> {
  const port = await anyFreePort();
  const silent: Socket[] = [];
  const other: Server = createServer((socket) => silent.push(socket));
  await new Promise<void>((resolve) => other.listen(port, '127.0.0.1', resolve));
  cleanups.push(() => {
    for (const socket of silent) socket.destroy();
    return new Promise((resolve) => other.close(resolve));
  });
  return port;
}

it('evicts nothing, appends every write to disk and listens on loopback only', async () => {
  const redis = await run(await newFolder());
  const settings = await ask(redis.url, (client) =>
    client.config('GET', 'maxmemory-policy', 'appendonly', 'appendfsync', 'save', 'bind'),
  );
  expect(settings).toEqual(
    expect.arrayContaining(['noeviction', 'appendonly', 'yes', 'appendfsync', 'everysec', '', '127.0.0.1']),
  );
});

it('has its data again after it was killed', async () => {
  const dir = await newFolder();
  const first = await run(dir);
  await ask(first.url, (client) => client.set('key', 'value'));
  await first.process.kill('SIGKILL');
  const second = await run(dir);
  expect(await ask(second.url, (client) => client.get('key'))).toBe('value');
});

it('never runs two servers on one folder: what an earlier launcher left is ended first', async () => {
  const dir = await newFolder();
  const left = await run(dir);
  left.process.stopping = true;
  const second = await run(dir);
  // The system knows of its end a moment before this process is told.
  expect(await left.process.exited).toBeDefined();
  expect(second.process.exit).toBeUndefined();
});

it.each([
  ['another program', occupy],
  ['another Redis', async () => (await run(await newFolder())).port],
])('takes another port when %s has snatched the chosen one', async (_, snatch) => {
  const taken = await snatch();
  const ports = [taken, await anyFreePort()];
  const dir = await newFolder();
  const redis = await run(dir, async () => ports.shift() ?? 0);
  expect(redis.port).not.toBe(taken);
  expect(await ask(redis.url, (client) => client.config('GET', 'dir'))).toEqual(['dir', dir]);
});

it('says why it cannot be started', async () => {
  const dir = await newFolder();
  const start = runRedis({ server, dir, choosePort: anyFreePort, maxmemory: 'a lot' });
  await expect(start).rejects.toThrow(/Redis exited with code 1[\s\S]*maxmemory/);
});

it('chooses the next port when the preferred one is taken', async () => {
  const taken = await occupy();
  expect(await isPortFree(taken, '127.0.0.1')).toBe(false);
  expect(await findFreePort(taken)).toBeGreaterThan(taken);
});
