import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { findRedisServer } from '@sealpost/scripts/find-redis';
import { runMain } from '@sealpost/scripts/launcher-error';
import { ManagedProcess } from '@sealpost/scripts/managed-process';
import { anyFreePort } from '@sealpost/scripts/ports';
import { type ClusterNode, runCluster } from '@sealpost/scripts/run-cluster';
import { untilReady } from '@sealpost/scripts/until-ready';
import { Cluster } from 'ioredis';
import { atExit, endAtExit, failWith, logsOf } from './harness/children.ts';
import { Client } from './harness/client.ts';
import { eventually, now } from './harness/clock.ts';
import { writeFigures } from './harness/machine.ts';
import { publishBatches } from './harness/publish.ts';
import { type ReceiverGroup, Receivers } from './harness/receivers.ts';
import { n, say, table } from './harness/report.ts';
import { cpuSeconds } from './harness/usage.ts';

const ROOT = join(import.meta.dirname, '..');
const SHARDS = 12;
const WORKERS = 2;

const USAGE = `What an event costs Redis, from publishing to delivery, when its shards lie on one, two or three masters of a Redis Cluster.

  npm run bench:cluster -- [--masters 1,2,3] [--events N] [--client undici|got] [--json FILE]

  --masters  how many, one run for each (default 1,2,3)
  --events   how many are measured in each run (default 24,000), after a quarter as many
  --client   HTTP_CLIENT of the workers (default undici)
  --json     writes the figures to FILE

  ${SHARDS} shards, each master with the same share of the events; one endpoint an app, batches of 500, ${WORKERS} workers,
  AOF everysec, no replicas. Everything runs on this machine: where that has few cores, workers and API
  are what limits the events a second, and only the CPU time of each master shows what more masters are worth.
`;

type Run = {
  masters: number;
  perSecond: number;
  apiUs: number;
  workerUs: number;
  /** CPU µs of all masters for an event. */
  redisUs: number;
  /** Of each: percent of a core while it ran, and events that it carried for a second of its CPU time. */
  each: { cpuPercent: number; eventsPerCpuSecond: number }[];
};

const { values } = parseArgs({
  options: {
    masters: { type: 'string', default: '1,2,3' },
    events: { type: 'string', default: '24000' },
    client: { type: 'string', default: 'undici' },
    json: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});
const events = Number(values.events);
const counts = values.masters.split(',').map(Number);
if (values.help || !(events >= 1000) || !counts.every((count) => count >= 1 && count <= 6)) {
  console.log(USAGE);
  process.exit(values.help ? 0 : 2);
}
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));

await runMain(async () => {
  const runs: Run[] = [];
  for (const masters of counts) {
    runs.push(await measure(masters));
    say(`${masters} ${masters === 1 ? 'master' : 'masters'}: measured.`);
  }
  table(
    [
      'masters',
      'events/s',
      'API µs',
      'workers µs',
      'Redis µs',
      'busiest master, % of a core',
      'events per CPU s of it',
    ],
    runs.map(({ masters, perSecond, apiUs, workerUs, redisUs, each }) => {
      const [busiest] = each.toSorted((a, b) => b.cpuPercent - a.cpuPercent);
      const us = [apiUs, workerUs, redisUs].map((cost) => cost.toFixed(0));
      return [masters, n(perSecond), ...us, busiest!.cpuPercent.toFixed(0), n(busiest!.eventsPerCpuSecond)];
    }),
  );
  if (values.json !== undefined)
    await writeFigures(values.json, ROOT, { events, shards: SHARDS, client: values.client, runs });
});
process.exit(); // after an error something may still hold it

