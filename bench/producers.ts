import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { runMain } from '@sealpost/scripts/launcher-error';
import { writeFigures } from './harness/machine.ts';
import { n, say, table } from './harness/report.ts';
import { type Stack, withStack } from './harness/stack.ts';
import { cpuSeconds } from './harness/usage.ts';

const ROOT = join(import.meta.dirname, '..');
const APP = 'producers';

/** In the order in which they are told of. */
const WAYS: Record<string, string> = {
  http: 'HTTP, an event a request',
  client: 'client',
  'client-4': 'client, 4 batches at a time',
  ndjson: 'client, publishAll (NDJSON)',
  direct: 'publisher, an event a call',
  'direct-many': 'publisher, publishMany of 500',
};

const USAGE = `What an event costs its producer, the API and Redis, by the way in which it is published.

  npm run bench:producers -- [way…] [--events N] [--json FILE]

  ${Object.keys(WAYS).join(' ')}   (default: all)
  --events   how many are measured for each (default 40,000), after a quarter as many
  --json     writes the figures to FILE

  One app, one endpoint, payloads of about 250 bytes; no worker runs, so deliveries wait in their lane. Only the figures of
  an otherwise idle machine mean something.
`;

type Figures = { perSecond: number; producerUs: number; apiUs: number; redisUs: number };

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    events: { type: 'string', default: '40000' },
    json: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});
const events = Number(values.events);
const unknown = positionals.filter((name) => !(name in WAYS));
if (values.help || unknown.length > 0 || !(events >= 100)) {
  console.log(USAGE);
  process.exit(values.help ? 0 : 2);
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));
await runMain(async () => {
  const results: Record<string, Figures> = {};
  for (const way of positionals.length > 0 ? positionals : Object.keys(WAYS)) {
    // Each on a Redis of its own: none finds what another has left there.
    results[way] = await withStack({ root: ROOT, workers: 0 }, (stack) => measure(stack, way));
    say(`${WAYS[way]}: measured.`);
  }
  table(
    ['CPU µs an event', 'producer', 'API', 'Redis', 'all', 'events/s'],
    Object.entries(results).map(([way, { producerUs, apiUs, redisUs, perSecond }]) => [
      WAYS[way]!,
      ...[producerUs, apiUs, redisUs, producerUs + apiUs + redisUs].map((us) => us.toFixed(0)),
      n(perSecond),
    ]),
  );
  if (values.json !== undefined) await writeFigures(values.json, ROOT, { events, results });
});
process.exit(); // after an error something may still hold it

async function measure(stack: Stack, way: string): Promise<Figures> {
  await stack.client.app(APP);
  await stack.client.endpoint(APP, { url: 'http://127.0.0.1:9/' });
  const args = [way, APP];
  const producer = fork(join(import.meta.dirname, 'producers', 'producer-process.ts'), args, {
    env: stack.env,
  });
  producer.once('exit', (code) => {
    if (code) process.exit(1); // it has said why
  });
  await once(producer, 'message');
  const publish = async (count: number) => {
    producer.send(count);
    const [told] = (await once(producer, 'message')) as [{ ms: number; cpuUs: number }];
    return told;
  };
  await publish(Math.ceil(events / 4)); // until the code is compiled
  const pids = [stack.apiPid, stack.redisPid];
  const before = await Promise.all(pids.map(cpuSeconds));
  const { ms, cpuUs } = await publish(events);
  const after = await Promise.all(pids.map(cpuSeconds));
  producer.disconnect();
  const [apiUs, redisUs] = pids.map((_, i) => ((after[i]! - before[i]!) * 1e6) / events);
  return { perSecond: events / (ms / 1000), producerUs: cpuUs / events, apiUs: apiUs!, redisUs: redisUs! };
}
