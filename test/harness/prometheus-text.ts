import { execFile } from 'node:child_process';

export type Sample = { name: string; labels: Record<string, string>; value: number };
export type Family = { name: string; type: string; help: string; samples: Sample[] };

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)/gy;
const NUMBER = /^(?:[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|[+-]?inf|nan)$/i;

/**
 * Reads Prometheus' text format 0.0.4, and fails where `promtool check metrics` would: a family's HELP and TYPE once and
 * before its samples, samples of a family together, no series twice, counters and only counters named `_total`, histograms
 * cumulative with `+Inf`, sum and count, and units that Prometheus knows.
 */
export function readMetrics(text: string): Map<string, Family> {
  if (!text.endsWith('\n')) throw new Error('the last line does not end');
  const families = new Map<string, Family>();
  const series = new Set<string>();
  let current: Family | undefined;
  for (const line of text.split('\n')) {
    if (line === '') continue;
    const comment = /^# (HELP|TYPE) (\S+) ?(.*)$/.exec(line);
    if (comment) {
      current = readComment(families, current, comment[1]!, comment[2]!, comment[3]!);
      continue;
    }
    if (line.startsWith('#')) continue;
    const sample = readSample(line);
    if (current === undefined || !belongs(current, sample.name)) throw new Error(`stands elsewhere: ${line}`);
    const key = JSON.stringify([sample.name, Object.entries(sample.labels).sort()]);
    if (series.has(key)) throw new Error(`stands twice: ${line}`);
    series.add(key);
    current.samples.push(sample);
  }
  for (const family of families.values()) checkFamily(family);
  return families;
}

function readComment(
  families: Map<string, Family>,
  current: Family | undefined,
  kind: string,
  name: string,
  text: string,
): Family {
  const isNew = current?.name !== name;
  if (isNew && families.has(name)) throw new Error(`${name} stands in two places`);
  const family = isNew ? { name, type: '', help: '', samples: [] } : current;
  const field = kind === 'HELP' ? 'help' : 'type';
  if (family[field] !== '' || family.samples.length > 0)
    throw new Error(`${kind} of ${name} comes again, or too late`);
  family[field] = text;
  families.set(name, family);
  return family;
}

function readSample(line: string): Sample {
  const parts = /^([^{ ]+)(?:\{(.*)\})? (\S+)$/.exec(line);
  if (!parts || !NAME.test(parts[1]!) || !NUMBER.test(parts[3]!)) throw new Error(`not a sample: ${line}`);
  const labels: Record<string, string> = {};
  const text = parts[2] ?? '';
  LABEL.lastIndex = 0;
  let end = 0;
  for (const [all, label, value] of text.matchAll(LABEL)) {
    if (label! in labels) throw new Error(`a label twice: ${line}`);
    labels[label!] = value!;
    end += all.length;
  }
  if (end !== text.length) throw new Error(`not labels: ${line}`);
  const value = /inf/i.test(parts[3]!) ? Number.POSITIVE_INFINITY : Number(parts[3]);
  return { name: parts[1]!, labels, value };
}

function belongs({ name, type }: Family, sample: string): boolean {
  if (type !== 'histogram') return sample === name;
  return [`${name}_bucket`, `${name}_sum`, `${name}_count`].includes(sample);
}

function checkFamily({ name, type, help, samples }: Family): void {
  const wrong = (why: string) => new Error(`${name} ${why}`);
  if (!['counter', 'gauge', 'histogram'].includes(type)) throw wrong(`has the type ${type}`);
  if (help === '') throw wrong('has no help');
  if (name.endsWith('_total') !== (type === 'counter')) throw wrong(`is a ${type}`);
  if (/_(?:milliseconds|ms|minutes|hours|kilobytes|megabytes|percent)(?:_|$)/.test(name))
    throw wrong('has no base unit');
  if (/[A-Z]/.test(name) || /_(?:gauge|counter|histogram)(?:_|$)/.test(name)) throw wrong('is badly named');
  if (type === 'counter' && samples.some(({ value }) => value < 0)) throw wrong('is negative');
  if (type === 'histogram') checkHistogram(name, samples);
}

function checkHistogram(name: string, samples: Sample[]): void {
  const withoutLe = ({ labels: { le: _, ...rest } }: Sample) => JSON.stringify(Object.entries(rest).sort());
  for (const [labels, own] of Map.groupBy(samples, withoutLe)) {
    const buckets = own.filter((sample) => sample.name === `${name}_bucket`);
    const count = own.filter((sample) => sample.name === `${name}_count`);
    const sum = own.filter((sample) => sample.name === `${name}_sum`);
    const bounds = buckets.map((bucket) =>
      bucket.labels.le === '+Inf' ? Infinity : Number(bucket.labels.le),
    );
    const ascending = (values: number[]) => values.every((value, i) => i === 0 || value >= values[i - 1]!);
    if (count.length !== 1 || sum.length !== 1) throw new Error(`${name}${labels} lacks a sum or count`);
    if (!ascending(bounds) || new Set(bounds).size !== bounds.length || bounds.at(-1) !== Infinity)
      throw new Error(`${name}${labels} has the buckets ${bounds}`);
    if (!ascending(buckets.map(({ value }) => value)) || buckets.at(-1)!.value !== count[0]!.value)
      throw new Error(`${name}${labels} is not cumulative`);
  }
}

/** What a series is worth; 0 where it is not there. Of a histogram: how many were observed. */
export function amountOf(
  families: Map<string, Family>,
  name: string,
  labels: Record<string, string> = {},
): number {
  const family = families.get(name);
  if (!family) throw new Error(`there is no ${name}`);
  const sampleName = family.type === 'histogram' ? `${name}_count` : name;
  return family.samples
    .filter((sample) => sample.name === sampleName)
    .filter((sample) => Object.entries(labels).every(([label, value]) => sample.labels[label] === value))
    .reduce((sum, { value }) => sum + value, 0);
}

/** What `promtool check metrics` says of it; undefined where there is no promtool. */
export function promtool(text: string): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    const child = execFile('promtool', ['check', 'metrics'], (error, stdout, stderr) => {
      if ((error as NodeJS.ErrnoException | null)?.code === 'ENOENT') resolve(undefined);
      else if (error) reject(new Error(`promtool: ${stdout}${stderr}`, { cause: error }));
      else resolve(stdout + stderr);
    });
    child.stdin?.on('error', () => {}); // it is not there
    child.stdin?.end(text);
  });
}
