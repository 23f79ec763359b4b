import { ms, n } from '../harness/report.ts';
import type { Latency } from './latency.ts';
import type { Bytes } from './memory.ts';
import type { Planned } from './plan.ts';
import type { Figure, Measured } from './rounds.ts';
import { type Found, judge } from './targets.ts';

export type Table = { head: string[]; rows: string[][] };

const PROCESSES = ['api', 'worker', 'redis', 'client'];
const SHARES = ['a quarter', 'half', '80 %'];

/** @param resident bytes that the processes of each system hold */
export type Results = Found & { resident: Record<string, Record<string, number>> };

/** Everything that was measured. */
export function tablesOf(planned: Planned[], results: Results): Table[] {
  const { measured, latency, bytes, resident } = results;
  const counted = Object.values(measured).some(({ instructions }) => 'api' in instructions);
  return [
    costs('CPU µs a delivery', planned, measured, ({ cpu }) => cpu, true),
    ...(counted ? [costs('1,000 instructions a delivery', planned, measured, thousands, false)] : []),
    latencies(latency),
    ...(bytes ? [bytesTable(bytes)] : []),
    residents(resident),
    targets(results),
  ].filter(({ rows }) => rows.length > 0);
}

function thousands({ instructions }: Measured): Record<string, Figure> {
  const of = (figure: Figure) => ({ ...figure, value: figure.value / 1000 });
  return Object.fromEntries(Object.entries(instructions).map(([name, figure]) => [name, of(figure)]));
}

function costs(
  title: string,
  planned: Planned[],
  measured: Record<string, Measured>,
  figuresOf: (measured: Measured) => Record<string, Figure>,
  withSpeed: boolean,
): Table {
  const rows = planned.map(({ key, label }) => {
    const figures = figuresOf(measured[key]!);
    const values = PROCESSES.map((name) => figures[name]?.value);
    const all = values.reduce<number>((sum, value) => sum + (value ?? 0), 0);
    const cells = [...values, all].map((value) => (value === undefined ? '' : value.toFixed(0)));
    return [label, ...cells, ...(withSpeed ? [n(measured[key]!.perSecond.value)] : [])];
  });
  const head = [title, 'API', 'worker', 'Redis', 'client', 'all', ...(withSpeed ? ['a second'] : [])];
  return { head, rows };
}

function latencies(latency: Record<string, Latency[]>): Table {
  const rows = Object.entries(latency).flatMap(([http, all]) =>
    all.map(({ perSecond, p50, p95, p99, max, missing }, i) => [
      `${http}, ${SHARES[i]} of the most`,
      n(perSecond),
      ...[p50, p95, p99, max].map(ms),
      n(missing),
    ]),
  );
  return { head: ['request to arrival', 'a second', 'p50', 'p95', 'p99', 'max', 'missing'], rows };
}

function bytesTable({ waiting, delivered, delayed }: Bytes): Table {
  const row = (name: string, value: number) => [name, n(value)];
  return {
    head: ['Redis holds for a delivery at fan-out 1, beyond the body', 'bytes'],
    rows: [
      row('waiting in its lane', waiting),
      row('waiting for its retry, with its job', delayed),
      row('delivered', delivered),
    ],
  };
}

function residents(resident: Results['resident']): Table {
  const names = PROCESSES.slice(0, 3);
  const rows = Object.entries(resident).map(([system, of]) => [
    system,
    ...names.map((name) => n(of[name]! / 2 ** 20)),
  ]);
  return { head: ['resident memory at the end, MiB', 'API', 'worker', 'Redis'], rows };
}

function targets(results: Found): Table {
  const rows = judge(results).map(({ name, bound, measured, met }) => [
    name,
    bound,
    measured,
    met ? 'met' : 'not met',
  ]);
  return { head: ['target', 'bound', 'measured', ''], rows };
}

export function asMarkdown(tables: Table[]): string {
  const line = (cells: string[]) => `| ${cells.join(' | ')} |`;
  return tables
    .map(({ head, rows }) => [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n'))
    .join('\n\n');
}
