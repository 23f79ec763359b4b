import {
  buildRequest,
  formatId,
  JSON_CONTENT_TYPE,
  type RetryPolicy,
  requestHeaders,
  type SentHeaders,
  type WireBody,
} from '@sealpost/core';
import { type EventRecord, eventId } from '@sealpost/queue';
import {
  type EventSettings,
  effectiveRetryPolicy,
  effectiveTimeout,
  effectiveWireProfile,
} from '@sealpost/store';
import type { PostRequest } from './http-client.ts';
import type { Destination } from './load-endpoint.ts';

/** An attempt, ready to be made. */
export type SignedRequest = PostRequest & {
  /** What of its headers is kept. */
  sent: SentHeaders;
};

/**
 * The request of one attempt: body by wire profile, signed with the time of the attempt by every secret that counts
 * now (Standard Webhooks: a retry has a new timestamp and so a new signature).
 */
export function signRequest(input: {
  shard: number;
  /** The delivery's number. */
  number: number;
  event: EventRecord;
  eventNumber: number;
  /** Of its correlation id. */
  sequence: number | undefined;
  body: Buffer;
  destination: Destination;
  /** Decrypted `webhook_secret`. */
  webhookSecret: string | undefined;
  /** What the endpoint's transform has made, in place of the profile's body. */
  transformed?: WireBody | undefined;
  now: number;
}): SignedRequest {
  const { event, destination, now } = input;
  const { endpoint, app } = destination;
  const profile = effectiveWireProfile(app, endpoint?.record, settingsOf(event));
  const id = eventId(input.shard, input.eventNumber, event);
  const wire =
    input.transformed ??
    buildRequest({
      profile,
      eventId: id,
      eventType: event.t,
      createdAt: event.at,
      environment: event.e,
      correlationId: event.c,
      sequence: event.c === undefined ? undefined : input.sequence,
      attributes: event.x,
      payload: input.body,
      contentType: event.ct ?? JSON_CONTENT_TYPE,
    });
  const { headers, sent } = requestHeaders({
    profile,
    eventId: id,
    deliveryId: formatId('dlv', input.shard, input.number),
    eventType: event.t,
    timestampSeconds: Math.floor(now / 1000),
    body: wire.body,
    contentType: wire.contentType,
    secrets: secretsAt(destination, input.webhookSecret, now),
    own: endpoint?.headers ?? {},
  });
  return {
    url: endpoint?.record.url ?? event.u ?? '',
    headers,
    body: wire.body,
    timeoutMs: effectiveTimeout(app, endpoint?.record, settingsOf(event)) * 1000,
    sent,
  };
}

/** The policy that counts for this event at this endpoint. */
export function retryPolicyOf(event: EventRecord, { app, endpoint }: Destination): RetryPolicy {
  return effectiveRetryPolicy(app, endpoint?.record, settingsOf(event));
}

function settingsOf(event: EventRecord): EventSettings {
  return { wireProfile: event.w, retry: event.r };
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
