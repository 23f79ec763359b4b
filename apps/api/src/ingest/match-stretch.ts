import type { AppConfig } from '@sealpost/store';
import type { PublishFilters } from './filter-events.ts';
import { matchEndpoints, type Target } from './match-endpoints.ts';
import type { Draft } from './prepare-event.ts';

/** Deliveries that are stored and enqueued together: with more, what waits for Redis' answers outlives its garbage collection. */
const MOST_DELIVERIES = 200;

/**
 * Targets of the first events of `todo`, one at least: as many events as make MOST_DELIVERIES, or as the filters' time is
 * enough for. The time of one stretch is enough for an event whose filters are not too much by themselves.
 * @param todo places in `drafts`
 */
export function matchStretch(
  config: AppConfig,
  drafts: Draft[],
  todo: number[],
  filters: PublishFilters,
): { index: number; targets: Target[] }[] {
  const stretch: { index: number; targets: Target[] }[] = [];
  let deliveries = 0;
  for (const index of todo) {
    if (deliveries >= MOST_DELIVERIES || filters.isSpent) break;
    const { input, payload, only } = drafts[index]!;
    const targets = only ? [only] : matchEndpoints(config, input, filters.of(input, payload));
    // It comes first in the next stretch: what is left to the worker has a delivery that may have to be skipped.
    if (filters.isSpent && stretch.length > 0) break;
    deliveries += size(targets);
    stretch.push({ index, targets });
  }
  return stretch;
}

/** Numbers that an event takes: as many as it has deliveries, and one at least. */
export function size(targets: Target[]): number {
  return Math.max(1, targets.length);
}
