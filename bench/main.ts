import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { runMain } from '@sealpost/scripts/launcher-error';
import { canCountInstructions } from './harness/instructions.ts';
import { writeFigures } from './harness/machine.ts';
import { Receivers } from './harness/receivers.ts';
import { n, say, table } from './harness/report.ts';
import { PARTS, plan } from './main/plan.ts';
import { type Case, inTurns } from './main/rounds.ts';
import { Systems } from './main/systems.ts';

const USAGE = `What an event costs Sealpost, and what it would cost the least that the same packages can do.

  npm run bench -- [--only PART,…] [--short] [--rounds N] [--deliveries N] [--json FILE] [--base DIR] [--instructions]

  --only          of ${PARTS.join(', ')} (default: all)
  --short         small and few rounds, to see that it works
  --rounds        at most so many count (8); of ten rounds the second best is told
  --deliveries    of each round (1500)
  --json          where the figures go (bench-results.json)
  --root          measures the Sealpost in this folder (with its node_modules) instead of this one
  --base          measures the Sealpost in this folder as well, in turns with it
  --instructions  counts the instructions as well, with perf; other work on the machine hardly changes them

  BENCH_LOGS=1 shows what the processes log. Only the figures of an otherwise idle machine mean something.
`;

/** Rounds end then, s, that all stay under five minutes. */
const BUDGET = 150;

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    short: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    deliveries: { type: 'string' },
    json: { type: 'string', default: 'bench-results.json' },
    root: { type: 'string', default: join(import.meta.dirname, '..') },
    base: { type: 'string' },
    instructions: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
const { short } = values;
const parts = new Set(values.only?.split(',') ?? PARTS);
const rounds = Number(values.rounds ?? (short ? 1 : 8));
const deliveries = Number(values.deliveries ?? (short ? 100 : 1500));
const sound = [...parts].every((part) => PARTS.includes(part)) && rounds > 0 && deliveries > 0;
if (values.help || !sound) {
  console.log(USAGE);
  process.exit(values.help ? 0 : 2);
}
if (values.instructions && !canCountInstructions()) {
  console.error('perf is not here, or may not count.');
  process.exit(1);
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));
await runMain(async () => {
  const systems = new Systems(new Receivers());
  const chosen = plan(systems, {
    root: resolve(values.root),
    base: values.base && resolve(values.base),
    deliveries,
    manyEndpoints: short ? 200 : 10_000,
    instructions: values.instructions,
  }).filter((planned) => planned.parts.some((part) => parts.has(part)));
  const cases: Case[] = [];
  for (const { key, label, setUp } of chosen) {
    cases.push({ name: key, run: await setUp() });
    say(`ready: ${label}`);
  }
  const start = performance.now();
  const measured = await inTurns(cases, {
    rounds,
    warmUp: short ? 1 : 3,
    onRound: (round) => {
      say(round > 0 ? `round ${round} of ${rounds}` : 'warming up');
      return (performance.now() - start) / 1000 < BUDGET;
    },
  });
  table(
    ['CPU µs a delivery', 'API', 'worker', 'Redis', 'client', 'a second'],
    chosen.map(({ key, label }) => [
      label,
      ...['api', 'worker', 'redis', 'client'].map((name) => measured[key]?.cpu[name]?.value.toFixed(0) ?? ''),
      n(measured[key]!.perSecond.value),
    ]),
  );
  if (values.instructions)
    table(
      ['1,000 instructions a delivery', 'API', 'worker', 'Redis'],
      chosen.map(({ key, label }) => [
        label,
        ...['api', 'worker', 'redis'].map((name) => {
          const count = measured[key]?.instructions[name]?.value;
          return count === undefined ? '' : (count / 1000).toFixed(0);
        }),
      ]),
    );
  await writeFigures(values.json, values.root, { measured });
  await systems.stop();
});
process.exit(); // after an error something may still hold it
