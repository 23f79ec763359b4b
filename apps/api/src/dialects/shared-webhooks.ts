import { listQuery, SealpostError, type WireProfileName } from '@sealpost/core';
import { type AppConfig, type EndpointRecord, effectiveWireProfile } from '@sealpost/store';
import { z } from 'zod';
import { newestIdFirst } from '../http/pagination.ts';

/** What the dialects have in common whose webhooks are endpoints of one wire profile. */

/**
 * Clients of the documented routes know of no pages, and would take the first one for all that there is: so it is as
 * long as pages may be.
 */
export const webhooksQuery = listQuery.safeExtend({ limit: listQuery.shape.limit.unwrap().default(100) });

/**
 * A dialect's webhooks are the endpoints whose deliveries look as its document says, whoever made them. Others of the
 * app are not its business: it would show them with defaults and limits that are not theirs, and a client that takes
 * what is listed for its own would change or delete them.
 */
function isWebhook({ record }: AppConfig, endpoint: EndpointRecord, profile: WireProfileName): boolean {
  return effectiveWireProfile(record, endpoint).name === profile;
}

/** Newest first. */
export function webhooksOf(config: AppConfig, profile: WireProfileName): EndpointRecord[] {
  const endpoints = newestIdFirst(config.endpoints) as readonly EndpointRecord[];
  return endpoints.filter((endpoint) => isWebhook(config, endpoint, profile));
}

/** @throws SealpostError endpoint_not_found, also for an endpoint that is none of the dialect's */
export function webhookOf(config: AppConfig, id: string, profile: WireProfileName): EndpointRecord {
  const endpoint = config.endpoints.get(id);
  if (endpoint && isWebhook(config, endpoint, profile)) return endpoint;
  throw new SealpostError('endpoint_not_found', `There is no webhook ${id}.`);
}

/** As `wholeSeconds` writes it. */
export const time = z.iso.datetime({ precision: 0 });

/**
 * An endpoint's own retry policy with another number of retries; null: as many as its app or profile has.
 * @returns null when nothing of its own is left
 */
export function withMaxRetries(
  retry: EndpointRecord['retry'],
  maxRetries: number | null,
): EndpointRecord['retry'] {
  const { max_retries: _, ...others } = retry ?? {};
  if (maxRetries !== null) return { ...others, max_retries: maxRetries };
  return Object.keys(others).length > 0 ? others : null;
}
