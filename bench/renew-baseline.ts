import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runMain } from '@sealpost/scripts/launcher-error';
import { type Costs, complaints } from './guard/compare.ts';
import { Guard } from './guard/measure.ts';
import { canCountInstructions } from './harness/instructions.ts';

/*
 * `npm run bench:baseline`: measures what the main path takes now and writes it to bench/baseline.json, with which
 * test/bench-guard.test.ts compares from then on. For when it costs more for a good reason, or less: then what was
 * gained is guarded.
 */

const FILE = join(import.meta.dirname, 'baseline.json');

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));
await runMain(async () => {
  const instructions = canCountInstructions();
  if (!instructions) console.log('perf is not here, or may not count: the baseline will have CPU time only.');
  const guard = await Guard.start({ instructions });
  // More rounds than the guard itself: what is noise in the baseline is noise in every comparison.
  await guard.measure();
  await guard.measure();
  const costs = await guard.measure();
  const before = await readFile(FILE, 'utf8').catch(() => undefined);
  if (before)
    for (const line of complaints(JSON.parse(before) as Costs, costs)) console.log(`worse: ${line}`);
  await writeFile(FILE, `${JSON.stringify(costs, rounded, 2)}\n`);
  console.log(JSON.stringify(costs.ratios, rounded, 2));
  console.log(`Written to ${FILE}.`);
  await guard.stop();
});
process.exit(); // after an error something may still hold it

function rounded(_key: string, value: unknown): unknown {
  return typeof value === 'number' ? Math.round(value * 1000) / 1000 : value;
}
