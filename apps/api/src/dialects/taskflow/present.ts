import type { DeliveryStatus } from '@sealpost/core';
import type { AttemptRecord } from '@sealpost/queue';
import { type AppConfig, type Delivery, type EndpointRecord, isSigned } from '@sealpost/store';
import type { z } from 'zod';
import { presentEndpoint } from '../../http/present-endpoint.ts';
import { wholeSeconds } from '../whole-seconds.ts';
import type { DeliveryAnswer, StatusFilter, webhookAnswer } from './schemas.ts';

/** An endpoint as TaskFlow shows a webhook. */
export function presentWebhook(config: AppConfig, endpoint: EndpointRecord): z.output<typeof webhookAnswer> {
  const { id, name, url, description, event_types, headers, retry, timeout_seconds, enabled } =
    presentEndpoint(config, endpoint);
  return {
    id,
    name,
    url,
    description,
    events: event_types,
    headers,
    has_secret: isSigned(config, endpoint),
    retry_count: retry.max_retries,
    timeout_seconds,
    is_active: enabled,
    created_at: wholeSeconds(endpoint.createdAt),
    updated_at: wholeSeconds(endpoint.updatedAt),
  };
}

/** Sealpost's statuses under TaskFlow's names, and back. */
const NAMES = {
  pending: 'pending',
  retrying: 'failed',
  dead: 'failed',
  delivered: 'success',
  skipped: 'skipped',
  cancelled: 'cancelled',
} as const satisfies Record<DeliveryStatus, DeliveryAnswer['status']>;

export function statusesNamed(names: StatusFilter): DeliveryStatus[] {
  const wanted = new Set<string>(names.map((name) => (name === 'delivered' ? 'success' : name)));
  return (Object.keys(NAMES) as DeliveryStatus[]).filter((status) => wanted.has(NAMES[status]));
}

/** @param attempt its last */
export function presentDelivery(
  { id, endpointId, event, record }: Delivery,
  attempt: AttemptRecord | undefined,
): DeliveryAnswer {
  const { status } = record;
  const open = status === 'pending' || status === 'retrying';
  return {
    id,
    webhook_id: endpointId!,
    event_type: event.t,
    status: NAMES[status],
    attempts: record.attempts,
    response_status: record.statusCode === 0 ? null : record.statusCode,
    error_message: errorMessage(record, attempt),
    duration_ms: attempt?.d ?? null,
    created_at: wholeSeconds(record.createdAt),
    completed_at: open ? null : wholeSeconds(record.dueAt),
    next_retry_at: status === 'retrying' ? wholeSeconds(record.dueAt) : null,
  };
}

/** Why it is not delivered: what the last attempt met, unless something else ended the delivery. */
function errorMessage(
  { reason, statusCode }: Delivery['record'],
  attempt: AttemptRecord | undefined,
): string | null {
  if (reason === 'none') return null;
  const failure = reason === 'retries_exhausted' ? (attempt?.e ?? reason) : reason;
  if (failure === 'http_status') return `HTTP ${statusCode}`;
  const detail = attempt?.e === failure ? attempt.m : undefined;
  return detail === undefined ? failure : `${failure}: ${detail}`;
}
