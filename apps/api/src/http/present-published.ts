import { formatTimestamp, STATUSES } from '@sealpost/core';
import { z } from 'zod';
import type { BatchResult } from '../ingest/publish-batch.ts';
import type { Published } from '../ingest/published-event.ts';
import { presentProblem, problemAnswer } from './problem.ts';

export const publishedAnswer = z
  .object({
    id: z.string().describe('What receivers see as `webhook-id`.'),
    type: z.string(),
    sequence: z.int().nullable().describe('Counts the events of its correlation id from 1.'),
    created_at: z.iso.datetime(),
    deliveries: z.array(
      z.object({ id: z.string(), endpoint_id: z.string().nullable(), status: z.enum(STATUSES) }),
    ),
  })
  .meta({ id: 'PublishedEvent' });

export const batchAnswer = z
  .object({
    results: z
      .array(
        z.object({
          status: z.int().describe('As if it had been published alone.'),
          event: publishedAnswer.optional(),
          problem: problemAnswer.optional(),
        }),
      )
      .describe('One for each event, in order.'),
  })
  .meta({ id: 'BatchResult' });

export function presentPublished(event: Published): z.output<typeof publishedAnswer> {
  return {
    id: event.id,
    type: event.type,
    sequence: event.sequence,
    created_at: formatTimestamp(event.createdAt, 'milliseconds'),
    deliveries: event.deliveries.map(({ id, endpointId, status }) => ({
      id,
      endpoint_id: endpointId,
      status,
    })),
  };
}

export function presentResult(result: BatchResult): { status: number; event?: unknown; problem?: unknown } {
  if ('published' in result) return { status: 202, event: presentPublished(result.published) };
  return { status: result.problem.status, problem: presentProblem(result.problem) };
}
