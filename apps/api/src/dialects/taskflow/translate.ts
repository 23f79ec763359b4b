import type { EndpointInput, EndpointPatch } from '@sealpost/core';
import type { EndpointRecord } from '@sealpost/store';
import { withMaxRetries } from '../shared-webhooks.ts';
import type { WebhookInput, WebhookPatch } from './schemas.ts';

/** A new webhook as an endpoint. The profile is its own, so that another one of the app's changes nothing for it. */
export function endpointInputOf(body: WebhookInput): EndpointInput {
  const { retry_count: retries = null, secret_token: secret = null, timeout_seconds: timeout = null } = body;
  return {
    name: body.name,
    url: body.url,
    description: body.description ?? '',
    event_types: body.events,
    environments: [],
    headers: body.headers ?? {},
    ...(secret !== null && { secret }),
    wire_profile: 'taskflow',
    enabled: body.is_active,
    ...(timeout !== null && { timeout_seconds: timeout }),
    ...(retries !== null && { retry: { max_retries: retries } }),
    ordered: false,
    metadata: {},
  };
}

/** What a PATCH says of the endpoint that it changes. */
export function endpointPatchOf(body: WebhookPatch, { retry }: EndpointRecord): EndpointPatch {
  const { events, secret_token: secret, retry_count: retries, is_active: enabled, ...same } = body;
  return {
    ...same,
    ...(events !== undefined && { event_types: events }),
    ...(secret !== undefined && { secret }),
    ...(retries !== undefined && { retry: withMaxRetries(retry, retries) }),
    ...(enabled !== undefined && { enabled }),
  };
}
