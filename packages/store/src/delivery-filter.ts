import { type DeliveryStatus, endpointNumber } from '@sealpost/core';
import type { AppPart } from './app-config.ts';
import type { Delivery } from './deliveries.ts';

/** Which deliveries of an app are listed. */
export type DeliveryFilter = {
  statuses?: readonly DeliveryStatus[] | undefined;
  eventType?: string | undefined;
  /** ms epoch, inclusive / exclusive. */
  since?: number | undefined;
  until?: number | undefined;
  endpoint?: string | undefined;
  /** Numbers of the deliveries of one event: nothing else is looked at. */
  numbers?: readonly number[] | undefined;
  correlation?: string | undefined;
};

/** The shortest index that has all that the filter can match, and the counts that belong to it. */
export function indexOf(
  part: AppPart,
  filter: DeliveryFilter,
): { index: string; counts: string } | undefined {
  if (filter.endpoint !== undefined) {
    const number = endpointNumber(part.shard, filter.endpoint);
    return number === undefined ? undefined : { index: `x:${number}`, counts: `c:${number}` };
  }
  if (filter.correlation !== undefined) {
    const name = `${part.number}:${filter.correlation}`;
    return { index: `kx:${name}`, counts: `k:${name}` };
  }
  return { index: `x:${part.number}`, counts: `c:${part.number}` };
}

/** A total by status alone is counted, not found by looking. */
export function exactTotal(filter: DeliveryFilter): boolean {
  const { statuses, endpoint, correlation, ...others } = filter;
  const oneIndex = endpoint === undefined || correlation === undefined;
  return statuses !== undefined && oneIndex && Object.values(others).every((value) => value === undefined);
}

/** Undefined: everything in the index matches. The app is always checked where the index is an endpoint's. */
export function filterOf(
  part: AppPart,
  filter: DeliveryFilter,
): ((delivery: Delivery) => boolean) | undefined {
  const tests: ((delivery: Delivery) => boolean)[] = [];
  const { statuses, eventType, since, until, endpoint, numbers, correlation } = filter;
  if (statuses !== undefined) tests.push(({ record }) => statuses.includes(record.status));
  if (eventType !== undefined) tests.push((delivery) => delivery.event.t === eventType);
  if (since !== undefined) tests.push(({ record }) => record.createdAt >= since);
  if (until !== undefined) tests.push(({ record }) => record.createdAt < until);
  if (endpoint !== undefined && numbers) tests.push((delivery) => delivery.endpointId === endpoint);
  if (correlation !== undefined && (numbers || endpoint !== undefined)) {
    tests.push((delivery) => delivery.event.c === correlation);
  }
  if (tests.length === 0) return undefined;
  return (delivery) => delivery.record.app === part.number && tests.every((test) => test(delivery));
}
