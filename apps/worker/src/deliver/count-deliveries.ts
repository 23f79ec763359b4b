import type { AttemptOutcome, DeliveryStatus, Reason } from '@sealpost/core';
import type { DeliveryRecord, EventRecord, Settled } from '@sealpost/queue';
import type { Instruments } from '@sealpost/telemetry';

/** Counts what happens to deliveries, for the metrics. Each call costs well below a microsecond. */
export class DeliveryCounts {
  readonly #to: Instruments<'worker'>;

  constructor(instruments: Instruments<'worker'>) {
    this.#to = instruments;
  }

  /** A POST begins. @param now ms epoch */
  begins({ attempts, createdAt, dueAt }: DeliveryRecord, now: number): void {
    this.#to.deliveriesInFlight.inc();
    // Due is also from when it was asked for by hand: one that was skipped or cancelled, and is sent later after all.
    if (attempts === 0) this.#to.firstAttemptDelay.observe(secondsBetween(Math.max(createdAt, dueAt), now));
  }

  /** It has ended; without an outcome, because this process has to go. */
  ends(outcome?: AttemptOutcome): void {
    this.#to.deliveriesInFlight.dec();
    if (!outcome) return;
    const kind = outcome.reason === 'none' ? 'success' : 'failure';
    this.#to.attempts.inc({ outcome: kind, reason: outcome.reason });
    this.#to.attemptDuration.observe({ outcome: kind }, outcome.durationMs / 1000);
  }

  /** What SETTLE has made of it. @param reason why the attempt failed @param endedAt when it ended, ms epoch */
  settled(
    settled: Settled,
    reason: Reason,
    delivery: DeliveryRecord,
    event: EventRecord | undefined,
    endedAt: number,
  ): void {
    if (!settled.changed) return;
    if (settled.status === 'retrying') {
      this.#to.retries.inc({ reason });
      return;
    }
    this.ended(settled.status, settled.reason);
    if (settled.status === 'delivered' && event)
      this.#to.deliveryLatency.observe(secondsBetween(Math.max(delivery.createdAt, event.da ?? 0), endedAt));
  }

  ended(status: DeliveryStatus, reason: Reason, count = 1): void {
    if (count > 0) this.#to.deliveriesEnded.inc({ status, reason }, count);
  }

  expressionKilled(): void {
    this.#to.expressionsKilled.inc();
  }
}

/** Another process' clock may be ahead. */
function secondsBetween(start: number, end: number): number {
  return Math.max(0, end - start) / 1000;
}
