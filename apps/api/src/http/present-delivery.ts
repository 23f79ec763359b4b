import { REASONS, STATUSES, shownHeaders } from '@sealpost/core';
import { type AttemptRecord, sentHeaders } from '@sealpost/queue';
import type { Delivery } from '@sealpost/store';
import { z } from 'zod';

const time = z.iso.datetime();

export const attemptAnswer = z
  .object({
    number: z.int(),
    started_at: time,
    duration_ms: z.int(),
    timing: z
      .object({ dns_ms: z.int(), connect_ms: z.int(), tls_ms: z.int(), first_byte_ms: z.int() })
      .partial()
      .describe('Parts of the duration; a reused connection has no dns, connect and tls.'),
    status_code: z.int().nullable(),
    error: z.enum(REASONS).nullable(),
    error_message: z.string().nullable(),
    request: z.object({
      headers: z
        .record(z.string(), z.string())
        .describe('Secret values are redacted. Empty: nothing was sent.'),
    }),
    response: z
      .object({
        headers: z.record(z.string(), z.string()),
        body: z.string().describe('The first 4 KiB, as UTF-8.'),
        truncated: z.boolean(),
      })
      .nullable(),
  })
  .meta({ id: 'Attempt' });

export const deliveryAnswer = z
  .object({
    id: z.string(),
    event_id: z.string(),
    event_type: z.string(),
    endpoint_id: z.string().nullable().describe('null: the `webhook_url` of the event.'),
    correlation_id: z.string().nullable(),
    status: z.enum(STATUSES),
    reason: z
      .enum(REASONS)
      .nullable()
      .describe('Why it is dead, skipped or cancelled, or why the last attempt failed.'),
    attempt_count: z.int().describe('Attempts made so far.'),
    last_status_code: z.int().nullable(),
    created_at: time,
    next_attempt_at: time
      .nullable()
      .describe('When it is retried, or `deliver_at`; its lane may hold it for longer.'),
    ended_at: time.nullable(),
  })
  .meta({ id: 'Delivery' });

export const deliveryWithAttempts = deliveryAnswer
  .extend({ attempts: z.array(attemptAnswer).describe('Oldest first.') })
  .meta({ id: 'DeliveryWithAttempts' });

const iso = (ms: number) => new Date(ms).toISOString();

export function presentDelivery({
  id,
  eventId,
  endpointId,
  record,
  event,
}: Delivery): z.output<typeof deliveryAnswer> {
  const open = record.status === 'pending' || record.status === 'retrying';
  return {
    id,
    event_id: eventId,
    event_type: event.t,
    endpoint_id: endpointId,
    correlation_id: event.c ?? null,
    status: record.status,
    reason: record.reason === 'none' ? null : record.reason,
    attempt_count: record.attempts,
    last_status_code: record.statusCode === 0 ? null : record.statusCode,
    created_at: iso(record.createdAt),
    next_attempt_at: record.status === 'retrying' || isScheduled(record) ? iso(record.dueAt) : null,
    ended_at: open ? null : iso(record.dueAt),
  };
}

/** `deliver_at` is still to come. */
function isScheduled({ status, dueAt }: Delivery['record']): boolean {
  return status === 'pending' && dueAt > Date.now();
}

export function presentAttempt(
  delivery: Delivery,
  { number, attempt }: { number: number; attempt: AttemptRecord },
): z.output<typeof attemptAnswer> {
  const [dns, connect, tls, firstByte] = attempt.p;
  const timing: z.output<typeof attemptAnswer>['timing'] = {};
  if (dns >= 0) timing.dns_ms = dns;
  if (connect >= 0) timing.connect_ms = connect;
  if (tls >= 0) timing.tls_ms = tls;
  if (firstByte >= 0) timing.first_byte_ms = firstByte;
  const answered = attempt.s !== undefined;
  return {
    number,
    started_at: iso(attempt.t),
    duration_ms: attempt.d,
    timing,
    status_code: attempt.s ?? null,
    error: attempt.e ?? null,
    error_message: attempt.m ?? null,
    request: { headers: requestHeaders(delivery, attempt) },
    response: answered
      ? { headers: attempt.rh ?? {}, body: attempt.r ?? '', truncated: attempt.rt === true }
      : null,
  };
}

/** What was sent, as far as it is no secret. */
function requestHeaders({ eventId }: Delivery, attempt: AttemptRecord): Record<string, string> {
  const sent = sentHeaders(attempt);
  return sent ? shownHeaders(sent, { eventId, timestampSeconds: Math.floor(attempt.t / 1000) }) : {};
}
