import { z } from 'zod';
import { type ExpressionKind, expressionProblem, MAX_SOURCE_BYTES } from '../expressions/index.ts';
import * as fields from './fields.ts';
import { maxConcurrency, quietHours, rateLimit } from './flow.ts';
import { attributes, headers, metadata } from './records.ts';
import { retryPolicy } from './retry.ts';
import { wireProfile } from './wire-profile.ts';

const MAX_PATTERNS = 256;
const MAX_ENVIRONMENTS = 100;

export const eventTypes = z
  .array(fields.eventTypePattern)
  .max(MAX_PATTERNS)
  .describe('Which events are delivered; empty for all.');

const environments = z
  .array(fields.environment)
  .max(MAX_ENVIRONMENTS)
  .describe('Which environments are delivered; empty for all.');

const ordered = z
  .boolean()
  .describe('Deliver one after the other in order of acceptance; one that fails holds up those behind it.');

const filter = expression('filter').describe(
  'A CEL expression: only events for which it is true are delivered. See docs/expressions.md.',
);
const transform = expression('transform').describe(
  'A CEL expression whose result is the body, in place of the wire profile’s: a text as it stands, anything else as JSON.',
);

/** Whatever passes here can be evaluated: it is refused when it is saved, not when an event comes. */
function expression(kind: ExpressionKind) {
  const schema = z.string().check((ctx) => {
    const message = expressionProblem(ctx.value, kind);
    if (message !== undefined) ctx.issues.push({ code: 'custom', input: ctx.value, message });
  });
  return schema.meta({ minLength: 1, maxLength: MAX_SOURCE_BYTES[kind] });
}

/** Null says something here: no limit, although the app may have one. */
const flow = {
  max_concurrency: maxConcurrency.nullable().exactOptional(),
  rate_limit: rateLimit.nullable().exactOptional(),
  quiet_hours: quietHours.nullable().exactOptional(),
};

const name = fields.name.describe('Unique in its app.');
const url = fields.url.describe(
  'Where deliveries are posted: http or https, without credentials or fragment.',
);
const enabled = z.boolean().describe('A disabled endpoint gets no deliveries.');

/** What POST and PUT have in common: a whole endpoint, in which what is left out gets its default. */
const whole = {
  name: name.nullable().exactOptional(),
  url,
  description: fields.description.default(''),
  event_types: eventTypes.default([]),
  environments: environments.default([]),
  filter: filter.nullable().exactOptional(),
  transform: transform.nullable().exactOptional(),
  headers: headers.default({}),
  secret: fields.secret.exactOptional(),
  wire_profile: wireProfile.exactOptional(),
  enabled: enabled.default(true),
  timeout_seconds: fields.timeoutSeconds.exactOptional(),
  retry: retryPolicy.exactOptional(),
  ordered: ordered.default(false),
  ...flow,
  metadata: metadata.default({}),
};

export const endpointInput = z.strictObject(whole).meta({
  id: 'EndpointInput',
  description:
    'A receiver. `wire_profile`, `timeout_seconds`, `retry`, `rate_limit` and `quiet_hours` come from the app, or its ' +
    'wire profile, where they are left out; a `secret` is then generated. A `rate_limit` or `quiet_hours` of null: ' +
    'none, whatever the app has.',
});

export const endpointPut = z.strictObject(whole).meta({
  id: 'EndpointPut',
  description:
    'Replaces a receiver: what is left out goes back to its default, except `secret`, which is kept, and header ' +
    'values given redacted, which keep the stored ones.',
});

export const endpointPatch = z
  .strictObject({
    name: name.nullable().exactOptional(),
    url: url.exactOptional(),
    description: fields.description.nullable().exactOptional(),
    event_types: eventTypes.nullable().exactOptional(),
    environments: environments.nullable().exactOptional(),
    filter: filter.nullable().exactOptional(),
    transform: transform.nullable().exactOptional(),
    headers: headers.nullable().exactOptional(),
    secret: fields.secret.nullable().exactOptional(),
    wire_profile: wireProfile.nullable().exactOptional(),
    enabled: enabled.exactOptional(),
    timeout_seconds: fields.timeoutSeconds.nullable().exactOptional(),
    retry: retryPolicy.nullable().exactOptional(),
    ordered: ordered.exactOptional(),
    ...flow,
    metadata: metadata.nullable().exactOptional(),
  })
  .meta({
    id: 'EndpointPatch',
    description:
      'Changes the fields that are given, each as a whole; null puts an optional one back to its default. Only a ' +
      "`rate_limit` or `quiet_hours` of null means none; PUT without it takes the app's again.",
  });

export type EndpointInput = z.infer<typeof endpointInput>;
export type EndpointPut = z.infer<typeof endpointPut>;
export type EndpointPatch = z.infer<typeof endpointPatch>;

const MAX_OVERLAP_SECONDS = 30 * 86_400;

export const rotateInput = z
  .strictObject({
    secret: fields.secret.exactOptional(),
    overlap_seconds: z
      .number()
      .min(0)
      .max(MAX_OVERLAP_SECONDS)
      .default(86_400)
      .describe('How long deliveries carry the signatures of both secrets, in seconds.'),
  })
  .meta({ id: 'RotateInput', description: 'Replaces the secret; without `secret`, one is generated.' });

export type RotateInput = z.infer<typeof rotateInput>;

export const testInput = z
  .strictObject({
    event_type: fields.eventType,
    payload: z.unknown().exactOptional().describe('Any JSON value.'),
    sample_data: z.unknown().exactOptional().describe('Another name of `payload`.'),
    environment: fields.environment.exactOptional(),
    attributes: attributes.exactOptional(),
    correlation_id: fields.correlationId.exactOptional(),
    dry_run: z.boolean().default(false).describe('Publishes nothing: the answer says what would be posted.'),
  })
  .check(({ value, issues }) => {
    if ('payload' in value === 'sample_data' in value) {
      const message = 'is required, as payload or as sample_data, not both';
      issues.push({ code: 'custom', path: ['payload'], input: value, message });
    }
  })
  .meta({
    id: 'TestInput',
    description: 'One delivery to this endpoint, subscribed or not, whatever its filter says.',
  });

export type TestInput = z.infer<typeof testInput>;

/** Under which name a test's payload was given. */
export function testPayloadField(input: TestInput): 'payload' | 'sample_data' {
  return 'sample_data' in input ? 'sample_data' : 'payload';
}
