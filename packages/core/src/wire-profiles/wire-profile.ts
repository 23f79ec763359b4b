import type { RateLimit, RetryPolicy } from '../types.ts';
import type { Envelope, TimestampForm } from './envelope.ts';

/** The profiles that have a name, each a file beside this one. */
export const WIRE_PROFILE_NAMES = ['standard', 'raw', 'flock', 'taskflow', 'aifai', 'flagship'] as const;

export type WireProfileName = (typeof WIRE_PROFILE_NAMES)[number];

/** What a profile's own headers tell; `timestamp` is the attempt's, in seconds since the epoch. */
export type ProfileHeader = 'signature' | 'event' | 'delivery' | 'timestamp' | 'id';

/** The names of a profile's own headers, as its receivers know them. */
export type ProfileHeaders = { [header in ProfileHeader]?: string };

/**
 * How the value of a profile's own signature header is made: HMAC-SHA256 over `content`, put into `value`. The key is
 * all of the secret's text, a `whsec_` prefix included. In `content` stand `{body}` once, `{timestamp}` (of the attempt,
 * seconds since the epoch) and `{id}` (of the event); in `value` and `former` `{signature}` once, and these two.
 */
export type SignatureTemplate = {
  encoding: 'hex' | 'base64';
  content: string;
  value: string;
  /** Put behind the value for each former secret that still counts; without it, only the present one signs. */
  former?: string;
};

/** `standard`: what `webhook-signature` has. */
export type SignatureScheme = 'standard' | SignatureTemplate;

/** A profile as an API client gives it, for teams whose format has no name here. */
export type CustomWireProfile = {
  headers?: ProfileHeaders;
  /** `sha256-hex`: `sha256={hex}` over the body; `sha256-base64`: base64 alone over the body. */
  signature?: 'sha256-hex' | 'sha256-base64' | SignatureScheme;
  user_agent?: string;
  /** `payload`: the payload alone. */
  envelope?: 'standard' | 'payload';
};

/** What apps, endpoints and events have as their `wire_profile`. */
export type WireProfileSetting = WireProfileName | CustomWireProfile;

/**
 * How a delivery looks to the receiver, and what its senders promised about retries and limits. Every profile also
 * carries the headers of Standard Webhooks.
 */
export type WireProfileData = {
  name: WireProfileName | 'custom';
  headers: ProfileHeaders;
  /** Of the own signature header. */
  signature?: SignatureScheme;
  userAgent?: string;
  /** What the event header says, where it is not the event's type. */
  eventHeaderValue?: string;
  /** `payload`: the payload alone. */
  envelope: Envelope | 'payload';
  /** How times are written in the body. */
  timestamps: TimestampForm;
  /** What counts unless app, endpoint or event say otherwise, as the next three. */
  retry?: Partial<RetryPolicy>;
  timeoutSeconds?: number;
  rateLimit?: RateLimit;
  limits?: {
    /** Of endpoints with this profile in an app that sets no `max_endpoints`. */
    maxEndpoints?: number;
    /** What the system's own API takes. */
    maxRetries?: number;
    timeoutSeconds?: { min: number; max: number };
  };
  /** Whether endpoints without a delivery for 30 days are disabled, where the app does not say. */
  disableIdle?: boolean;
};
