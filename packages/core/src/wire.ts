import { signStandard } from './sign.ts';
import type { WireEvent, WireProfile } from './wire-profiles/index.ts';

export const USER_AGENT = 'Sealpost/0.1';
export const JSON_CONTENT_TYPE = 'application/json';

/** What stands for a secret value wherever one is shown. */
export const REDACTED = '[redacted]';

export type BuildRequestInput = WireEvent & {
  profile: WireProfile;
  /** The payload's JSON text, as it was published. */
  payload: Buffer | string;
  /** What the publisher said that the payload is. */
  contentType: string;
};

export type WireBody = { body: string; contentType: string };

/**
 * The body that a receiver gets: the profile's envelope around the payload's text, verbatim. Where the profile has none
 * it is the payload alone, and where that is a JSON string with a content type other than JSON, the string's text.
 */
export function buildRequest(input: BuildRequestInput): WireBody {
  const { profile, payload, contentType } = input;
  const json = typeof payload === 'string' ? payload : payload.toString('utf8');
  if (profile.writeBody) return { body: profile.writeBody(input, json), contentType: JSON_CONTENT_TYPE };
  if (isJsonContentType(contentType) || json.trimStart()[0] !== '"') return { body: json, contentType };
  return { body: JSON.parse(json) as string, contentType };
}

/** Whether a media type names JSON: `application/json`, `text/json`, or the suffix `+json` (RFC 6839 §3.1). */
export function isJsonContentType(contentType: string): boolean {
  if (contentType === JSON_CONTENT_TYPE) return true;
  return /^\s*(?:(?:application|text)\/json|[^;\s]+\+json)\s*(?:;|$)/i.test(contentType);
}

export type SignatureInput = {
  eventId: string;
  /** The time of the attempt, in whole seconds since the epoch. */
  timestampSeconds: number;
  body: Buffer | string;
  /** The present secret first, then those that still count; none: nothing is signed. */
  secrets: readonly string[];
};

export type SignatureHeaders = {
  'webhook-id': string;
  'webhook-timestamp': string;
  'webhook-signature'?: string;
};

/** The headers of Standard Webhooks ("Webhook headers"); without a secret there is no signature. */
export function signatureHeaders({
  eventId,
  timestampSeconds,
  body,
  secrets,
}: SignatureInput): SignatureHeaders {
  const headers: SignatureHeaders = {
    'webhook-id': eventId,
    'webhook-timestamp': String(timestampSeconds),
  };
  if (secrets.length > 0) {
    headers['webhook-signature'] = signStandard({ id: eventId, timestampSeconds, body, secrets });
  }
  return headers;
}

export type RequestHeadersInput = SignatureInput & {
  profile: WireProfile;
  /** `dlv_…` */
  deliveryId: string;
  eventType: string;
  contentType: string;
  /** The endpoint's own headers. */
  own: Readonly<Record<string, string>>;
};

/** What of a request's headers is kept, without any secret. */
export type SentHeaders = {
  contentType: string;
  signed: boolean;
  /** Names of the endpoint's own headers that were sent: their values are secret. */
  own: string[];
  /** The profile's own ones, and its user agent; null: a signature. Undefined: it has none. */
  profile?: Record<string, string | null> | undefined;
};

/**
 * All headers of a request, and what may be shown of them. The endpoint's own go over the user agent alone: whatever
 * names type, id, event or signature is Sealpost's or the profile's, even where it has nothing to say. Names are in
 * lower case, so that none stands twice, but for the profile's, which are as its receivers know them.
 */
export function requestHeaders(input: RequestHeadersInput): {
  headers: Record<string, string>;
  sent: SentHeaders;
} {
  const { profile, contentType, own, secrets } = input;
  const standard = signatureHeaders(input);
  const headers: Record<string, string> = {
    'user-agent': profile.userAgent ?? USER_AGENT,
    ...lowerCased(own),
    'content-type': contentType,
    ...standard,
  };
  const sent: SentHeaders = { contentType, signed: secrets.length > 0, own: Object.keys(own) };
  if (profile.name === 'standard' || profile.name === 'raw') return { headers, sent };
  const shown: Record<string, string | null> = {};
  const ownAgent = sent.own.some((name) => name.toLowerCase() === 'user-agent');
  if (profile.userAgent !== undefined && !ownAgent) shown['user-agent'] = profile.userAgent;
  for (const { header, name, lowerCase } of profile.ownHeaders) {
    delete headers[lowerCase];
    const value = header === 'signature' ? ownSignature(input, standard) : tellHeader(header, input);
    if (value === undefined) continue;
    headers[name] = value;
    shown[name] = header === 'signature' ? null : value;
  }
  sent.own = sent.own.filter((name) => {
    const lower = name.toLowerCase();
    return !profile.ownHeaders.some(({ lowerCase }) => lowerCase === lower);
  });
  if (Object.keys(shown).length > 0) sent.profile = shown;
  return { headers, sent };
}

function ownSignature(input: RequestHeadersInput, standard: SignatureHeaders): string | undefined {
  if (input.secrets.length === 0) return undefined;
  return input.profile.signOwn ? input.profile.signOwn(input) : standard['webhook-signature'];
}

function tellHeader(header: 'event' | 'delivery' | 'timestamp' | 'id', input: RequestHeadersInput): string {
  switch (header) {
    case 'event':
      return input.profile.eventHeaderValue ?? input.eventType;
    case 'delivery':
      return input.deliveryId;
    case 'timestamp':
      return String(input.timestampSeconds);
    case 'id':
      return input.eventId;
  }
}

/** A request's headers as they may be shown: secret values are redacted. */
export function shownHeaders(
  sent: SentHeaders,
  { eventId, timestampSeconds }: { eventId: string; timestampSeconds: number },
): Record<string, string> {
  const headers: Record<string, string> = {
    'content-type': sent.contentType,
    'webhook-id': eventId,
    'webhook-timestamp': String(timestampSeconds),
  };
  if (sent.signed) headers['webhook-signature'] = REDACTED;
  for (const [name, value] of Object.entries(sent.profile ?? {})) headers[name] = value ?? REDACTED;
  for (const name of sent.own) headers[name] = REDACTED;
  return headers;
}

/** HTTP's names are case-insensitive (RFC 9110 §5.1). */
function lowerCased(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
}
