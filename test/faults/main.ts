import { parseArgs } from 'node:util';
import { runMain } from '@sealpost/scripts/launcher-error';
import { onStopSignal } from '@sealpost/scripts/stop-signals';
import { stopAll } from '../harness/cleanup.ts';
import { table } from './report.ts';
import { runFaults } from './run-faults.ts';
import type { Durability } from './world.ts';

const USAGE = `A whole Sealpost, with faults striking all the time, and nothing may be lost.

  npm run test:faults -- [--minutes N] [--seed N] [--durability process|disk|replica] [--rate N]
                         [--only TEXT,…] [--short]

  --minutes     how long faults strike (default 10)
  --seed        decides which faults strike in which order (default: by chance; it is printed)
  --durability  SEALPOST_DURABILITY of the run (default process)
  --rate        events a second (default 40)
  --only        only faults whose name has one of these texts in it
  --short       each quick fault once, as in npm test
`;

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 1_000_000)) },
    durability: { type: 'string', default: 'process' },
    rate: { type: 'string', default: '40' },
    only: { type: 'string', default: '' },
    short: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
const minutes = Number(values.minutes);
const seed = Number(values.seed);
const eventsPerSecond = Number(values.rate);
const isMode = ['process', 'disk', 'replica'].includes(values.durability);
if (values.help || !(minutes > 0) || !Number.isInteger(seed) || !(eventsPerSecond > 0) || !isMode) {
  console.log(USAGE);
  process.exit(values.help ? 0 : 2);
}
const durability = values.durability as Durability;

const stop = new AbortController();
onStopSignal(
  () => {
    stop.abort();
    void stopAll().finally(() => process.exit(130));
  },
  () => process.exit(130),
);
await runMain(async () => {
  const how = values.short ? '--short' : `--minutes ${minutes}`;
  const only = values.only ? ` --only '${values.only}'` : '';
  const command = `npm run test:faults -- ${how} --seed ${seed} --durability ${durability} --rate ${eventsPerSecond}${only}`;
  console.log(`${command}\n`);
  try {
    const report = await runFaults({
      seed,
      durability,
      minutes: values.short ? undefined : minutes,
      eventsPerSecond,
      only: values.only.split(',').filter(Boolean),
      signal: stop.signal,
      say: (line) => console.log(line),
    });
    console.log(`\n${table(report.rows, report.skipped)}\n`);
    for (const [name, value] of Object.entries(report.totals)) console.log(`  ${name}: ${value}`);
    for (const failure of report.failures) console.log(`\nFAILED  ${failure}`);
    console.log(
      `\n${report.failures.length === 0 ? 'passed' : `${report.failures.length} failures`}: ${command}`,
    );
    if (report.failures.length > 0) process.exitCode = 1;
  } finally {
    await stopAll();
  }
});
process.exit();
