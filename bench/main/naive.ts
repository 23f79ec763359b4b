import { rmSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findRedisServer } from '@sealpost/scripts/find-redis';
import { ManagedProcess } from '@sealpost/scripts/managed-process';
import { anyFreePort } from '@sealpost/scripts/ports';
import { runRedis } from '@sealpost/scripts/run-redis';
import { describeDeath } from '@sealpost/scripts/until-ready';
import { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import { atExit, endAtExit, failWith, logsOf } from '../harness/children.ts';
import { Client } from '../harness/client.ts';
import { eventText, payloadOf } from '../harness/publish.ts';
import type { Receivers } from '../harness/receivers.ts';
import { say } from '../harness/report.ts';
import { Arrivals, type Pids, type System, type Target } from './system.ts';

export type NaiveWorker = 'noop' | 'got' | 'undici';

/** What one would write in an afternoon with the same packages: `bench/floor`, on a Redis of its own. */
export class Naive implements System, Target {
  readonly system = this;
  readonly arrivals: Arrivals;
  readonly redis: Redis;
  readonly queue = 'bull:webhooks';
  readonly pids: Pids;
  readonly #client: Client;
  readonly #jobs: Queue;
  readonly #processes: ManagedProcess[];
  readonly #dir: string;

  private constructor(env: Env, arrivals: Arrivals, processes: ManagedProcess[], dir: string) {
    const [redis, api, worker] = processes.map(({ pid }) => pid!);
    this.pids = { redis: redis!, api: api!, worker: worker! };
    this.arrivals = arrivals;
    this.redis = new Redis(env.REDIS_URL, { maxRetriesPerRequest: null });
    this.#jobs = new Queue('webhooks', { connection: this.redis });
    this.#client = new Client(`http://127.0.0.1:${env.PORT}`, 'none');
    this.#processes = processes;
    this.#dir = dir;
  }

  static async start(worker: NaiveWorker, receivers: Receivers, slots: number): Promise<Naive> {
    const arrivals = new Arrivals();
    const group = await receivers.add(`naive-${worker}`, { answer: 200 }, { onSucceeded: arrivals.set });
    const dir = await mkdtemp(join(tmpdir(), 'sealpost-bench-'));
    atExit(() => rmSync(dir, { recursive: true, force: true }));
    const server = await findRedisServer({ say });
    const redis = await runRedis({ server, dir, choosePort: () => anyFreePort() });
    endAtExit(redis.process);
    const env: Env = {
      PATH: process.env.PATH,
      NODE_ENV: 'production',
      PORT: String(await anyFreePort()),
      REDIS_URL: redis.url,
      RECEIVER_URL: group.url(0),
      WORKER_CONCURRENCY: String(slots),
    };
    const api = await startFloor('api', [], env, () => {});
    const counts = await startFloor('worker', [worker], env, (line) => {
      const done = /^done (\d+)$/.exec(line);
      if (done) arrivals.set(Number(done[1]));
    });
    const processes = [redis.process, api, counts];
    for (const child of processes) failWith(child);
    return new Naive(env, arrivals, processes, dir);
  }

  async publish(n: number): Promise<void> {
    const { status, text } = await this.#client.send('POST', '/events', eventText('order.created', n));
    if (status !== 202) throw new Error(`${status} ${text}`);
  }

  /** Puts a backlog before the worker, without the API. */
  async addBacklog(count: number): Promise<void> {
    const job = (n: number) => ({
      name: 'deliver',
      data: { type: 'order.created', payload: payloadOf(n) },
      opts: { removeOnComplete: 1000 },
    });
    await this.#jobs.addBulk(Array.from({ length: count }, (_, n) => job(n)));
  }

  async stop(): Promise<void> {
    this.#client.close();
    await this.#jobs.close();
    this.redis.disconnect();
    await Promise.all(this.#processes.map((child) => child.kill('SIGKILL')));
    await rm(this.#dir, { recursive: true, force: true });
  }
}

type Env = NodeJS.ProcessEnv & { REDIS_URL: string };

/** Resolves when it says that it is ready. */
async function startFloor(
  name: 'api' | 'worker',
  args: string[],
  env: Env,
  onLine: (line: string) => void,
): Promise<ManagedProcess> {
  const ready = Promise.withResolvers<void>();
  const log = logsOf(`naive ${name}`).onLine;
  const child = new ManagedProcess({
    name: `the naive ${name}`,
    command: process.execPath,
    args: [join(import.meta.dirname, '..', 'floor', `${name}-process.ts`), ...args],
    env,
    onLine: (line) => {
      if (line === 'ready') ready.resolve();
      onLine(line);
      log?.(line);
    },
  });
  endAtExit(child);
  void child.exited.then(() => ready.reject(new Error(describeDeath(child))));
  await ready.promise;
  return child;
}
