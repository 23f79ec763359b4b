import { signStandard } from './sign.ts';

/** The wire profiles so far; they differ in the body alone. */
export type WireProfileName = 'standard' | 'raw';

export const USER_AGENT = 'Sealpost/0.1';
export const JSON_CONTENT_TYPE = 'application/json';

export type BuildRequestInput = {
  profile: WireProfileName;
  /** Neither profile has it in the body: it is the `webhook-id`. */
  eventId: string;
  eventType: string;
  /** Milliseconds since the epoch. */
  createdAt: number;
  /** The payload's JSON text, as it was published. */
  payload: Buffer | string;
  /** What the publisher said that the payload is. */
  contentType: string;
};

export type WireBody = { body: string; contentType: string };

/**
 * The body that a receiver gets. `standard` wraps the payload's text, verbatim, as `data` (Standard Webhooks,
 * "Payload structure"); `raw` is the payload alone, and where that is a JSON string with a content type other than
 * JSON, the string's text.
 */
export function buildRequest({
  profile,
  eventType,
  createdAt,
  payload,
  contentType,
}: BuildRequestInput): WireBody {
  const json = typeof payload === 'string' ? payload : payload.toString('utf8');
  if (profile === 'standard') {
    const timestamp = new Date(createdAt).toISOString();
    return {
      body: `{"type":${JSON.stringify(eventType)},"timestamp":"${timestamp}","data":${json}}`,
      contentType: JSON_CONTENT_TYPE,
    };
  }
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
