import { ExpressionError } from './failure.ts';
import { MAX_EVENT_BYTES } from './limits.ts';
import type { EventVariables } from './scope.ts';

/** What is known of an event. */
export type EventFacts = {
  type: string;
  /** JSON. */
  payload: string;
  environment?: string | undefined;
  correlationId?: string | undefined;
  attributes?: Readonly<Record<string, unknown>> | undefined;
  sequence?: number | undefined;
  id: string;
  /** ms epoch */
  acceptedAt: number;
};

/** Whether an event's payload is one that expressions are evaluated over. */
export function isWithinEventLimit(payload: string): boolean {
  return payload.length <= MAX_EVENT_BYTES && Buffer.byteLength(payload) <= MAX_EVENT_BYTES;
}

/** @throws ExpressionError */
export function assertWithinEventLimit(payload: string): void {
  if (isWithinEventLimit(payload)) return;
  throw new ExpressionError(`the payload has more than ${MAX_EVENT_BYTES} bytes, too many for an expression`);
}

/**
 * An event as its expressions see it.
 * @param parsed the payload, where it has been parsed before
 * @throws ExpressionError when the payload is too large
 */
export function eventVariables(facts: EventFacts, parsed?: { payload: unknown }): EventVariables {
  assertWithinEventLimit(facts.payload);
  return {
    type: facts.type,
    payload: parsed ? parsed.payload : JSON.parse(facts.payload),
    environment: facts.environment ?? null,
    correlation_id: facts.correlationId ?? null,
    attributes: facts.attributes ?? {},
    sequence: facts.sequence === undefined ? null : BigInt(facts.sequence),
    id: facts.id,
    timestamp: new Date(facts.acceptedAt),
  };
}
