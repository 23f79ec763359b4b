import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findRedisServer } from '@sealpost/scripts/find-redis';
import { anyFreePort } from '@sealpost/scripts/ports';
import { connect, type RedisClient, whenReady } from './src/connection.ts';

/** A real Redis of a test's own, which ends with it. */
export type TestRedis = { url: string; client: RedisClient; stop(): Promise<void> };

/** @param options further options of redis-server, as `--maxmemory 10mb` */
export async function startTestRedis(options: string[] = []): Promise<TestRedis> {
  const port = await anyFreePort();
  const dir = mkdtempSync(join(tmpdir(), 'sealpost-redis-'));
  const base = [
    '--port',
    String(port),
    '--bind',
    '127.0.0.1',
    '--dir',
    dir,
    '--save',
    '',
    '--maxmemory-policy',
    'noeviction',
  ];
  const server = spawn((await findRedisServer()).path, [...base, ...options], { stdio: 'ignore' });
  const url = `redis://127.0.0.1:${port}`;
  const client = connect([url], 'background', () => {});
  try {
    await Promise.race([whenReady(client, 10_000), failed(server)]);
  } catch (error) {
    client.disconnect();
    throw error;
  }
  return {
    url,
    client,
    stop: async () => {
      client.disconnect();
      server.kill('SIGKILL');
      await once(server, 'exit');
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

async function failed(server: ChildProcess): Promise<never> {
  const [reason] = await Promise.race([once(server, 'error'), once(server, 'exit')]);
  throw new Error(`redis-server did not start: ${String(reason)}`);
}
