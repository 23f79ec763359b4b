import type { Latency } from './latency.ts';
import type { Bytes } from './memory.ts';
import type { Measured } from './rounds.ts';

export type Target = { name: string; bound: string; measured: string; met: boolean };

export type Found = {
  measured: Record<string, Measured>;
  /** By HTTP client, at a quarter, half and 80 % of the most that was measured. */
  latency: Record<string, Latency[]>;
  bytes: Bytes | undefined;
};

const HTTP = ['got', 'undici'] as const;

/** Those of which all that they compare was measured. */
export function judge(found: Found): Target[] {
  return [...publishTargets(found), ...deliverTargets(found), ...wholeTargets(found), ...restOfThem(found)];
}

function publishTargets({ measured }: Found): Target[] {
  const api = (key: string) => measured[key]?.cpu.api?.value;
  return [
    atMost(1.5, quotient(api('sealpost-single-undici'), api('floor')), {
      name: 'publish one by one: API, × Express + zod + add',
      unit: '×',
    }),
    ...[
      ['batches of 1,000', 'sealpost-batch-1000-undici'],
      ['batches of 100', 'sealpost-batch-100-undici'],
      ['NDJSON', 'sealpost-ndjson-undici'],
    ].map(([name, key]) => atMost(30, api(key!), { name: `publish, ${name}: API, an event`, unit: 'µs' })),
  ].flat();
}

function deliverTargets({ measured }: Found): Target[] {
  const worker = (key: string) => measured[key]?.cpu.worker?.value;
  const targets = HTTP.flatMap((http) => {
    const client = measured[`client-${http}`]?.cpu.client?.value;
    return [
      atMost(1.25, quotient(worker(`sealpost-batch-1000-${http}`), sum(worker('floor-backlog'), client)), {
        name: `deliver from a backlog, ${http}: worker, × (noop worker + client)`,
        unit: '×',
      }),
      atMost(1.25, quotient(worker(`sealpost-single-${http}`), sum(worker('floor'), client)), {
        name: `deliver as it comes, ${http}: worker, × (noop worker + client)`,
        unit: '×',
      }),
    ].flat();
  });
  const redis = measured['sealpost-single-undici']?.cpu.redis?.value;
  const beside = { name: "the naive sender's", value: measured['naive-undici']?.cpu.redis?.value };
  return [...targets, ...atMost(110, redis, { name: 'Redis, an event delivered', unit: 'µs', beside })];
}

function wholeTargets({ measured }: Found): Target[] {
  return HTTP.flatMap((http) => {
    const share = quotient(
      measured[`sealpost-single-${http}`]?.perSecond.value,
      measured[`naive-${http}`]?.perSecond.value,
    );
    if (share === undefined) return [];
    const name = `whole, ${http}: deliveries a second, × the naive sender's`;
    return [{ name, bound: 'at least 0.9 ×', measured: `${share.toFixed(2)} ×`, met: share >= 0.9 }];
  });
}

function restOfThem({ latency, bytes }: Found): Target[] {
  return [
    ...HTTP.flatMap((http) =>
      atMost(20, latency[http]?.[1]?.p95, { name: `p95 at half load, ${http}`, unit: 'ms' }),
    ),
    ...atMost(450, bytes?.waiting, { name: 'Redis, a waiting delivery', unit: 'bytes' }),
    ...atMost(500, bytes?.delivered, { name: 'Redis, a delivered one', unit: 'bytes' }),
  ];
}

type TargetText = {
  name: string;
  unit: '×' | 'µs' | 'ms' | 'bytes';
  /** Of the same run, since µs of one machine are not those of another. */
  beside?: { name: string; value: number | undefined };
};

function atMost(bound: number, measured: number | undefined, { name, unit, beside }: TargetText): Target[] {
  if (measured === undefined) return [];
  const digits = { '×': 2, µs: 0, ms: 1, bytes: 0 }[unit];
  const figure = Number.isFinite(measured) ? `${measured.toFixed(digits)} ${unit}` : 'not in time';
  const ratio = quotient(measured, beside?.value);
  const besides = ratio === undefined ? '' : ` (${ratio.toFixed(2)} × ${beside!.name})`;
  return [
    { name, bound: `at most ${bound} ${unit}`, measured: `${figure}${besides}`, met: measured <= bound },
  ];
}

function quotient(of: number | undefined, by: number | undefined): number | undefined {
  return of === undefined || by === undefined ? undefined : of / by;
}

function sum(one: number | undefined, other: number | undefined): number | undefined {
  return one === undefined || other === undefined ? undefined : one + other;
}
