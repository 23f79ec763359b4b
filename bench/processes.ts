import { readdir, readFile } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { runMain } from '@sealpost/scripts/launcher-error';
import { eventually } from './harness/clock.ts';
import { inParallel } from './harness/in-parallel.ts';
import { eventText } from './harness/publish.ts';
import { n, table } from './harness/report.ts';
import { type Stack, withStack } from './harness/stack.ts';
import { cpuSeconds } from './harness/usage.ts';

const APP = 'processes';
const USAGE = `How evenly several processes of one API and one worker share the work. Linux only.

  npm run bench:processes -- [--processes N] [--events N] [--connections N]

  --processes     of the API and of the worker (default 2)
  --events        published one by one, each delivered once (default 5,000)
  --connections   that the producer keeps open (default 32)
`;

const { values } = parseArgs({
  options: {
    processes: { type: 'string', default: '2' },
    events: { type: 'string', default: '5000' },
    connections: { type: 'string', default: '32' },
    help: { type: 'boolean', default: false },
  },
});
const [processes, events, connections] = [values.processes, values.events, values.connections].map(Number);
if (values.help || !(processes! > 1 && events! > 0 && connections! > 0)) {
  console.log(USAGE);
  process.exit(values.help ? 0 : 2);
}

/** How many requests or attempts each process logged. */
const done = { api: new Map<number, number>(), worker: new Map<number, number>() };
let ended = 0;

function onLine(line: string): void {
  if (!line.startsWith('{')) return;
  const { name, msg, process: nr, route } = JSON.parse(line);
  if (msg === 'attempt') ended += 1;
  else if (msg !== 'request' || !route.endsWith('/events')) return;
  const counts = name === 'api' ? done.api : done.worker;
  counts.set(nr, (counts.get(nr) ?? 0) + 1);
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));
await runMain(async () => {
  const env = { API_PROCESSES: values.processes, WORKER_PROCESSES: values.processes, LOG_LEVEL: 'info' };
  const root = join(import.meta.dirname, '..');
  const cpu = await withStack({ root, slots: 50, env, onLine }, measure);
  const numbers = Array.from({ length: processes! }, (_, i) => i + 1);
  table(
    ['', ...numbers.map((nr) => `process ${nr}`)],
    [
      ['API: requests', ...numbers.map((nr) => n(done.api.get(nr) ?? 0))],
      ['API: CPU s', ...cpu.api.map((seconds) => seconds.toFixed(2))],
      ['worker: attempts', ...numbers.map((nr) => n(done.worker.get(nr) ?? 0))],
      ['worker: CPU s', ...cpu.worker.map((seconds) => seconds.toFixed(2))],
    ],
  );
});
process.exit(); // after an error something may still hold it

async function measure(stack: Stack): Promise<{ api: number[]; worker: number[] }> {
  const receiver = await stack.receivers.add('good', { answer: 200 });
  await stack.client.app(APP);
  await stack.client.endpoint(APP, { url: receiver.url(0) });
  const pids = {
    api: await childrenOf(stack.apiPid),
    worker: await childrenOf(stack.workers[0]!.pid!),
  };
  const look = async () => ({
    api: await Promise.all(pids.api.map(cpuSeconds)),
    worker: await Promise.all(pids.worker.map(cpuSeconds)),
  });
  const before = await look();
  await publish(stack);
  const all = async () => ended >= events!;
  if (!(await eventually(all, { timeoutMs: 120_000, everyMs: 20 }))) {
    throw new Error(`${ended} of ${events} events have been delivered`);
  }
  const after = await look();
  const since = (app: 'api' | 'worker') => after[app].map((seconds, i) => seconds - before[app][i]!);
  return { api: since('api'), worker: since('worker') };
}

async function publish(stack: Stack): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: connections! });
  const headers = {
    authorization: `Bearer ${stack.env.SEALPOST_API_KEYS}`,
    'content-type': 'application/json',
  };
  const url = `http://127.0.0.1:${stack.env.PORT}/v1/apps/${APP}/events`;
  await inParallel(events!, connections!, (i) => {
    const sent = Promise.withResolvers<void>();
    const post = request(url, { agent, method: 'POST', headers }, (answer) => {
      if (answer.statusCode === 202) answer.resume().on('end', sent.resolve);
      else sent.reject(new Error(`an event was answered with ${answer.statusCode}`));
    });
    post.on('error', sent.reject).end(eventText('a.b', i));
    return sent.promise;
  });
  agent.destroy();
}

/** The processes that a process has started, by their numbers. */
async function childrenOf(pid: number): Promise<number[]> {
  const tasks = await readdir(`/proc/${pid}/task`);
  const texts = await Promise.all(
    tasks.map((task) => readFile(`/proc/${pid}/task/${task}/children`, 'utf8')),
  );
  const children = texts.flatMap((text) => text.split(' ').filter(Boolean).map(Number));
  const numbered = await Promise.all(
    children.map(async (child) => {
      const nr = /--process=(\d+)/.exec(await readFile(`/proc/${child}/cmdline`, 'utf8'))?.[1];
      return { child, nr: Number(nr) };
    }),
  );
  return numbered.sort((a, b) => a.nr - b.nr).map(({ child }) => child);
}
