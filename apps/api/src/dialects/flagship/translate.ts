import type { EndpointInput, EndpointPatch } from '@sealpost/core';
import type { EndpointRecord } from '@sealpost/store';
import { withMaxRetries } from '../shared-webhooks.ts';
import type { WebhookInput } from './schemas.ts';

/** A new webhook as an endpoint. The profile is its own, so that another one of the app's changes nothing for it. */
export function endpointInputOf(body: WebhookInput): EndpointInput {
  const { max_retries: retries = null, timeout_seconds: timeout = null, secret } = body;
  return {
    url: body.url,
    description: body.description ?? '',
    event_types: body.events,
    environments: body.environments ?? [],
    headers: {},
    ...(secret !== undefined && { secret }),
    wire_profile: 'flagship',
    enabled: body.enabled,
    ...(timeout !== null && { timeout_seconds: timeout }),
    ...(retries !== null && { retry: { max_retries: retries } }),
    ordered: false,
    metadata: {},
  };
}

/**
 * What a PUT replaces of the endpoint: all that a goflagship client knows of, what is left out being null. What it
 * cannot say (headers, a name, flow control), and so cannot have meant to remove, stays, as does the secret.
 */
export function endpointPatchOf(body: WebhookInput, { retry }: EndpointRecord): EndpointPatch {
  const { secret } = body;
  return {
    url: body.url,
    description: body.description ?? null,
    event_types: body.events,
    environments: body.environments ?? null,
    enabled: body.enabled,
    timeout_seconds: body.timeout_seconds ?? null,
    retry: withMaxRetries(retry, body.max_retries ?? null),
    ...(secret !== undefined && { secret }),
  };
}
