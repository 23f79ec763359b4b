import { retryPolicy, wireProfile } from '@sealpost/core';
import { type AppRecord, type KeyRecord, REDACTED } from '@sealpost/store';
import { z } from 'zod';
import { quietHoursAnswer, rateLimitAnswer } from './present-flow.ts';

const time = z.iso.datetime();

export const appAnswer = z
  .object({
    id: z.string(),
    name: z.string().nullable(),
    wire_profile: wireProfile,
    signing_secret: z.literal(REDACTED).nullable().describe('null: there is none. Its value is never shown.'),
    defaults: z.object({
      retry: retryPolicy.optional(),
      timeout_seconds: z.number().optional(),
      rate_limit: rateLimitAnswer.optional(),
      quiet_hours: quietHoursAnswer.optional(),
    }),
    max_endpoints: z
      .int()
      .nullable()
      .describe('null: no limit but that of the wire profile; `taskflow` allows 10.'),
    disable_idle_endpoints: z
      .boolean()
      .nullable()
      .describe(
        'Whether endpoints without a delivery for 30 days are disabled. null: as the wire profile says.',
      ),
    operational_events: z.boolean().describe('Whether events about its own endpoints are published in it.'),
    metadata: z.record(z.string(), z.unknown()),
    created_at: time,
    updated_at: time,
  })
  .meta({ id: 'App' });

export const keyAnswer = z
  .object({ id: z.string(), name: z.string().nullable(), created_at: time })
  .meta({ id: 'Key' });

export const createdKeyAnswer = keyAnswer
  .extend({ key: z.string().describe('Shown this once only.') })
  .meta({ id: 'CreatedKey' });

export function presentApp(record: AppRecord): z.output<typeof appAnswer> {
  const { retry, timeoutSeconds, rateLimit, quietHours } = record.defaults;
  return {
    id: record.app,
    name: record.name,
    wire_profile: record.wireProfile,
    signing_secret: record.signingSecretSealed === null ? null : REDACTED,
    defaults: {
      ...(retry !== undefined && { retry }),
      ...(timeoutSeconds !== undefined && { timeout_seconds: timeoutSeconds }),
      ...(rateLimit !== undefined && { rate_limit: rateLimit }),
      ...(quietHours !== undefined && { quiet_hours: quietHours }),
    },
    max_endpoints: record.maxEndpoints,
    disable_idle_endpoints: record.disableIdle ?? null,
    operational_events: record.operationalEvents,
    metadata: record.metadata,
    created_at: new Date(record.createdAt).toISOString(),
    updated_at: new Date(record.updatedAt).toISOString(),
  };
}

export function presentKey({ id, name, createdAt }: KeyRecord): z.output<typeof keyAnswer> {
  return { id, name, created_at: new Date(createdAt).toISOString() };
}
