import type { AttemptRecord } from '@sealpost/queue';
import type { AppConfig, Delivery, EndpointRecord } from '@sealpost/store';
import type { z } from 'zod';
import { presentEndpoint } from '../../http/present-endpoint.ts';
import { wholeSeconds } from '../whole-seconds.ts';
import type { deliveriesAnswer, webhookAnswer } from './schemas.ts';

/** An endpoint as goflagship shows a webhook. */
export function presentWebhook(config: AppConfig, endpoint: EndpointRecord): z.output<typeof webhookAnswer> {
  const { id, url, description, enabled, event_types, environments, retry, timeout_seconds } =
    presentEndpoint(config, endpoint);
  return {
    id,
    url,
    description,
    enabled,
    events: event_types,
    environments,
    max_retries: retry.max_retries,
    timeout_seconds,
    created_at: wholeSeconds(endpoint.createdAt),
    updated_at: wholeSeconds(endpoint.updatedAt),
  };
}

/** @param attempt its last */
export function presentDelivery(
  { id, event, record }: Delivery,
  attempt: AttemptRecord | undefined,
): z.output<typeof deliveriesAnswer>['deliveries'][number] {
  return {
    id,
    event_type: event.t,
    timestamp: wholeSeconds(attempt?.t ?? record.createdAt),
    status_code: record.statusCode === 0 ? null : record.statusCode,
    duration_ms: attempt?.d ?? null,
    success: record.status === 'delivered',
    retry_count: Math.max(0, record.attempts - 1),
  };
}
