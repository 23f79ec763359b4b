import { eventInput, type FieldError, type InputParser, SealpostError } from '@sealpost/core';
import type { Caller } from '../http/route.ts';
import type { Draft } from './prepare-event.ts';
import type { PublishEvents } from './publish-events.ts';
import type { Published } from './published-event.ts';

/** One event of a batch as it was sent: parsed, and the text of its payload. */
export type BatchItem = { value: unknown; payload(): string } | { problem: SealpostError };

export type BatchResult = { published: Published } | { problem: SealpostError };

/** Publishes those that are valid, in order; a bad one fails alone. A result for each, in order. */
export async function publishBatch(
  publisher: PublishEvents,
  parser: InputParser,
  app: string,
  caller: Caller,
  items: BatchItem[],
  derivedId?: (index: number) => string,
): Promise<BatchResult[]> {
  const drafts: Draft[] = [];
  const results = items.map((item, i): BatchResult | number => {
    if ('problem' in item) return item;
    const parsed = parser.tryParse(eventInput, item.value);
    if ('errors' in parsed) return { problem: invalid(parsed.errors) };
    drafts.push({ input: parsed.data, payload: item.payload(), derivedId: derivedId?.(i) });
    return drafts.length - 1;
  });
  for (const result of results) {
    if (typeof result !== 'number' && 'problem' in result) publisher.refused(result.problem.code);
  }
  const published = drafts.length > 0 ? await publisher.publish(app, caller, drafts) : [];
  return results.map((result) => (typeof result === 'number' ? { published: published[result]! } : result));
}

function invalid(errors: FieldError[]): SealpostError {
  const first = errors[0];
  const detail = `${first?.path || 'the event'} ${first?.message ?? 'is not valid'}`;
  return new SealpostError('validation_failed', detail, { errors });
}
