import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { runMain } from '@sealpost/scripts/launcher-error';
import { writeFigures } from './harness/machine.ts';
import { heading, type Result, tell } from './harness/report.ts';
import { cdnFails } from './lanes/cdn-fails.ts';
import { closedLane } from './lanes/closed-lane.ts';
import { hangAndFlood } from './lanes/hang-and-flood.ts';
import { idleAmong10000 } from './lanes/idle-among-10000.ts';
import type { Options, Scenario } from './lanes/options.ts';
import { rateLimit } from './lanes/rate-limit.ts';
import { recover } from './lanes/recover.ts';

const SCENARIOS: Record<string, Scenario> = {
  'hang-and-flood': hangAndFlood,
  'cdn-fails': cdnFails,
  'idle-among-10000': idleAmong10000,
  'closed-lane': closedLane,
  'rate-limit': rateLimit,
  recover,
};

const USAGE = `What lanes do for one endpoint while others misbehave.

  npm run bench:lanes -- [scenario…] [--seconds N] [--short] [--json FILE] [--root DIR]

  ${Object.keys(SCENARIOS).join(' ')}   (default: all)
  --seconds   how long hang-and-flood and cdn-fails are measured
  --short     smaller sizes, to see that it works
  --json      writes the figures to FILE
  --root      measures the Sealpost in this folder (with its node_modules) instead of this one

  BENCH_LOGS=1 shows what API and workers log. Only the figures of an otherwise idle machine mean something.
`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seconds: { type: 'string' },
    short: { type: 'boolean', default: false },
    json: { type: 'string' },
    root: { type: 'string', default: join(import.meta.dirname, '..') },
    help: { type: 'boolean', default: false },
  },
});

const unknown = positionals.filter((name) => !(name in SCENARIOS));
const seconds = values.seconds === undefined ? undefined : Number(values.seconds);
if (values.help || unknown.length > 0 || !(seconds === undefined || seconds > 0)) {
  console.log(USAGE);
  process.exit(values.help ? 0 : 2);
}

const options: Options = { root: resolve(values.root), short: values.short, seconds };

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));
await runMain(async () => {
  const results: Record<string, Result> = {};
  for (const name of positionals.length > 0 ? positionals : Object.keys(SCENARIOS)) {
    heading(name);
    const result = await SCENARIOS[name]!(options);
    results[name] = result;
    for (const verdict of result.verdicts) tell(verdict);
    if (!result.verdicts.every(({ ok }) => ok)) process.exitCode = 1;
  }
  if (values.json !== undefined) {
    await writeFigures(values.json, options.root, { ...options, root: undefined, results });
  }
});
process.exit(); // after an error something may still hold it
