import { type DeliveryStatus, STATUSES } from '@sealpost/core';
import type { LaneState } from '@sealpost/store';
import { z } from 'zod';

const time = z.iso.datetime();

const laneAnswer = z
  .object({
    state: z
      .enum(['open', 'closed', 'paused', 'disabled'])
      .describe('`closed`: its receiver fails, and is tried with one delivery from time to time.'),
    queued: z.int().describe('Deliveries that wait in it.'),
    in_flight: z.int().describe('Deliveries that are under way, or about to be.'),
    window: z.int().describe('How many may be under way at once now; successes raise it, failures lower it.'),
    max_concurrency: z.int(),
    held_until: time
      .nullable()
      .describe(
        "It sends nothing before this time: quiet hours, the receiver's Retry-After, or its next try.",
      ),
    failing_since: time.nullable().describe('The first failure after the last success.'),
    closed_since: time.nullable(),
  })
  .meta({ id: 'Lane' });

const latencyAnswer = z
  .object({ p50: z.int(), p90: z.int(), p99: z.int(), sample: z.int().describe('Attempts looked at.') })
  .meta({ id: 'Latency' });

export const statsAnswer = z
  .object({
    counts: z
      .record(z.enum(STATUSES), z.int())
      .describe('Deliveries by status, those no longer kept left out.'),
    success_rate: z.number().nullable().describe('delivered / (delivered + dead); null: there are none.'),
    latency_ms: latencyAnswer
      .nullable()
      .describe('Of the latest attempts of the newest deliveries; null: there are none.'),
    lane: laneAnswer,
  })
  .meta({ id: 'EndpointStats' });

/** @param durations of attempts, ms, in any order */
export function presentStats(
  counts: Record<DeliveryStatus, number>,
  durations: readonly number[],
  lane: LaneState,
): z.output<typeof statsAnswer> {
  const ended = counts.delivered + counts.dead;
  return {
    counts,
    success_rate: ended === 0 ? null : counts.delivered / ended,
    latency_ms: presentLatency(durations),
    lane: {
      state: lane.state,
      queued: lane.queued,
      in_flight: lane.inFlight,
      window: lane.window,
      max_concurrency: lane.maxConcurrency,
      held_until: iso(lane.heldUntil),
      failing_since: iso(lane.failingSince),
      closed_since: iso(lane.closedSince),
    },
  };
}

function presentLatency(durations: readonly number[]): z.output<typeof latencyAnswer> | null {
  if (durations.length === 0) return null;
  const sorted = durations.toSorted((a, b) => a - b);
  // Nearest rank: a duration that was measured, not one in between.
  const rank = (share: number) => sorted[Math.ceil(share * sorted.length) - 1]!;
  return { p50: rank(0.5), p90: rank(0.9), p99: rank(0.99), sample: sorted.length };
}

function iso(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString();
}
