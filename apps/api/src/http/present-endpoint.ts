import { DEFAULT_MAX_CONCURRENCY, publicKeyOf, RETRY_ON, wireProfile } from '@sealpost/core';
import {
  type AppConfig,
  type EndpointRecord,
  effectiveQuietHours,
  effectiveRateLimit,
  effectiveRetryPolicy,
  effectiveTimeout,
  REDACTED,
} from '@sealpost/store';
import { z } from 'zod';
import { quietHoursAnswer, rateLimitAnswer } from './present-flow.ts';

const time = z.iso.datetime();

const effectivePolicy = z
  .object({
    strategy: z.enum(['exponential', 'linear', 'schedule']),
    base_seconds: z.number(),
    factor: z.number(),
    max_delay_seconds: z.number(),
    max_retries: z.int(),
    jitter: z.number(),
    retry_on: z.enum(RETRY_ON),
    schedule_seconds: z.array(z.number()).optional(),
  })
  .meta({ id: 'RetryPolicy' });

export const endpointAnswer = z
  .object({
    id: z.string(),
    name: z.string().nullable(),
    url: z.string(),
    description: z.string(),
    event_types: z.array(z.string()).describe('Empty: all.'),
    environments: z.array(z.string()).describe('Empty: all.'),
    filter: z.string().nullable().describe('CEL; null: none.'),
    transform: z.string().nullable().describe('CEL; null: none, the body is the wire profile’s.'),
    headers: z.record(z.string(), z.literal(REDACTED)).describe('Values are never shown.'),
    wire_profile: wireProfile,
    enabled: z.boolean(),
    disabled_reason: z.string().nullable().describe('Why Sealpost disabled it by itself.'),
    paused: z.boolean().describe('Its deliveries wait until it is resumed.'),
    timeout_seconds: z.number(),
    retry: effectivePolicy,
    max_concurrency: z.int(),
    ordered: z.boolean(),
    rate_limit: rateLimitAnswer.nullable().describe('null: none.'),
    quiet_hours: quietHoursAnswer.nullable().describe('null: none.'),
    metadata: z.record(z.string(), z.unknown()),
    created_at: time,
    updated_at: time,
  })
  .meta({
    id: 'Endpoint',
    description: 'What comes from its app, or is built in, stands here as it counts for this endpoint.',
  });

const secret = z.string().describe('What deliveries are signed with.');
const publicKey = z.string().optional().describe('`whpk_…`, which verifies, when `secret` is a `whsk_` key.');

export const createdEndpointAnswer = endpointAnswer
  .extend({ secret, public_key: publicKey })
  .meta({ id: 'CreatedEndpoint' });

const secretAnswer = z.object({ secret, public_key: publicKey });

export const presentSecretAnswer = secretAnswer
  .extend({ secret: secret.nullable().describe('null: nothing is signed, as the TaskFlow dialect allows.') })
  .meta({ id: 'EndpointSecret' });

export const rotatedSecretAnswer = secretAnswer
  .extend({ previous_expires_at: time.describe('Until then the former secret signs as well.') })
  .meta({ id: 'RotatedSecret' });

/** An endpoint as its app's config makes it. */
export function presentEndpoint(
  { record: app }: AppConfig,
  endpoint: EndpointRecord,
): z.output<typeof endpointAnswer> {
  return {
    id: endpoint.id,
    name: endpoint.name,
    url: endpoint.url,
    description: endpoint.description ?? '',
    event_types: endpoint.eventTypes,
    environments: endpoint.environments,
    filter: endpoint.filter ?? null,
    transform: endpoint.transform ?? null,
    headers: Object.fromEntries(Object.keys(endpoint.headersSealed).map((name) => [name, REDACTED])),
    wire_profile: endpoint.wireProfile ?? app.wireProfile,
    enabled: endpoint.enabled,
    disabled_reason: endpoint.disabledReason,
    paused: endpoint.paused,
    timeout_seconds: effectiveTimeout(app, endpoint),
    retry: effectiveRetryPolicy(app, endpoint),
    max_concurrency: endpoint.maxConcurrency ?? DEFAULT_MAX_CONCURRENCY,
    ordered: endpoint.ordered,
    rate_limit: effectiveRateLimit(app, endpoint),
    quiet_hours: effectiveQuietHours(app, endpoint),
    metadata: endpoint.metadata,
    created_at: new Date(endpoint.createdAt).toISOString(),
    updated_at: new Date(endpoint.updatedAt).toISOString(),
  };
}

export function presentSecretOf(secret: string): z.output<typeof secretAnswer> {
  return secret.startsWith('whsk_') ? { secret, public_key: publicKeyOf(secret) } : { secret };
}
