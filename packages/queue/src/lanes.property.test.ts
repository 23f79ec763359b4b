import fc from 'fast-check';
import { afterAll, beforeAll, describe, it } from 'vitest';
import { TestShard } from '../test-shard.ts';
import { ENDPOINTS, ORIGIN, Simulation } from '../test-simulation.ts';

/**
 * More of them find more: `SEALPOST_PROPERTY_RUNS=2000` takes chance, and a failure prints its seed for
 * `SEALPOST_PROPERTY_SEED`. Without either the same runs are made each time, so that a red one is the change's doing.
 * `SEALPOST_PROPERTY_BESIDE`: the folder of another version, whose scripts are run beside these.
 */
const { SEALPOST_PROPERTY_RUNS, SEALPOST_PROPERTY_SEED, SEALPOST_PROPERTY_BESIDE } = process.env;
const RUNS = Number(SEALPOST_PROPERTY_RUNS ?? 150);
const SEED = SEALPOST_PROPERTY_SEED ?? (SEALPOST_PROPERTY_RUNS === undefined ? '20261122' : undefined);

let test: TestShard;

beforeAll(async () => {
  test = await TestShard.start({ beside: SEALPOST_PROPERTY_BESIDE });
});
afterAll(() => test.stop());

type Step = { name: string; run: (simulation: Simulation) => unknown };

const FINISH: Step = { name: 'finish', run: (simulation) => simulation.finish() };

const pick = fc.nat({ max: 50 });
const rarely = fc.nat({ max: 9 }).map((n) => n === 9);
const sometimes = fc.nat({ max: 2 }).map((n) => n === 2);
const endpoint = fc.constantFrom(...Object.keys(ENDPOINTS).map(Number));
const lane = fc.oneof({ weight: 4, arbitrary: endpoint }, { weight: 1, arbitrary: fc.constant(ORIGIN) });
const sign = fc.constantFrom('success', 'success', 'failure', 'failure', 'failure', 'overload', 'answer');
const settings = fc.constantFrom(
  { ps: 1 },
  { ps: undefined },
  { off: 1 },
  { off: undefined },
  { mc: 1 },
  { mc: 2 },
  { mc: undefined },
  { qh: '22-8 UTC' },
  { qh: '1-2 UTC', qs: 1 },
  { qh: undefined, qs: undefined },
);

/** Steps of a kind: what it is called, and what it does with what was drawn. */
function step<T extends unknown[]>(
  weight: number,
  name: string,
  drawn: { [K in keyof T]: fc.Arbitrary<T[K]> },
  run: (simulation: Simulation, ...args: T) => unknown,
): { weight: number; arbitrary: fc.Arbitrary<Step> } {
  const arbitrary = fc.tuple<T>(...drawn).map((args) => ({
    name: `${name}(${args.map((arg) => JSON.stringify(arg)).join(', ')})`,
    run: (simulation: Simulation) => run(simulation, ...args),
  }));
  return { weight, arbitrary };
}

const steps = fc.oneof(
  step(
    20,
    'accept',
    [fc.array(lane, { minLength: 1, maxLength: 5 }), rarely, rarely],
    (s, lanes, scheduled, lose) => s.accept(lanes, scheduled, { lose }),
  ),
  step(30, 'fetch', [pick, rarely], (s, n, lose) => s.fetch(n, { lose })),
  step(
    24,
    'settle',
    [pick, sign, sometimes, rarely, rarely, rarely],
    (s, n, says, isLast, holds, dies, lose) => s.settle(n, says, { isLast, holds, dies, lose }),
  ),
  step(8, 'outage', [lane, fc.integer({ min: 1, max: 8 })], (s, of, times) => s.outage(of, times)),
  step(8, 'detach', [pick, fc.constantFrom('detach', 'stuck'), rarely], (s, n, how, dies) =>
    s.detach(n, how, dies),
  ),
  step(2, 'release', [pick], (s, n) => s.release(n)),
  step(6, 'crash', [pick, fc.boolean()], (s, n, lives) => s.crash(n, lives)),
  step(8, 'pump', [fc.nat({ max: 4 }), rarely], (s, slots, lose) => s.pump(slots, { lose })),
  step(2, 'makeOverdue', [], (s) => s.makeOverdue()),
  step(4, 'reconcile', [rarely], (s, lose) => s.reconcile({ lose })),
  step(10, 'configure', [endpoint, settings], (s, of, change) => s.configure(of, change)),
  step(2, 'reopen', [endpoint], (s, of) => s.reopen(of)),
  step(8, 'pass', [lane], (s, of) => s.pass(of)),
  step(2, 'expireHeld', [], (s) => s.expireHeld()),
  step(5, 'cancel', [pick], (s, n) => s.cancel(n)),
  step(6, 'retry', [pick, rarely], (s, n, lose) => s.retry(n, { lose })),
  step(2, 'replay', [endpoint], (s, of) => s.replay(of)),
  step(5, 'boardRetry', [pick], (s, n) => s.boardRetry(n)),
  step(2, 'boardRemove', [pick], (s, n) => s.boardRemove(n)),
  step(2, 'deleteEndpoint', [rarely, endpoint], (s, yes, of) => yes && s.deleteEndpoint(of)),
  step(1, 'cancelDeleted', [], (s) => s.cancelDeleted()),
);

describe('lanes', () => {
  it('keep what they promise whatever happens in whatever order', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(steps, { maxLength: 120, size: 'max' }), async (path) => {
        const simulation = new Simulation(test);
        await simulation.start();
        for (const { name, run } of [...path, FINISH]) {
          try {
            await run(simulation);
          } catch (error) {
            throw new Error(`after ${name}:\n${(error as Error).message}`, { cause: error });
          }
        }
      }),
      {
        numRuns: RUNS,
        reporter: (details) => {
          if (!details.failed) return;
          const path = details.counterexample?.[0].map(({ name }) => name).join('\n');
          throw new Error(
            `seed ${details.seed}, path ${details.counterexamplePath}:\n${path}\n${String(details.errorInstance)}`,
          );
        },
        ...(SEED === undefined ? {} : { seed: Number(SEED) }),
      },
    );
  }, 3_600_000);
});
