import { afterAll, beforeAll, expect, it } from 'vitest';
import baseline from '../bench/baseline.json' with { type: 'json' };
import { type Costs, complaints, MARGIN } from '../bench/guard/compare.ts';
import { Guard } from '../bench/guard/measure.ts';
import { canCountInstructions } from '../bench/harness/instructions.ts';

/** CPU time of other processes is read as Linux tells it. */
const onLinux = process.platform === 'linux';
/** Other work on the machine may spoil some rounds, but hardly all: before it complains, it measures again. */
const TRIES = 3;

let guard: Guard | undefined;

beforeAll(async () => {
  if (onLinux) guard = await Guard.start({ instructions: canCountInstructions() });
}, 300_000);

afterAll(() => guard?.stop());

// When this fails, something on the main path costs more than it did. If it has to: `npm run bench:baseline`.
it.runIf(onLinux)(
  'an event costs about what it did when the baseline was measured',
  { timeout: 600_000 },
  async () => {
    let worse: string[] = [];
    for (let tries = 0; tries < TRIES; tries += 1) {
      worse = complaints(baseline, await guard!.measure());
      if (worse.length === 0) break;
    }
    expect(worse).toEqual([]);
  },
);

const COSTS: Costs = {
  commands: { publish: { evalsha: 2, hget: 5 } },
  ratios: { cpu: { api: 1 }, instructions: { api: 1 } },
};

it.each<[string, Costs, number]>([
  ['the same', COSTS, 0],
  [
    'fewer commands and less work',
    { commands: { publish: { evalsha: 1 } }, ratios: { cpu: { api: 0.5 } } },
    0,
  ],
  ['an operation of which no command was counted', { commands: { publish: {} }, ratios: COSTS.ratios }, 1],
  ['an operation that was not tried', { commands: {}, ratios: COSTS.ratios }, 1],
  ['a process that was not measured', { commands: COSTS.commands, ratios: { cpu: {} } }, 1],
  ['now and then one by the clock', { commands: { publish: { evalsha: 2.3 } }, ratios: COSTS.ratios }, 0],
  ['a round trip more', { commands: { publish: { evalsha: 3, hget: 5 } }, ratios: COSTS.ratios }, 1],
  ['a command that was not there', { commands: { publish: { keys: 1 } }, ratios: COSTS.ratios }, 1],
  ['more work, within the margin', { commands: COSTS.commands, ratios: { cpu: { api: MARGIN - 0.01 } } }, 0],
  ['more work than that', { commands: COSTS.commands, ratios: { cpu: { api: MARGIN + 0.01 } } }, 1],
  [
    'more CPU time, but no more instructions',
    { commands: COSTS.commands, ratios: { cpu: { api: 2 }, instructions: { api: 1 } } },
    0,
  ],
])('compared with the baseline: %s', (_, now, worse) => {
  expect(complaints(COSTS, now)).toHaveLength(worse);
});
