import type { EventFacts } from '@sealpost/core/expressions';
import { type EventRecord, eventId } from '@sealpost/queue';

/** A stored event as expressions see it. */
export function eventFacts(input: {
  shard: number;
  eventNumber: number;
  event: EventRecord;
  body: Buffer;
  sequence: number | undefined;
}): EventFacts {
  const { event } = input;
  return {
    type: event.t,
    payload: input.body.toString('utf8'),
    environment: event.e,
    correlationId: event.c,
    attributes: event.x,
    sequence: event.c === undefined ? undefined : input.sequence,
    id: eventId(input.shard, input.eventNumber, event),
    acceptedAt: event.at,
  };
}
