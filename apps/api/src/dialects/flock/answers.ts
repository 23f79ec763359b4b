import { type DeliveryStatus, REASONS, STATUSES } from '@sealpost/core';
import type { Delivery } from '@sealpost/store';
import { z } from 'zod';
import type { Published } from '../../ingest/published-event.ts';
import { wholeSeconds } from '../whole-seconds.ts';

/** How a webhook stands. `failed`: it was given up, after its retries. */
const WEBHOOK_STATUSES = STATUSES.map((status) => statusOf(status));
const webhookStatus = z.enum(WEBHOOK_STATUSES as [WebhookStatus, ...WebhookStatus[]]);

type WebhookStatus = Exclude<DeliveryStatus, 'dead'> | 'failed';

export const acceptedAnswer = z
  .object({
    status: z.literal('accepted'),
    id: z.string().describe('Of the artifact.'),
    type: z.string(),
    correlation_id: z.string().nullable(),
    sequence: z.int().nullable().describe('Counts the artifacts of the workflow from 1.'),
    created_at: z.iso.datetime(),
    webhooks: z.array(
      z.object({ id: z.string(), endpoint_id: z.string().nullable(), status: webhookStatus }),
    ),
  })
  .meta({ id: 'FlockArtifact' });

export const syncAnswer = acceptedAnswer
  .extend({ delivered: z.boolean().describe('Whether there are webhooks, and all have been delivered.') })
  .meta({ id: 'FlockSyncArtifact' });

const counts = {
  pending: z.int(),
  retrying: z.int(),
  delivered: z.int(),
  failed: z.int().describe('Given up, after their retries.'),
  skipped: z.int(),
  cancelled: z.int(),
  success_count: z.int().describe('As `delivered`.'),
  failure_count: z.int().describe('As `failed`.'),
};

const webhookAnswer = z
  .object({
    id: z.string(),
    artifact_id: z.string(),
    type: z.string(),
    sequence: z.int().nullable(),
    status: webhookStatus,
    attempts: z.int(),
    status_code: z.int().nullable().describe('Of the last answer.'),
    error: z.enum(REASONS).nullable().describe('Why it failed, or was skipped or cancelled.'),
    created_at: z.iso.datetime(),
  })
  .meta({ id: 'FlockWebhook' });

export const correlationAnswer = z
  .object({
    correlation_id: z.string(),
    artifacts: z.int().describe('Published with it.'),
    ...counts,
    webhooks: z.array(webhookAnswer).describe('The newest 100, newest first.'),
  })
  .meta({ id: 'FlockCorrelation' });

export const statsAnswer = z.object(counts).meta({
  id: 'FlockStats',
  description: 'Webhooks by what became of them, as long as their records are kept.',
});

export function presentArtifact(published: Published, correlationId: string | null) {
  return {
    status: 'accepted' as const,
    id: published.id,
    type: published.type,
    correlation_id: correlationId,
    sequence: published.sequence,
    created_at: wholeSeconds(published.createdAt),
    webhooks: published.deliveries.map(({ id, endpointId, status }) => ({
      id,
      endpoint_id: endpointId,
      status: statusOf(status),
    })),
  };
}

export function presentSync(published: Published, correlationId: string | null): z.output<typeof syncAnswer> {
  const { deliveries } = published;
  const delivered = deliveries.length > 0 && deliveries.every(({ status }) => status === 'delivered');
  return { ...presentArtifact(published, correlationId), delivered };
}

export function presentCounts({
  dead,
  ...others
}: Record<DeliveryStatus, number>): z.output<typeof statsAnswer> {
  return { ...others, failed: dead, success_count: others.delivered, failure_count: dead };
}

/** @param sequence of its event within the correlation */
export function presentWebhook(
  { id, eventId, event, record }: Delivery,
  sequence: number | null,
): z.output<typeof webhookAnswer> {
  return {
    id,
    artifact_id: eventId,
    type: event.t,
    sequence,
    status: statusOf(record.status),
    attempts: record.attempts,
    status_code: record.statusCode === 0 ? null : record.statusCode,
    error: record.reason === 'none' ? null : record.reason,
    created_at: wholeSeconds(record.createdAt),
  };
}

function statusOf(status: DeliveryStatus): WebhookStatus {
  return status === 'dead' ? 'failed' : status;
}
