import { type AttemptOutcome, formatId } from '@sealpost/core';
import { type DeliveryRecord, eventId, type Settled, type Shard } from '@sealpost/queue';
import type { Logger } from '@sealpost/telemetry';
import type { Attempted } from './settle-delivery.ts';
import type { AttemptTrace } from './trace-delivery.ts';

/**
 * One wide line an attempt, or an end without one: what it was of, how it ended, how long each part took, and the trace in
 * which it stands. A delivery that is dead is a warning; that an attempt failed is what retries are for.
 * @param settled what SETTLE has made of the delivery; absent where that is not known, since this process had to go first
 * @param now when the attempt ended
 */
export function logAttempt(
  logger: Logger,
  shard: Shard,
  { event, number, attempt }: Attempted,
  delivery: DeliveryRecord,
  settled: Settled | undefined,
  now: number,
  posted?: { outcome: AttemptOutcome; trace: AttemptTrace | undefined },
): void {
  const level = settled?.status === 'dead' ? 'warn' : 'info';
  if (!logger.isLevelEnabled(level)) return;
  const { outcome, trace } = posted ?? {};
  const { dns, connect, tls, first_byte } = outcome?.phases ?? {};
  logger[level](
    {
      app: event?.a,
      event: event && eventId(shard.number, delivery.event, event),
      event_type: event?.t,
      correlation_id: event?.c,
      delivery: formatId('dlv', shard.number, number),
      endpoint: delivery.endpoint > 0 ? formatId('ep', shard.number, delivery.endpoint) : null,
      attempt,
      status: settled?.status,
      reason: settled?.reason,
      error: outcome && outcome.reason !== 'none' ? outcome.reason : undefined,
      status_code: outcome?.statusCode ?? 0,
      duration_ms: Math.round(outcome?.durationMs ?? 0),
      dns_ms: dns,
      connect_ms: connect,
      tls_ms: tls,
      first_byte_ms: first_byte,
      age_ms: Math.max(0, now - delivery.createdAt),
      next_in_ms: settled?.status === 'retrying' && !settled.waits ? settled.delayMs : undefined,
      trace_id: trace?.context.traceId,
      span_id: trace?.context.spanId,
    },
    'attempt',
  );
}
