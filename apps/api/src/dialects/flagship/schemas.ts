import { endpointInput, eventTypes, fields, listQuery, retryPolicy, wireProfileOf } from '@sealpost/core';
import { z } from 'zod';
import { time } from '../shared-webhooks.ts';

/** What goflagship's clients send and get: "Webhook Endpoints". */

const { retry, timeoutSeconds } = wireProfileOf('flagship');

/** Null is as good as nothing: Go writes it for an empty slice or pointer. */
export const webhookInput = z
  .strictObject({
    url: fields.url,
    description: fields.description.nullable().exactOptional(),
    events: eventTypes.min(1).describe('Which events are delivered; `*` stands for one segment.'),
    environments: endpointInput.shape.environments
      .unwrap()
      .nullable()
      .exactOptional()
      .describe('Which environments are delivered; all when left out or empty.'),
    max_retries: retryPolicy.shape.max_retries
      .unwrap()
      .nullable()
      .exactOptional()
      .describe(`Retries after the first attempt. By default ${retry!.max_retries}.`),
    timeout_seconds: fields.timeoutSeconds
      .nullable()
      .exactOptional()
      .describe(`How long an attempt may take. By default ${timeoutSeconds}.`),
    enabled: z.boolean().default(true),
    secret: fields.secret
      .exactOptional()
      .describe('Made when a webhook is created without one; kept by PUT.'),
  })
  .meta({ id: 'FlagshipWebhookInput', description: 'A receiver, as goflagship writes it.' });

export type WebhookInput = z.infer<typeof webhookInput>;

const shown = z.string().exactOptional().describe('As GET shows it; it stays as it is.');

/** Clients send back what GET showed them, with what they have changed. */
export const webhookPut = z
  .strictObject({ ...webhookInput.shape, id: shown, created_at: shown, updated_at: shown })
  .meta({
    id: 'FlagshipWebhookPut',
    description: 'Replaces a receiver: what is left out goes back to its default.',
  });

export const webhookAnswer = z
  .object({
    id: z.string(),
    url: z.string(),
    description: z.string(),
    enabled: z.boolean(),
    events: z.array(z.string()),
    environments: z.array(z.string()).describe('Empty: all.'),
    max_retries: z.int(),
    timeout_seconds: z.number(),
    created_at: time,
    updated_at: time,
  })
  .meta({ id: 'FlagshipWebhook' });

export const createdWebhookAnswer = webhookAnswer
  .extend({ secret: z.string().describe('What deliveries are signed with; shown this once.') })
  .meta({ id: 'FlagshipCreatedWebhook' });

const pagination = z.object({ page: z.int(), limit: z.int(), total: z.int() });

/** Pages alone, as documented. */
export const deliveriesQuery = z.strictObject({ page: listQuery.shape.page, limit: listQuery.shape.limit });

export const deliveriesAnswer = z.object({
  deliveries: z.array(
    z
      .object({
        id: z.string(),
        event_type: z.string(),
        timestamp: time.describe('When the last attempt began; before any, when the event came.'),
        status_code: z.int().nullable().describe('Of the last attempt; null: no answer came.'),
        duration_ms: z.int().nullable(),
        success: z.boolean(),
        retry_count: z.int().describe('Attempts after the first.'),
      })
      .meta({ id: 'FlagshipDelivery' }),
  ),
  pagination,
});

export const testAnswer = z
  .object({
    success: z.boolean().describe('The receiver has answered with 2xx.'),
    status_code: z.int().nullable(),
    duration_ms: z.int().nullable(),
    delivery_id: z.string(),
    event_type: z.string(),
    timestamp: time,
  })
  .meta({ id: 'FlagshipTest' });
