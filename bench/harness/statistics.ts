/** Latencies of a stretch of time, ms. What has not arrived counts as slower than all else: infinitely. */
export type Summary = {
  count: number;
  missing: number;
  p50: number;
  p95: number;
  p99: number;
  max: number;
};

export function summarize(latencies: number[]): Summary {
  const sorted = latencies.toSorted((a, b) => a - b);
  return {
    count: sorted.length,
    missing: sorted.filter((value) => value === Number.POSITIVE_INFINITY).length,
    p50: percentile(sorted, 0.5),
    p95: percentile(sorted, 0.95),
    p99: percentile(sorted, 0.99),
    max: percentile(sorted, 1),
  };
}

/** The smallest value that at least this share of all is not above (nearest rank); NaN of none. */
export function percentile(sorted: number[], share: number): number {
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN;
}

/** `items` by the second in which they fall, counted from `start`; seconds without any are left out. */
export function bySecond<T>(items: T[], timeOf: (item: T) => number, start: number): Map<number, T[]> {
  return Map.groupBy(items, (item) => Math.floor((timeOf(item) - start) / 1000));
}

/**
 * Fewest and most of the sorted `times` in any stretch of `length`, wherever it begins: among all stretches that lie
 * within the first and the last of them.
 */
export function slidingCounts(times: number[], length: number): { fewest: number; most: number } {
  let most = 0;
  let fewest = Number.POSITIVE_INFINITY;
  const last = times.at(-1) ?? 0;
  let end = 0;
  for (const [i, time] of times.entries()) {
    // Most: the stretch that begins with this one. Fewest: the one that begins just after it.
    while (end < times.length && times[end]! < time + length) end += 1;
    most = Math.max(most, end - i);
    if (time + length <= last) {
      const within = end < times.length && times[end] === time + length ? 1 : 0;
      fewest = Math.min(fewest, end + within - i - 1);
    }
  }
  return { fewest, most };
}
