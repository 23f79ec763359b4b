import {
  buildRequest,
  formatId,
  JSON_CONTENT_TYPE,
  requestHeaders,
  SealpostError,
  shownHeaders,
  type TestInput,
  type WireBody,
} from '@sealpost/core';
import type { EventFacts } from '@sealpost/core/expressions';
import { SandboxBusy } from '@sealpost/sandbox';
import { type AppConfig, type EndpointRecord, effectiveWireProfile, isSigned } from '@sealpost/store';
import { z } from 'zod';
import type { Services } from '../services.ts';

export const dryRunAnswer = z
  .object({
    dry_run: z.literal(true),
    delivers: z.boolean().describe('What its filter says; without one, true.'),
    body: z
      .string()
      .nullable()
      .describe('What would be posted. null: its filter says no, and its transform fails.'),
    content_type: z.string().nullable(),
    headers: z.record(z.string(), z.string()).describe('Secret values are redacted.'),
  })
  .meta({ id: 'DryRun' });

/**
 * What a test event would come to at an endpoint, without publishing it: its filter's answer, and the request that would be
 * posted.
 * @param payload its JSON text
 * @throws SealpostError expression_failed, overloaded
 */
export async function tryEndpoint(
  { expressions }: Pick<Services, 'expressions'>,
  config: AppConfig,
  endpoint: EndpointRecord,
  input: TestInput,
  payload: string,
  now: number,
): Promise<z.output<typeof dryRunAnswer>> {
  const facts: EventFacts = {
    type: input.event_type,
    payload,
    environment: input.environment,
    correlationId: input.correlation_id,
    attributes: input.attributes,
    // Numbers are given to what is published.
    id: formatId('evt', config.shard, 0),
    acceptedAt: now,
  };
  const owner = config.app;
  const { filter, transform } = endpoint;
  const filtered =
    filter === undefined ? undefined : await whenFree(expressions.filter({ source: filter, owner }, facts));
  const delivers = filtered === undefined || passes(filtered);
  const transformed =
    transform === undefined
      ? undefined
      : await whenFree(expressions.transform({ source: transform, owner }, facts));
  const wire = transformed ? bodyOf(transformed, delivers) : profileBody(config, endpoint, facts);
  return {
    dry_run: true,
    delivers,
    body: wire?.body ?? null,
    content_type: wire?.contentType ?? null,
    headers: wire ? headersOf(config, endpoint, facts, wire) : {},
  };
}

async function whenFree<T>(result: Promise<T>): Promise<T> {
  try {
    return await result;
  } catch (error) {
    if (error instanceof SandboxBusy) {
      throw new SealpostError('overloaded', 'Too many expressions wait to be evaluated.', {
        retryAfterSeconds: 1,
      });
    }
    throw error;
  }
}

type Failed = { failure: string } | { killed: true };

function passes(result: { passes: boolean } | Failed): boolean {
  if ('passes' in result) return result.passes;
  throw failed('filter', result);
}

function bodyOf(result: { body: string; json: boolean } | Failed, delivers: boolean): WireBody | undefined {
  if ('body' in result) {
    return { body: result.body, contentType: result.json ? JSON_CONTENT_TYPE : 'text/plain; charset=utf-8' };
  }
  // A transform need not know what to make of an event that its filter keeps from it.
  if (!delivers) return undefined;
  throw failed('transform', result);
}

function failed(field: 'filter' | 'transform', result: Failed): SealpostError {
  const why = 'killed' in result ? 'it took longer than 50 ms, or more memory than it may' : result.failure;
  return new SealpostError('expression_failed', `The ${field} failed: ${why}.`, {
    errors: [{ path: field, message: why }],
  });
}

function profileBody(config: AppConfig, endpoint: EndpointRecord, facts: EventFacts): WireBody {
  return buildRequest({
    profile: effectiveWireProfile(config.record, endpoint),
    eventId: facts.id,
    eventType: facts.type,
    createdAt: facts.acceptedAt,
    environment: facts.environment,
    correlationId: facts.correlationId,
    attributes: facts.attributes,
    payload: facts.payload,
    contentType: JSON_CONTENT_TYPE,
  });
}

function headersOf(
  config: AppConfig,
  endpoint: EndpointRecord,
  { id, type, acceptedAt }: EventFacts,
  { body, contentType }: WireBody,
): Record<string, string> {
  const timestampSeconds = Math.floor(acceptedAt / 1000);
  const { sent } = requestHeaders({
    profile: effectiveWireProfile(config.record, endpoint),
    eventId: id,
    deliveryId: formatId('dlv', config.shard, 0),
    eventType: type,
    timestampSeconds,
    body,
    contentType,
    // Shown are only their places, so no secret is needed.
    secrets: isSigned(config, endpoint) ? ['dry run'] : [],
    own: endpoint.headersSealed,
  });
  return shownHeaders(sent, { eventId: id, timestampSeconds });
}
