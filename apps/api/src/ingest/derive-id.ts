import { createHash } from 'node:crypto';
import type { RouteContext } from '../http/route.ts';
import type { Services } from '../services.ts';

type Keyed = Pick<RouteContext<unknown, unknown>, 'params' | 'rawBody' | 'idempotencyKey' | 'request'>;

/**
 * The id of an event that is published with an Idempotency-Key and brings none: derived from it, so that a crash
 * between storing the event and keeping the answer cannot make two.
 */
export function derivedId(services: Pick<Services, 'keyring'>, context: Keyed): string | undefined {
  const token = derive(services, context, 'event-id');
  return token === undefined ? undefined : `evt_${token.slice(0, 32)}`;
}

/** What a request for a replay with an Idempotency-Key is known by, likewise. */
export function derivedRequest(services: Pick<Services, 'keyring'>, context: Keyed): string | undefined {
  return derive(services, context, 'replay-request');
}

function derive({ keyring }: Pick<Services, 'keyring'>, context: Keyed, purpose: string): string | undefined {
  if (context.idempotencyKey === undefined) return undefined;
  // With the body: the key may be used again for another request once its answer is no longer kept.
  const body = createHash('sha256').update(context.rawBody).digest('base64url');
  const name = [context.params.app, context.request.path, context.idempotencyKey, body].join('\0');
  return keyring.token(purpose, name);
}
