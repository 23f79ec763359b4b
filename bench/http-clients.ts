import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { runMain } from '@sealpost/scripts/launcher-error';
import { writeFigures } from './harness/machine.ts';
import { Receivers } from './harness/receivers.ts';
import { n, say, table } from './harness/report.ts';
import { percentile } from './harness/statistics.ts';
import type { Measured, Order } from './http-clients/client-process.ts';
import { CLIENTS } from './http-clients/clients.ts';

const USAGE = `What a request costs the process that makes it, by HTTP client, against the same receiver.

  npm run bench:http -- [--rounds N] [--requests N] [--at-once N] [--bytes N] [--short] [--json FILE]

  --rounds     how often each is measured, in turns; the median counts (5)
  --requests   in each round (20,000)
  --at-once    requests under way (32)
  --bytes      of the body (1024)
  --short      one small round, to see that it works
  --json       writes the figures to FILE
`;

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    requests: { type: 'string', default: '20000' },
    'at-once': { type: 'string', default: '32' },
    bytes: { type: 'string', default: '1024' },
    short: { type: 'boolean', default: false },
    json: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});

const rounds = values.short ? 1 : Number(values.rounds);
const requests = values.short ? 1000 : Number(values.requests);
const atOnce = Number(values['at-once']);
const bytes = Number(values.bytes);
if (
  values.help ||
  ![rounds, requests, atOnce, bytes].every((value) => Number.isInteger(value) && value > 0)
) {
  console.log(USAGE);
  process.exit(values.help ? 0 : 2);
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));
await runMain(async () => {
  const receivers = new Receivers();
  const group = await receivers.add('hook', { answer: 200 });
  const found: Record<string, Measured[]> = Object.fromEntries(
    Object.keys(CLIENTS).map((name) => [name, []]),
  );
  say(`${n(requests)} requests of ${n(bytes)} bytes, ${atOnce} at once, ${rounds} rounds.`);
  for (let round = 0; round < rounds; round += 1) {
    for (const client of Object.keys(CLIENTS)) {
      const order = { client, url: group.url(0), requests, atOnce, body: 'x'.repeat(bytes) };
      found[client]!.push(await measure(order));
      await group.forget();
    }
  }
  receivers.stop();
  const figures = Object.entries(found).map(([client, measured]) => ({ client, ...medians(measured) }));
  report(figures);
  if (values.json)
    await writeFigures(values.json, process.cwd(), { rounds, requests, atOnce, bytes, figures });
});
process.exit();

async function measure(order: Order): Promise<Measured> {
  const child = fork(join(import.meta.dirname, 'http-clients/client-process.ts'));
  child.send(order);
  const ended = once(child, 'exit').then(() => {
    throw new Error(`the process of ${order.client} ended`);
  });
  const [measured] = await Promise.race([once(child, 'message'), ended]);
  ended.catch(() => {});
  child.disconnect();
  return measured as Measured;
}

function medians(measured: Measured[]): { cpuUs: number; perSecond: number; least: number; most: number } {
  const cpu = measured.map(({ cpuUs }) => cpuUs).toSorted((a, b) => a - b);
  const speed = measured.map(({ seconds }) => requests / seconds).toSorted((a, b) => a - b);
  return {
    cpuUs: percentile(cpu, 0.5),
    perSecond: percentile(speed, 0.5),
    least: cpu[0]!,
    most: cpu.at(-1)!,
  };
}

function report(figures: ({ client: string } & ReturnType<typeof medians>)[]): void {
  const bare = figures[0]!.cpuUs;
  const rows = figures.map(({ client, cpuUs, least, most, perSecond }) => [
    client,
    cpuUs.toFixed(0),
    `${least.toFixed(0)}–${most.toFixed(0)}`,
    (cpuUs / bare).toFixed(2),
    n(perSecond),
  ]);
  table(['client', 'CPU µs a request', 'least–most', '× node:http', 'requests/s'], rows);
}
