import {
  type EndpointInput,
  type EndpointPatch,
  endpointInput,
  eventInput,
  type Metadata,
  SealpostError,
} from '@sealpost/core';
import type { EndpointRecord } from '@sealpost/store';
import { z } from 'zod';

/** The endpoint of an agent's app that keeps the agent's preferences: one in each app, since names are unique. */
export const PREFERENCES_ENDPOINT = 'aifai-notifications';

/** Stands where no URL has been given yet. RFC 2606 §2: a name under .invalid is never anybody's. */
const NO_URL = 'https://webhook-url-not-given.invalid/';

const HOUR_SECONDS = 3600;
const MAX_PER_HOUR = 10_000;

/** What is wanted, and has no effect before more is given, stays in the endpoint's metadata under these names. */
const WANTED = {
  enabled: 'aifai_enable_webhook',
  start: 'aifai_quiet_hours_start',
  end: 'aifai_quiet_hours_end',
} as const;

const optional = <S extends z.ZodType>(schema: S) => schema.nullable().exactOptional();
const hour = z.int().min(0).max(23);

export const preferencesInput = z
  .strictObject({
    enable_webhook: optional(z.boolean()).describe('Has an effect once there is a `webhook_url`.'),
    webhook_url: optional(eventInput.shape.webhook_url.unwrap().describe('Where notifications are posted.')),
    quiet_hours_start: optional(hour).describe('UTC. Has an effect once both hours are given.'),
    quiet_hours_end: optional(hour).describe('UTC: the first hour that is no longer quiet.'),
    max_notifications_per_hour: optional(z.int().min(1).max(MAX_PER_HOUR)),
  })
  .meta({
    id: 'AifaiPreferencesInput',
    description: 'Preferences to change: what is left out stays, null removes.',
  });

export type PreferencesInput = z.infer<typeof preferencesInput>;

export const preferencesAnswer = z
  .object({
    enable_webhook: z.boolean(),
    webhook_url: z.string().nullable(),
    quiet_hours_start: z.int().nullable(),
    quiet_hours_end: z.int().nullable(),
    max_notifications_per_hour: z.int().nullable(),
  })
  .meta({ id: 'AifaiPreferences', description: 'null: not given, so nothing is asked.' });

export type Preferences = z.infer<typeof preferencesAnswer>;

type Endpoint = Pick<EndpointRecord, 'url' | 'enabled' | 'quietHours' | 'rateLimit' | 'metadata'>;

const NONE: Preferences = {
  enable_webhook: false,
  webhook_url: null,
  quiet_hours_start: null,
  quiet_hours_end: null,
  max_notifications_per_hour: null,
};

/** The preferences that an endpoint keeps. What counts is the endpoint: one that Sealpost disabled is not enabled. */
export function preferencesOf(endpoint: Endpoint | undefined): Preferences {
  if (!endpoint) return NONE;
  const { metadata, quietHours: quiet, rateLimit: limit } = endpoint;
  const webhookUrl = endpoint.url === NO_URL ? null : endpoint.url;
  const hours = quiet?.timezone === 'UTC' ? quiet : undefined;
  return {
    enable_webhook: endpoint.enabled || (webhookUrl === null && metadata[WANTED.enabled] === true),
    webhook_url: webhookUrl,
    quiet_hours_start: hours?.start_hour ?? hourIn(metadata, WANTED.start),
    quiet_hours_end: hours?.end_hour ?? hourIn(metadata, WANTED.end),
    max_notifications_per_hour: limit?.period_seconds === HOUR_SECONDS ? limit.limit : null,
  };
}

/** The endpoint that begins to keep an agent's preferences. @throws SealpostError validation_failed */
export function newEndpoint(input: PreferencesInput): EndpointInput {
  const fields = fieldsOf(merged(NONE, input), input, {});
  return {
    ...endpointInput.parse({ url: fields.url }),
    name: PREFERENCES_ENDPOINT,
    description: 'Keeps the notification preferences of an AIFAI agent.',
    wire_profile: 'aifai',
    ...said(fields, input),
  };
}

/** What a change of preferences changes of the endpoint. @throws SealpostError validation_failed */
export function endpointChange(endpoint: Endpoint, input: PreferencesInput): EndpointPatch {
  const fields = fieldsOf(merged(preferencesOf(endpoint), input), input, endpoint.metadata as Metadata);
  return said(fields, input);
}

/** Limits and hours that the app has, or that were set another way, count as long as nothing is said about them. */
function said({ rate_limit, quiet_hours, ...always }: ReturnType<typeof fieldsOf>, input: PreferencesInput) {
  const saysHours = input.quiet_hours_start !== undefined || input.quiet_hours_end !== undefined;
  return {
    ...always,
    ...(input.max_notifications_per_hour !== undefined && { rate_limit }),
    ...(saysHours && { quiet_hours }),
  };
}

function merged(before: Preferences, input: PreferencesInput): Preferences {
  const given = Object.entries(input).filter(([, value]) => value !== undefined);
  const after = { ...before, ...Object.fromEntries(given) };
  return { ...after, enable_webhook: after.enable_webhook ?? false };
}

/** What is skipped is not sent later: a notification is there all the same, for the agent to read. */
function fieldsOf(preferences: Preferences, input: PreferencesInput, metadata: Metadata) {
  const {
    enable_webhook: enable,
    webhook_url: webhookUrl,
    quiet_hours_start: start,
    quiet_hours_end: end,
    max_notifications_per_hour: limit,
  } = preferences;
  if (start !== null && start === end) throw sameHours(input);
  const bothHours = start !== null && end !== null;
  const wanted: Metadata = {
    ...(enable && webhookUrl === null && { [WANTED.enabled]: true }),
    ...(!bothHours && start !== null && { [WANTED.start]: start }),
    ...(!bothHours && end !== null && { [WANTED.end]: end }),
  };
  const names: string[] = Object.values(WANTED);
  const others = Object.entries(metadata).filter(([name]) => !names.includes(name));
  return {
    url: webhookUrl ?? NO_URL,
    enabled: enable && webhookUrl !== null,
    quiet_hours: bothHours
      ? { start_hour: start, end_hour: end, timezone: 'UTC', during: 'skip' as const }
      : null,
    rate_limit: limit === null ? null : { limit, period_seconds: HOUR_SECONDS, over: 'skip' as const },
    metadata: { ...Object.fromEntries(others), ...wanted },
  };
}

function sameHours(input: PreferencesInput): SealpostError {
  const [path, other] =
    input.quiet_hours_end === undefined
      ? ['quiet_hours_start', 'quiet_hours_end']
      : ['quiet_hours_end', 'quiet_hours_start'];
  const message = `must not be ${other}`;
  return new SealpostError('validation_failed', `${path} ${message}`, { errors: [{ path: path!, message }] });
}

function hourIn(metadata: Record<string, unknown>, name: string): number | null {
  const value = metadata[name];
  return typeof value === 'number' ? value : null;
}
