import { parseArgs } from 'node:util';
import { runMain } from '@sealpost/scripts/launcher-error';
import { onStopSignal } from '@sealpost/scripts/stop-signals';
import { say, table } from '../../bench/harness/report.ts';
import { stopAll } from '../harness/cleanup.ts';
import { failuresOf, tableOf } from './conclude.ts';
import { FAN_OUT, type OverloadReport, runOverload } from './run-overload.ts';

const USAGE = `A producer faster than the fleet: what waits, what it costs, and when events are refused.

  npm run test:overload -- [--deliveries N] [--endpoints N] [--workers N]

  --deliveries  so many shall wait; from there on events are refused (default 1000000)
  --endpoints   default 10000
  --workers     default 2
`;
const APPS = 10;
/** Four calls of 100 events may be under way when the limit is reached. */
const IN_FLIGHT = 4 * 100 * FAN_OUT;

const { values } = parseArgs({
  options: {
    deliveries: { type: 'string', default: '1000000' },
    endpoints: { type: 'string', default: '10000' },
    workers: { type: 'string', default: '2' },
    help: { type: 'boolean', default: false },
  },
});
const [deliveries, endpoints, workers] = [values.deliveries, values.endpoints, values.workers].map(
  Number,
) as [number, number, number];
const sizes = deliveries >= 1000 && endpoints >= APPS * FAN_OUT && workers >= 1;
if (values.help || !sizes || ![deliveries, endpoints, workers].every(Number.isInteger)) {
  console.log(USAGE);
  process.exit(values.help ? 0 : 2);
}

const stop = new AbortController();
onStopSignal(
  () => {
    stop.abort();
    void stopAll().finally(() => process.exit(130));
  },
  () => process.exit(130),
);
await runMain(async () => {
  try {
    const report = await runOverload({
      deliveries,
      apps: APPS,
      types: Math.floor(endpoints / APPS / FAN_OUT),
      workers,
      perRow: Math.ceil(deliveries / 10),
      sheddingMs: 20_000,
      catchUpMs: 3_600_000,
      signal: stop.signal,
      say,
    });
    tell(report);
  } finally {
    await stopAll();
  }
});
process.exit();

function tell(report: OverloadReport): void {
  const { head, lines } = tableOf(report.rows);
  table(head, lines);
  const expected = report.acceptedEvents * FAN_OUT;
  console.log(
    `  accepted: ${report.acceptedEvents} events, ${expected} deliveries; most open at once: ${report.mostOpen}`,
  );
  console.log(
    `  refused: ${report.refusedCalls} calls; missing: ${report.missing}; repeated: ${report.arrived.repeated}`,
  );
  const bytes = (report.after.redisData - report.before.redisData) / expected;
  console.log(`  bytes of Redis a delivery when all have arrived: ${bytes.toFixed(0)}`);
  for (const { name, ready, statuses } of report.rows)
    console.log(
      `  ${name}: readyz ${ready.join(', ')}; ${[...statuses].map(([what, n]) => `${what}: ${n}`).join(', ')}`,
    );
  const failures = failuresOf(report, deliveries, IN_FLIGHT);
  for (const failure of failures) console.log(`\nFAILED  ${failure}`);
  console.log(failures.length === 0 ? '\npassed' : `\n${failures.length} failures`);
  if (failures.length > 0) process.exitCode = 1;
}
