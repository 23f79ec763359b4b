import type { Gauge } from 'prom-client';
import type { Role } from './metrics.ts';
import { afterPatience } from './patience.ts';
import type { Metrics } from './registry.ts';

/** How much there is to do in Redis, and how old it is; ms and bytes. */
export type RedisPicture = {
  open: { pending: number; retrying: number };
  oldestOpenMs: number | undefined;
  oldestReadyMs: number | undefined;
  lanesClosed: number;
  outbox: number;
  slots: number;
  jobs: { waiting: number; active: number; delayed: number };
  roundTripMs: number;
  memoryBytes: number;
  memoryLimitBytes: number;
};

/** Redis is looked at at most this often, ms, however many read. */
const FRESH_MS = 5000;

/**
 * Sets the gauges that tell of all of Redis when metrics are read. While Redis does not answer they have no value at all,
 * rather than an old one; who reads the others waits a second at most.
 */
export function watchRedis(
  metrics: Pick<Metrics<Role>, 'instruments' | 'beforeRead'>,
  look: () => Promise<RedisPicture>,
  now: () => number = () => performance.now(),
): void {
  let lookedAt = Number.NEGATIVE_INFINITY;
  let looking: Promise<void> | undefined;
  metrics.beforeRead(async () => {
    if (now() - lookedAt >= FRESH_MS) {
      looking ??= look()
        .then(
          (picture) => setGauges(metrics.instruments, picture),
          () => clearGauges(metrics.instruments),
        )
        .finally(() => {
          lookedAt = now();
          looking = undefined;
        });
    }
    if (looking && (await Promise.race([looking, afterPatience()])) === 'late') {
      clearGauges(metrics.instruments);
    }
  });
}

function setGauges(to: Metrics<Role>['instruments'], picture: RedisPicture): void {
  const { open, jobs } = picture;
  for (const status of ['pending', 'retrying'] as const) to.deliveriesOpen.set({ status }, open[status]);
  for (const state of ['waiting', 'active', 'delayed'] as const) to.queueJobs.set({ state }, jobs[state]);
  to.oldestOpen.set((picture.oldestOpenMs ?? 0) / 1000);
  to.oldestReady.set((picture.oldestReadyMs ?? 0) / 1000);
  to.lanesClosed.set(picture.lanesClosed);
  to.outboxEntries.set(picture.outbox);
  to.workerSlots.set(picture.slots);
  to.redisRoundTrip.set(picture.roundTripMs / 1000);
  to.redisMemoryUsed.set(picture.memoryBytes);
  to.redisMemoryLimit.set(picture.memoryLimitBytes);
}

function clearGauges(to: Metrics<Role>['instruments']): void {
  const gauges: Gauge[] = [
    to.oldestOpen,
    to.oldestReady,
    to.lanesClosed,
    to.outboxEntries,
    to.workerSlots,
    to.redisRoundTrip,
    to.redisMemoryUsed,
    to.redisMemoryLimit,
  ];
  to.deliveriesOpen.reset();
  to.queueJobs.reset();
  // `reset` would make them 0.
  for (const gauge of gauges) gauge.remove();
}
