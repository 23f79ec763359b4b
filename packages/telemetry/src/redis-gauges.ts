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
 * rather than an old one; who reads the others waits less than a second. The round trip is told all the same: as long as it
 * has lasted until now, or nobody would hear of a Redis that is so slow.
 * @param look is to say how long the first command took as soon as it knows
 */
export function watchRedis(
  metrics: Pick<Metrics<Role>, 'instruments' | 'beforeRead'>,
  look: (onRoundTrip: (ms: number) => void) => Promise<RedisPicture>,
  now: () => number = () => performance.now(),
): void {
  const { instruments } = metrics;
  let lookedAt = Number.NEGATIVE_INFINITY;
  let looking: { since: number; roundTripMs?: number; done: Promise<void> } | undefined;
  const begin = () => {
    const begun: NonNullable<typeof looking> = { since: now(), done: Promise.resolve() };
    const onRoundTrip = (ms: number) => {
      begun.roundTripMs = ms;
    };
    begun.done = look(onRoundTrip)
      .then(
        (picture) => {
          setGauges(instruments, picture);
          lookedAt = now();
        },
        () => clearGauges(instruments),
      )
      .finally(() => {
        looking = undefined;
      });
    return begun;
  };
  metrics.beforeRead(async () => {
    if (!looking && now() - lookedAt >= FRESH_MS) looking = begin();
    if (!looking || (await Promise.race([looking.done, afterPatience()])) !== 'late' || !looking) return;
    clearGauges(instruments);
    instruments.redisRoundTrip.set((looking.roundTripMs ?? now() - looking.since) / 1000);
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
