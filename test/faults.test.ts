import { expect, it } from 'vitest';
import { table } from './faults/report.ts';
import { runFaults } from './faults/run-faults.ts';

it('nothing is lost while every fault that is over within seconds strikes once', async () => {
  const report = await runFaults({
    seed: 7,
    durability: 'process',
    minutes: undefined,
    eventsPerSecond: 20,
    say: () => {},
  });
  expect(report.failures, `${table(report.rows, report.skipped)}\n${report.failures.join('\n\n')}`).toEqual(
    [],
  );
}, 600_000);
