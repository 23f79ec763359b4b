import {
  effectiveRetry,
  effectiveTimeoutSeconds,
  type RateLimit,
  type RetryPolicy,
  type WireProfile,
  type WireProfileSetting,
  wireProfileOf,
} from '@sealpost/core';
import type { AppRecord, EndpointRecord } from './config-records.ts';

/**
 * What counts for an endpoint, or for a delivery to it: built in < wire profile < app's defaults < endpoint < event.
 * No endpoint: the `webhook_url` of an event.
 */

type Endpoint = EndpointRecord | undefined;

/** What an event says itself. */
export type EventSettings = {
  wireProfile?: WireProfileSetting | undefined;
  retry?: Partial<RetryPolicy> | undefined;
};

/** The wire profile: the endpoint's, else the event's, else the app's. */
export function effectiveWireProfile(
  app: AppRecord,
  endpoint: Endpoint,
  event: EventSettings = {},
): WireProfile {
  return wireProfileOf(endpoint?.wireProfile ?? event.wireProfile ?? app.wireProfile);
}

export function effectiveRetryPolicy(
  app: AppRecord,
  endpoint: Endpoint,
  event: EventSettings = {},
): RetryPolicy {
  const profile = effectiveWireProfile(app, endpoint, event);
  return effectiveRetry(profile.retry, app.defaults.retry, endpoint?.retry ?? undefined, event.retry);
}

/** Seconds that an attempt may take. */
export function effectiveTimeout(app: AppRecord, endpoint: Endpoint, event: EventSettings = {}): number {
  const profile = effectiveWireProfile(app, endpoint, event);
  return effectiveTimeoutSeconds(
    profile.timeoutSeconds,
    app.defaults.timeoutSeconds,
    endpoint?.timeoutSeconds ?? undefined,
  );
}

/** Of an endpoint's lane; whatever profiles its events have. null: none. */
export function effectiveRateLimit(app: AppRecord, endpoint: EndpointRecord): RateLimit | null {
  if (endpoint.rateLimit !== undefined) return endpoint.rateLimit;
  return app.defaults.rateLimit ?? effectiveWireProfile(app, endpoint).rateLimit ?? null;
}
