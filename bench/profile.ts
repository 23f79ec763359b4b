import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { runMain } from '@sealpost/scripts/launcher-error';
import { now } from './harness/clock.ts';
import { Receivers } from './harness/receivers.ts';
import { say, table } from './harness/report.ts';
import { keepUnderWay } from './main/load.ts';
import { Sealpost } from './main/sealpost.ts';
import { idle } from './main/system.ts';
import { commandsOf } from './profile/redis-commands.ts';
import { type CpuProfile, selfTimes } from './profile/self-times.ts';

const USAGE = `Where API, worker and Redis spend their CPU time while events are published one by one and delivered.

  npm run bench:profile -- [--http got|undici] [--deliveries N] [--dir DIR]

  --http        HTTP_CLIENT of the worker (undici)
  --deliveries  how many, after a quarter as many that do not count (20,000)
  --dir         where the .cpuprofile files go, which Chrome's DevTools open (.sealpost/profiles)
`;

const { values } = parseArgs({
  options: {
    http: { type: 'string', default: 'undici' },
    deliveries: { type: 'string', default: '20000' },
    dir: { type: 'string', default: join(import.meta.dirname, '..', '.sealpost', 'profiles') },
    help: { type: 'boolean', default: false },
  },
});
const { http, dir } = values;
const deliveries = Number(values.deliveries);
if (values.help || (http !== 'got' && http !== 'undici') || !(deliveries > 0)) {
  console.log(USAGE);
  process.exit(values.help ? 0 : 2);
}
const chosen: 'got' | 'undici' = http;
const AT_ONCE = 64;

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));
await runMain(async () => {
  const root = join(import.meta.dirname, '..');
  const receivers = new Receivers();
  const env = { NODE_OPTIONS: `--cpu-prof --cpu-prof-dir=${dir}` };
  const sealpost = await Sealpost.start('profile', { root, http: chosen, receivers, slots: 200, env });
  const app = await sealpost.app('bench', { endpoints: 10 });
  const { api, worker } = sealpost.pids;
  const load = (total: number) => ({ total, atOnce: AT_ONCE, send: (n: number) => app.publish(n) });
  await keepUnderWay(app.arrivals, load(Math.ceil(deliveries / 4))); // until the code is compiled
  await sealpost.redis.call('CONFIG', 'RESETSTAT');
  const from = now() * 1000;
  const seconds = await keepUnderWay(app.arrivals, load(deliveries));
  await idle(sealpost);
  say(`${(deliveries / seconds).toFixed(0)} deliveries a second.`);
  const commands = commandsOf(await sealpost.redis.info('commandstats'), deliveries);
  await sealpost.stack.drain();
  for (const [name, pid] of [
    ['API', api],
    ['worker', worker],
  ] as const) {
    const rows = selfTimes(await profileOf(pid), from).slice(0, 20);
    const cells = rows.map(({ place, share }) => [place, `${(share * 100).toFixed(1)} %`]);
    table([`${name}, http ${http}`, 'of its CPU time'], cells);
  }
  table(
    ['Redis command', 'a delivery', 'µs a delivery'],
    commands.slice(0, 20).map(({ name, calls, us }) => [name, calls.toFixed(2), us.toFixed(1)]),
  );
  await sealpost.stop();
  receivers.stop();
});
process.exit(); // after an error something may still hold it

async function profileOf(pid: number): Promise<CpuProfile> {
  const file = (await readdir(dir)).toSorted().findLast((name) => name.split('.')[3] === String(pid));
  if (!file) throw new Error(`process ${pid} left no profile in ${dir}`);
  return JSON.parse(await readFile(join(dir, file), 'utf8'));
}
