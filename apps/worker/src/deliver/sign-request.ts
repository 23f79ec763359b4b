import {
  buildRequest,
  effectiveRetry,
  effectiveTimeoutSeconds,
  JSON_CONTENT_TYPE,
  type RetryPolicy,
  signatureHeaders,
  USER_AGENT,
} from '@sealpost/core';
import { type EventRecord, eventId } from '@sealpost/queue';
import type { PostRequest } from './http-client.ts';
import type { Destination } from './load-endpoint.ts';

/** An attempt, ready to be made. */
export type SignedRequest = PostRequest & {
  /** Names of the endpoint's own headers: their values are secret. */
  ownHeaders: string[];
};

/**
 * The request of one attempt: body by wire profile, signed with the time of the attempt by every secret that counts
 * now (Standard Webhooks: a retry has a new timestamp and so a new signature).
 */
export function signRequest(input: {
  shard: number;
  event: EventRecord;
  eventNumber: number;
  body: Buffer;
  destination: Destination;
  /** Decrypted `webhook_secret`. */
  webhookSecret: string | undefined;
  now: number;
}): SignedRequest {
  const { event, destination, now } = input;
  const { endpoint, app } = destination;
  const id = eventId(input.shard, input.eventNumber, event);
  const wire = buildRequest({
    profile: endpoint?.record.wireProfile ?? event.w ?? app.wireProfile,
    eventId: id,
    eventType: event.t,
    createdAt: event.at,
    payload: input.body,
    contentType: event.ct ?? JSON_CONTENT_TYPE,
  });
  const timestampSeconds = Math.floor(now / 1000);
  const secrets = secretsAt(destination, input.webhookSecret, now);
  const own = endpoint?.headers ?? {};
  return {
    url: endpoint?.record.url ?? event.u ?? '',
    headers: {
      'user-agent': USER_AGENT,
      ...lowerCased(own),
      'content-type': wire.contentType,
      ...signatureHeaders({ eventId: id, timestampSeconds, body: wire.body, secrets }),
    },
    body: wire.body,
    timeoutMs:
      effectiveTimeoutSeconds(app.defaults.timeoutSeconds, endpoint?.record.timeoutSeconds ?? undefined) *
      1000,
    ownHeaders: Object.keys(own),
  };
}

/** The policy that counts for this event at this endpoint: the event's own, else the endpoint's, else the app's. */
export function retryPolicyOf(event: EventRecord, { app, endpoint }: Destination): RetryPolicy {
  return effectiveRetry(app.defaults.retry, endpoint?.record.retry ?? undefined, event.r);
}

/** Endpoint or `webhook_secret` first; the app's signing secret where there is none. */
function secretsAt(destination: Destination, webhookSecret: string | undefined, now: number): string[] {
  const live = (destination.endpoint?.secrets ?? [])
    .filter(({ expiresAt }) => expiresAt === undefined || expiresAt > now)
    .map(({ value }) => value);
  if (webhookSecret !== undefined) live.push(webhookSecret);
  if (live.length === 0 && destination.signingSecret !== undefined) live.push(destination.signingSecret);
  return live;
}

/** HTTP/1.1 names are case-insensitive: lower case, so that none can stand twice. */
function lowerCased(headers: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
}
