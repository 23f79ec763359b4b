import { formatId, type Keyring } from '@sealpost/core';
import {
  type DeliveryRecord,
  type EventRecord,
  eventId,
  FLAG,
  hashEvent,
  sealedFields,
} from '@sealpost/queue';
import type { Target } from './match-endpoints.ts';

export type SealedEvent = { recordText: string; deliveries: DeliveryRecord[] };

/**
 * The event's record as text, and a sealed record for each delivery. The seal binds app, delivery, event, endpoint and
 * everything that decides what is sent where, so that nobody who can only write to Redis can have something sent.
 */
export function sealDeliveries(
  keyring: Keyring,
  place: { shard: number; number: number },
  record: EventRecord,
  payload: string,
  targets: Target[],
  waitedFor: boolean,
): SealedEvent {
  const recordText = JSON.stringify(record);
  const recordHash = hashEvent(recordText, payload);
  const event = eventId(place.shard, place.number, record);
  const flags = (waitedFor ? FLAG.wait : 0) + (record.c === undefined ? 0 : FLAG.correlated);
  const deliveries = targets.map((target, i): DeliveryRecord => {
    const delivery = formatId('dlv', place.shard, place.number + i);
    const seal = keyring.seal(
      sealedFields(record, { delivery, event, endpointId: target.endpointId, recordHash }),
    );
    return {
      status: target.skip ? 'skipped' : 'pending',
      flags,
      generation: 1,
      attempts: 0,
      jobBase: 0,
      retryBase: 0,
      event: place.number,
      app: record.n,
      endpoint: target.endpoint,
      createdAt: record.at,
      dueAt: target.skip ? record.at : (record.da ?? record.at),
      statusCode: 0,
      reason: target.skip ?? 'none',
      keyId: keyring.keyId,
      seal,
    };
  });
  return { recordText, deliveries };
}