async function measure(masters: number): Promise<Run> {
  const dir = await mkdtemp(join(tmpdir(), 'sealpost-bench-'));
  atExit(() => rmSync(dir, { recursive: true, force: true }));
  const receivers = new Receivers();
  const children: ManagedProcess[] = [];
  let nodes: ClusterNode[] = [];
  try {
    nodes = await runCluster({
      server: await findRedisServer({ say }),
      dir,
      masters,
      replicas: 0,
      onNode: ({ process }) => endAtExit(process),
    });
    for (const { process } of nodes) failWith(process);
    // One URL alone would be a single server.
    const urls = nodes.map(({ url }) => url);
    const redisUrl = (urls.length > 1 ? urls : [...urls, ...urls]).join(',');
    const { client, api, workers } = await startSealpost(redisUrl, children);
    const group = await receivers.add('all', { answer: 200 }, { origins: 8 });
    const apps = await makeApps(client, group, redisUrl);
    await run(client, group, apps, Math.ceil(events / 4)); // until the code is compiled
    await group.forget();
    const look = () => Promise.all([api, ...workers, ...nodes.map(({ process }) => process)].map(cpuOf));
    const before = await look();
    const start = now();
    await run(client, group, apps, events);
    const seconds = (now() - start) / 1000;
    const after = await look();
    const used = after.map((cpu, i) => cpu - before[i]!);
    const [apiCpu, ...others] = used as [number, ...number[]];
    const redis = others.slice(WORKERS);
    const us = (cpu: number[]) => (cpu.reduce((sum, one) => sum + one, 0) * 1e6) / events;
    return {
      masters,
      perSecond: events / seconds,
      apiUs: us([apiCpu]),
      workerUs: us(others.slice(0, WORKERS)),
      redisUs: us(redis),
      each: redis.map((cpu) => ({
        cpuPercent: (cpu / seconds) * 100,
        eventsPerCpuSecond: events / masters / cpu,
      })),
    };
  } finally {
    receivers.stop();
    await Promise.all(children.map((child) => child.kill('SIGKILL')));
    for (const { client, process } of nodes) {
      client.disconnect();
      await process.kill('SIGKILL');
    }
    await rm(dir, { recursive: true, force: true });
  }
}

function cpuOf({ pid }: ManagedProcess): Promise<number> {
  return cpuSeconds(pid!);
}

async function startSealpost(redisUrl: string, children: ManagedProcess[]) {
  const port = String(await anyFreePort());
  const env = {
    PATH: process.env.PATH,
    NODE_ENV: 'production',
    UV_THREADPOOL_SIZE: '64',
    HOST: '127.0.0.1',
    PORT: port,
    LOG_LEVEL: 'error',
    HTTP_CLIENT: values.client,
    REDIS_URL: redisUrl,
    SEALPOST_SHARDS: String(SHARDS),
    SEALPOST_API_KEYS: `sk_${randomBytes(24).toString('base64url')}`,
    SEALPOST_MASTER_KEY: randomBytes(32).toString('base64'),
    SEALPOST_ALLOW_SUBNETS: '127.0.0.0/8',
  };
  const start = async (app: 'api' | 'worker', own: string) => {
    const child = new ManagedProcess({
      name: app,
      command: process.execPath,
      args: [join(ROOT, 'apps', app, 'src/main.ts')],
      cwd: ROOT,
      env: { ...env, HEALTH_PORT: own },
      ...logsOf(app),
    });
    children.push(child);
    endAtExit(child);
    await untilReady(child, `http://127.0.0.1:${own}`, { timeoutMs: 60_000 });
    failWith(child);
    return child;
  };
  const api = await start('api', port);
  const workers = [];
  for (let i = 0; i < WORKERS; i++) workers.push(await start('worker', String(await anyFreePort())));
  return { client: new Client(`http://127.0.0.1:${port}`, env.SEALPOST_API_KEYS), api, workers };
}

/** Apps with an endpoint each, by the master that they lie on; as many on each. */
async function makeApps(client: Client, group: ReceiverGroup, redisUrl: string): Promise<string[][]> {
  const cluster = new Cluster(redisUrl.split(','));
  const names = Array.from({ length: 2 * SHARDS }, (_, i) => `app-${i}`);
  const byMaster = new Map<string, string[]>();
  for (const [i, app] of names.entries()) {
    await client.app(app);
    await client.endpoint(app, { url: group.url(i), max_concurrency: 100 });
    const [shard] = (await cluster.hget('sp:apps', app))!.split(':');
    const slot = Number(await cluster.cluster('KEYSLOT', `{sp:${shard}}`));
    const master = cluster.slots[slot]![0]!;
    byMaster.set(master, [...(byMaster.get(master) ?? []), app]);
  }
  cluster.disconnect();
  const fewest = Math.min(...[...byMaster.values()].map(({ length }) => length));
  return [...byMaster.values()].map((apps) => apps.slice(0, fewest));
}

/** Publishes so many events, as many on each master, and waits until all have arrived. */
async function run(client: Client, group: ReceiverGroup, apps: string[][], count: number): Promise<void> {
  const each = Math.floor(count / apps.length);
  await Promise.all(
    apps.map(async (ofMaster) => {
      for (let from = 0, turn = 0; from < each; from += 500, turn++) {
        await publishBatches(
          client,
          ofMaster[turn % ofMaster.length]!,
          'bench.event',
          Math.min(500, each - from),
          500,
        );
      }
    }),
  );
  const arrived = async () => (await group.counts()).succeeded >= each * apps.length;
  if (!(await eventually(arrived, { timeoutMs: 120_000, everyMs: 20 }))) {
    throw new Error('not all events have arrived');
  }
}
