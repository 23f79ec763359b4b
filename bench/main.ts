import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { runMain } from '@sealpost/scripts/launcher-error';
import { canCountInstructions } from './harness/instructions.ts';
import { machine, writeFigures } from './harness/machine.ts';
import { Receivers } from './harness/receivers.ts';
import { n, say, table } from './harness/report.ts';
import { machineSeconds } from './harness/usage.ts';
import { replaceFigures } from './main/docs.ts';
import { type Latency, latencyAt } from './main/latency.ts';
import { measureBytes } from './main/memory.ts';
import { PARTS, type Planned, plan } from './main/plan.ts';
import { type Case, inTurns, type Measured } from './main/rounds.ts';
import { asMarkdown, type Results, tablesOf } from './main/show.ts';
import { Systems } from './main/systems.ts';
import { judge } from './main/targets.ts';

const USAGE = `What an event costs Sealpost, and what it would cost the least that the same packages can do.

  npm run bench -- [--only PART,…] [--short] [--rounds N] [--deliveries N] [--json FILE] [--base DIR] [--instructions]

  --only          of ${PARTS.join(', ')} (default: all)
  --short         small and few rounds, to see that it works
  --rounds        at most so many count (10); the second best is told
  --deliveries    of each round (1000)
  --json          where the figures go (bench-results.json, which git ignores)
  --docs          puts the tables into docs/benchmarks.md as well
  --root          measures the Sealpost in this folder (with its node_modules) instead of this one
  --base          measures the Sealpost in this folder as well, in turns with it
  --instructions  counts the instructions as well, with perf; other work on the machine hardly changes them

  BENCH_LOGS=1 shows what the processes log. Only the figures of an otherwise idle machine mean something.
`;

/** No more rounds after this, so that everything is done within five minutes. */
const BUDGET_S = 140;

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
    docs: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
const { short } = values;
const parts = new Set(values.only?.split(',') ?? PARTS);
const rounds = Number(values.rounds ?? (short ? 1 : 10));
const deliveries = Number(values.deliveries ?? (short ? 100 : 1000));
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
  const root = resolve(values.root);
  const systems = new Systems(new Receivers());
  const planned = plan(systems, {
    root,
    base: values.base && resolve(values.base),
    deliveries,
    manyEndpoints: short ? 200 : 10_000,
    instructions: values.instructions,
  }).filter((one) => one.parts.some((part) => parts.has(part)));
  const { measured, others } = await measureInTurns(planned);
  const made = roundsOf(measured);
  const latency = parts.has('latency') ? await latencies(systems, root, measured) : {};
  const bytes = parts.has('memory')
    ? await measureBytes(await systems.sealpost('Sealpost', root, 'undici'), short ? 2000 : 20_000)
    : undefined;
  const results: Results = { measured, latency, bytes, resident: await systems.resident() };
  const tables = tablesOf(planned, results);
  for (const { head, rows } of tables) table(head, rows);
  if (values.docs) {
    const docs = join(root, 'docs', 'benchmarks.md');
    await replaceFigures(docs, [describe(root, others, made), asMarkdown(tables)].join('\n\n'));
  }
  await writeFigures(values.json, root, {
    rounds: made,
    deliveries,
    others,
    ...results,
    targets: judge(results),
  });
  say(`All figures are in ${values.json}.`);
  await systems.stop();
});
process.exit(); // after an error something may still hold it

/** `others`: cores that other processes took. */
type InTurns = { measured: Record<string, Measured>; others: number };

/** Says what else the machine did meanwhile: figures that were measured beside others' work mean little. */
async function measureInTurns(planned: Planned[]): Promise<InTurns> {
  const cases: Case[] = [];
  for (const { key, label, setUp } of planned) {
    cases.push({ name: key, run: await setUp() });
    say(`ready: ${label}`);
  }
  if (cases.length === 0) return { measured: {}, others: 0 };
  const start = performance.now();
  const before = await machineSeconds();
  const measured = await inTurns(cases, {
    rounds,
    warmUp: short ? 1 : 3,
    budget: BUDGET_S,
    onRound: (round) => say(round > 0 ? `round ${round} of ${rounds}` : 'warming up'),
  });
  const { all, ours } = await machineSeconds();
  const elapsed = (performance.now() - start) / 1000;
  const others = Math.max(0, all - before.all - (ours - before.ours)) / elapsed;
  say(`Other processes of this machine took ${percent(others)} of a core meanwhile.`);
  return { measured, others };
}

function percent(share: number): string {
  return `${(100 * share).toFixed(0)} %`;
}

/** How many count: fewer than were asked for where there was no time for all. */
function roundsOf(measured: Record<string, Measured>): number {
  const all = Object.values(measured).map(({ perSecond }) => perSecond.rounds.length);
  return all.length > 0 ? Math.min(...all) : 0;
}

/** What the figures of the docs were measured on, and how. */
function describe(root: string, others: number, made: number): string {
  const { cpu, cores, node, commit } = machine(root);
  const command = ['npm run bench --', ...process.argv.slice(2)].join(' ');
  return (
    `Measured with \`${command}\` at ${commit}: ${cores} cores of ${cpu}, Node ${node}, ${made} rounds of ` +
    `${deliveries} deliveries. Other processes of the machine took ${percent(others)} of a core meanwhile.`
  );
}

/** By HTTP client, at each share of what it delivered at most. */
async function latencies(
  systems: Systems,
  root: string,
  measured: Record<string, Measured>,
): Promise<Record<string, Latency[]>> {
  const found: Record<string, Latency[]> = {};
  for (const http of ['got', 'undici'] as const) {
    const sealpost = await systems.sealpost('Sealpost', root, http);
    const app = await systems.app(sealpost, 'latency', { endpoints: 10, keepIds: true });
    const most = measured[`sealpost-single-${http}`]!.perSecond.value;
    found[http] = [];
    for (const share of [0.25, 0.5, 0.8]) {
      found[http].push(await latencyAt(app, Math.floor(most * share), short ? 1 : 6));
      say(`latency measured: ${http}, ${share * 100} % of ${n(most)} a second`);
    }
  }
  return found;
}
