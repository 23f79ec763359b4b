import { z } from 'zod';
import * as fields from './fields.ts';
import { quietHours, rateLimit } from './flow.ts';
import { metadata } from './records.ts';
import { retryPolicy } from './retry.ts';
import { wireProfile } from './wire-profile.ts';

const MAX_ENDPOINTS = 100_000;

const defaults = z
  .strictObject({
    retry: retryPolicy.exactOptional(),
    timeout_seconds: fields.timeoutSeconds.exactOptional(),
    rate_limit: rateLimit.exactOptional().describe('Of each endpoint by itself.'),
    quiet_hours: quietHours.exactOptional(),
  })
  .describe('What counts for the endpoints of this app where they say nothing themselves.');

export const appInput = z
  .strictObject({
    name: fields.name.nullable().exactOptional(),
    wire_profile: wireProfile.exactOptional(),
    signing_secret: fields.secret
      .nullable()
      .exactOptional()
      .describe('Used where an endpoint has none. Left out, the stored one is kept; null removes it.'),
    defaults: defaults.default({}),
    max_endpoints: z.int().min(0).max(MAX_ENDPOINTS).nullable().exactOptional(),
    disable_idle_endpoints: z
      .boolean()
      .nullable()
      .exactOptional()
      .describe(
        'Disable an endpoint that has had no delivery for 30 days. Left out or null: as its wire profile says; only ' +
          '`taskflow` does.',
      ),
    operational_events: z
      .boolean()
      .default(false)
      .describe(
        'Publish events in this app about its own endpoints: `endpoint.disabled`, `lane.closed` and more.',
      ),
    metadata: metadata.default({}),
  })
  .meta({ id: 'AppInput', description: 'The settings of an app, replaced as a whole.' });

export type AppInput = z.infer<typeof appInput>;

export const keyInput = z
  .strictObject({ name: fields.name.nullable().exactOptional() })
  .meta({ id: 'KeyInput', description: 'A new API key, which may act in this app only.' });

export type KeyInput = z.infer<typeof keyInput>;
