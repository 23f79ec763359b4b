import { percentile } from '../../bench/harness/statistics.ts';
import { FAN_OUT, type OverloadReport, type Row } from './run-overload.ts';

const MB = 2 ** 20;
/** What an API or worker may hold, whatever waits: Node collects late while it is busy, and an API knows 10,000 endpoints. */
const MOST_OF_A_PROCESS = 512 * MB;
/** What a delivery may take in Redis, with its share of the event, waiting or delivered. */
const MOST_OF_A_DELIVERY = 800;

/** What went wrong; none of it depends on how fast the machine is. */
export function failuresOf(report: OverloadReport, depth: number, inFlight: number): string[] {
  const failures: string[] = [];
  const check = (ok: boolean, failure: string) => {
    if (!ok) failures.push(failure);
  };
  const { arrived, rows } = report;
  const expected = report.acceptedEvents * FAN_OUT;
  check(report.leftOpen === 0, `${report.leftOpen} deliveries are still open`);
  check(report.missing === 0, `${report.missing} of ${expected} accepted deliveries have not arrived`);
  check(arrived.repeated === 0, `${arrived.repeated} arrived more than once, and nothing was killed`);
  check(report.refusedCalls > 0, 'nothing was refused');
  check(report.mostOpen >= depth * 0.99, `events were refused although only ${report.mostOpen} were open`);
  check(report.mostOpen <= depth + inFlight, `${report.mostOpen} were open, ${depth} may be`);
  check(report.errors.length === 0, `other answers than 202 and 503 overloaded: ${report.errors[0]}`);
  for (const { name, memory, statuses } of rows) {
    for (const who of ['api', 'worker'] as const)
      check(memory[who] < MOST_OF_A_PROCESS, `${name}: the ${who} held ${Math.round(memory[who] / MB)} MB`);
    for (const status of statuses.keys()) {
      const expected = status.endsWith(' 200') || status === 'publish 202' || status === 'publish 503';
      check(expected, `${name}: ${status}`);
    }
  }
  const perDelivery = (report.after.redisData - report.before.redisData) / expected;
  check(perDelivery < MOST_OF_A_DELIVERY, `a delivery takes ${Math.round(perDelivery)} bytes in Redis`);
  // At the end of a row a fast fleet may just have made room; at that of one it sheds, and says so.
  const said = new Set(rows.map(({ ready }) => ready[0]).filter((ready) => ready !== '200'));
  const sheds = [...said].join() === '200 (too many deliveries wait)';
  check(sheds, `an API that sheds: ${[...said].join() || '200'}`);
  check(rows.at(-1)?.ready.every((said) => said === '200') ?? false, `at the end: ${rows.at(-1)?.ready}`);
  return failures;
}

/** Columns for people: a line a row. */
export function tableOf(rows: Row[]): { head: string[]; lines: string[][] } {
  const head = [
    'while', 's', 'open', 'arrived/s', 'publish p50', 'p95', 'p99', 'list p95', 'list of a busy app p95',
    'API MB', 'worker MB', 'Redis MB', 'its data MB',
  ]; // biome-ignore format: one line each would be a page
  const lines = rows.map((row) => {
    const { publish, list, listBusy } = row.latencies;
    const of = (latencies: number[], share: number) => {
      const sorted = latencies.toSorted((a, b) => a - b);
      return sorted.length === 0 ? '–' : percentile(sorted, share).toFixed(1);
    };
    const mb = (bytes: number) => String(Math.round(bytes / MB));
    const { api, worker, redis, redisData } = row.memory;
    return [
      row.name, row.seconds.toFixed(0), row.open.toLocaleString('en'), Math.round(row.arrived / row.seconds).toLocaleString('en'),
      of(publish, 0.5), of(publish, 0.95), of(publish, 0.99), of(list, 0.95), of(listBusy, 0.95),
      mb(api), mb(worker), mb(redis), mb(redisData),
    ]; // biome-ignore format: as above
  });
  return { head, lines };
}
