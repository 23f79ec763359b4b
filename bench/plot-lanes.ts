import { readFile, writeFile } from 'node:fs/promises';
import type { Series } from './lanes/hang-and-flood.ts';

/*
 * Draws docs/lanes/latency.svg from two runs of hang-and-flood. The one without lanes is a run of the last commit before
 * them; from the root:
 *
 *   mkdir ../before && git archive ede906b | tar x -C ../before && cp -a node_modules ../before/
 *   npm run bench:lanes -- hang-and-flood --root ../before --json bench/results/without.json
 *   npm run bench:lanes -- hang-and-flood --json bench/results/with.json
 *   npm run bench:plot -- bench/results/without.json bench/results/with.json docs/lanes/latency.svg
 */

const WIDTH = 760;
const HEIGHT = 400;
const LEFT = 92;
const RIGHT = WIDTH - 22;
const TOP = 96;
const BOTTOM = HEIGHT - 50;
/** What had not arrived when the run ended is drawn above the scale. */
const MISSING_Y = TOP;
const SCALE_TOP = TOP + 34;
const LEAST_MS = 0.5;
const MOST_MS = 60_000;
const TICKS: [number, string][] = [
  [1, '1 ms'],
  [10, '10 ms'],
  [100, '100 ms'],
  [1000, '1 s'],
  [10_000, '10 s'],
];

const STYLE = `
  svg { --paper: #ffffff; --ink: #1f2328; --soft: #59636e; --grid: #d9dee3; --with: #0969da; --without: #cf222e; }
  @media (prefers-color-scheme: dark) {
    svg { --paper: #0d1117; --ink: #e6edf3; --soft: #9198a1; --grid: #2d333b; --with: #4493f8; --without: #ff7b72; }
  }
  text { font: 13px system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif; fill: var(--soft); }
  .title { font-size: 16px; font-weight: 600; fill: var(--ink); }
  .paper { fill: var(--paper); }
  .grid { stroke: var(--grid); }
  .event { stroke: var(--soft); stroke-dasharray: 4 3; }
  .line { fill: none; stroke-width: 2.2; stroke-linejoin: round; stroke-linecap: round; }
  .with { stroke: var(--with); } .without { stroke: var(--without); }
  .band { stroke: none; opacity: 0.2; } .band.with { fill: var(--with); } .band.without { fill: var(--without); }
  .label { font-weight: 600; } .label.with { stroke: none; fill: var(--with); }
  .label.without { stroke: none; fill: var(--without); }`;

type Row = Series['seconds'][number];

async function rowsOf(file: string): Promise<Row[]> {
  const { results } = JSON.parse(await readFile(file, 'utf8'));
  const { seconds } = results['hang-and-flood'].series.withBad as Series;
  // The last second is not whole.
  return seconds.toSorted((a, b) => a.second - b.second).slice(0, -1);
}

function svg(without: Row[], withLanes: Row[]): string {
  const all = [...without, ...withLanes].map(({ second }) => second);
  const [from, to] = [Math.min(...all), Math.max(...all) + 1];
  const x = (second: number) => round(LEFT + ((second - from) / (to - from)) * (RIGHT - LEFT));
  const parts = [
    `<rect class="paper" width="${WIDTH}" height="${HEIGHT}" rx="8"/>`,
    text(LEFT, 30, 'Latency of 50 healthy endpoints, from 202 to arrival', 'title'),
    text(LEFT, 51, 'Each second’s p95, and the range from the median to it. One worker with 50 slots.'),
    axes(x, from, to),
    event(x(0)),
    run('without', without, x),
    run('with', withLanes, x),
  ];
  const label = 'Latency of healthy endpoints over time, with lanes and without';
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${label}">
<style>${STYLE}
</style>
${parts.join('\n')}
</svg>
`;
}

function axes(x: (second: number) => number, from: number, to: number): string {
  const rows = TICKS.map(
    ([value, name]) => `${line(y(value))}${text(LEFT - 10, y(value) + 4, name, '', 'end')}`,
  );
  const seconds = [];
  for (let second = Math.ceil(from / 10) * 10; second <= to; second += 10) {
    seconds.push(text(x(second), BOTTOM + 20, `${second}`.replace('-', '−'), '', 'middle'));
  }
  return [
    line(MISSING_Y),
    text(LEFT - 10, MISSING_Y + 4, 'not arrived', '', 'end'),
    ...rows,
    line(BOTTOM),
    ...seconds,
    text((LEFT + RIGHT) / 2, BOTTOM + 40, 'seconds since the two bad endpoints began', '', 'middle'),
  ].join('\n');
}

function event(at: number): string {
  return [
    `<path class="event" d="M${at} ${TOP - 22}V${BOTTOM}"/>`,
    text(at + 7, TOP - 13, 'one endpoint hangs and one floods, each with 20,000 deliveries waiting'),
  ].join('\n');
}

function run(name: 'with' | 'without', rows: Row[], x: (second: number) => number): string {
  const middle = (row: Row) => x(row.second + 0.5);
  const p95 = rows.map((row) => `${middle(row)} ${y(row.p95)}`);
  const p50 = rows.map((row) => `${middle(row)} ${y(row.p50)}`).toReversed();
  const last = rows.at(-1)!;
  const end = last.p95 === null ? ': not arrived when the run ended' : '';
  const title = `${name} lanes${end}`;
  // Above the line where the label stands, or below the upper edge.
  const highest = Math.min(...rows.slice(-8).map((row) => y(row.p95)));
  const labelY = last.p95 === null ? MISSING_Y + 19 : highest - 10;
  return [
    `<path class="band ${name}" d="M${p95.join('L')}L${p50.join('L')}Z"/>`,
    `<path class="line ${name}" d="M${p95.join('L')}"/>`,
    text(RIGHT, labelY, title, `label ${name}`, 'end'),
  ].join('\n');
}

/** null: it had not arrived when the run ended. */
function y(latency: number | null): number {
  if (latency === null) return MISSING_Y;
  const share = Math.log(Math.max(latency, LEAST_MS) / LEAST_MS) / Math.log(MOST_MS / LEAST_MS);
  return round(BOTTOM - share * (BOTTOM - SCALE_TOP));
}

function line(at: number): string {
  return `<path class="grid" d="M${LEFT} ${at}H${RIGHT}"/>`;
}

function text(x: number, at: number, content: string, style = '', anchor = 'start'): string {
  const classes = style ? ` class="${style}"` : '';
  return `<text${classes} x="${x}" y="${at}" text-anchor="${anchor}">${content}</text>`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

const [without, withLanes, out] = process.argv.slice(2);
if (!without || !withLanes || !out) {
  console.log('npm run bench:plot -- WITHOUT.json WITH.json OUT.svg');
  process.exit(2);
}
await writeFile(out, svg(await rowsOf(without), await rowsOf(withLanes)));
