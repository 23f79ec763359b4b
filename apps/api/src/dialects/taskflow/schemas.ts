import { eventTypes, fields, headers, listQuery, wireProfileOf } from '@sealpost/core';
import { REDACTED } from '@sealpost/store';
import { z } from 'zod';
import { time } from '../shared-webhooks.ts';

/** What TaskFlow's clients send and get: "Webhook Fields", "Managing Webhooks". */

const { limits, retry, timeoutSeconds } = wireProfileOf('taskflow');
const { min, max } = limits!.timeoutSeconds!;

const name = fields.name.describe('Unique in the app.');
const events = eventTypes.min(1).describe('Which events are delivered; `*` stands for one segment.');
/** Never shown, so who sends the placeholder back cannot mean the stored one. */
const secretToken = fields.secret
  .refine((text) => text !== REDACTED, { error: 'must not be the placeholder of a secret' })
  .describe('Signs deliveries; without it they are not signed. Never shown.');
const retryCount = z
  .int()
  .min(0)
  .max(limits!.maxRetries!)
  .describe(`Retries after the first attempt. By default ${retry!.max_retries}.`);
const timeout = z
  .number()
  .min(min)
  .max(max)
  .describe(`How long an attempt may take. By default ${timeoutSeconds}.`);

/** What may be left out, or be null, which is the same when a webhook is made, and the default when it is changed. */
const optional = {
  description: fields.description.nullable().exactOptional(),
  headers: headers.nullable().exactOptional(),
  secret_token: secretToken.nullable().exactOptional(),
  retry_count: retryCount.nullable().exactOptional(),
  timeout_seconds: timeout.nullable().exactOptional(),
};

export const webhookInput = z
  .strictObject({ name, url: fields.url, events, ...optional, is_active: z.boolean().default(true) })
  .meta({ id: 'TaskflowWebhookInput', description: 'A receiver, as TaskFlow writes it.' });

export const webhookPatch = z
  .strictObject({
    name: name.exactOptional(),
    url: fields.url.exactOptional(),
    events: events.exactOptional(),
    ...optional,
    is_active: z.boolean().exactOptional(),
  })
  .meta({
    id: 'TaskflowWebhookPatch',
    description:
      'Changes the fields that are given; null puts back to the default, and removes a `secret_token`.',
  });

export type WebhookInput = z.infer<typeof webhookInput>;
export type WebhookPatch = z.infer<typeof webhookPatch>;

export const webhookTest = z
  .strictObject({
    event_type: fields.eventType,
    sample_data: z.unknown().exactOptional().describe('The `payload`: any JSON value; `{}` when left out.'),
  })
  .meta({ id: 'TaskflowWebhookTest' });

export const webhookAnswer = z
  .object({
    id: z.string(),
    name: z.string().nullable().describe("null: made through Sealpost's own API without one."),
    url: z.string(),
    description: z.string(),
    events: z.array(z.string()).describe("Empty: all, as Sealpost's own API allows."),
    headers: z.record(z.string(), z.literal(REDACTED)).describe('Values are never shown.'),
    has_secret: z.boolean().describe('Whether deliveries are signed.'),
    retry_count: z.int(),
    timeout_seconds: z.number(),
    is_active: z.boolean(),
    created_at: time,
    updated_at: time,
  })
  .meta({ id: 'TaskflowWebhook' });

const STATUSES = ['pending', 'success', 'failed', 'skipped', 'cancelled'] as const;

export const deliveryAnswer = z
  .object({
    id: z.string(),
    webhook_id: z.string(),
    event_type: z.string(),
    status: z
      .enum(STATUSES)
      .describe(
        '`failed`: its last attempt failed, whether or not it is tried again; `next_retry_at` says so.',
      ),
    attempts: z.int().describe('Made so far.'),
    response_status: z.int().nullable().describe('HTTP status of the last attempt; null: no answer came.'),
    error_message: z.string().nullable(),
    duration_ms: z.int().nullable().describe('Of the last attempt.'),
    created_at: time,
    completed_at: time.nullable(),
    next_retry_at: time.nullable().describe('null: it is not tried again.'),
  })
  .meta({ id: 'TaskflowDelivery' });

export const testAnswer = deliveryAnswer
  .extend({ success: z.boolean().describe('The receiver has answered with 2xx.') })
  .meta({ id: 'TaskflowTestedDelivery' });

export type DeliveryAnswer = z.output<typeof deliveryAnswer>;

/** `delivered` is Sealpost's own name of `success`. */
const statuses = z
  .preprocess(
    (value) =>
      (Array.isArray(value) ? value : [value]).flatMap((v) => (typeof v === 'string' ? v.split(',') : [v])),
    z
      .array(z.enum([...STATUSES, 'delivered']))
      .min(1)
      .max(10),
  )
  .describe('One or more, separated by commas.');

export const deliveriesQuery = listQuery.safeExtend({ status: statuses.exactOptional() });

export type StatusFilter = z.output<typeof statuses>;
