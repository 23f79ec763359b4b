import { formatId, type Keyring, type Verification } from '@sealpost/core';
import { type DeliveryRecord, type EventRecord, eventId, hashEvent, sealedFields } from '@sealpost/queue';

/**
 * Whether the API made this delivery as it stands in Redis: app, delivery, event, endpoint, and all of the event's
 * record and body.
 */
export function checkSeal(
  keyring: Keyring,
  place: { shard: number; number: number },
  delivery: DeliveryRecord,
  event: EventRecord,
  eventRecord: Buffer,
  body: Buffer,
): Verification {
  const fields = sealedFields(event, {
    delivery: formatId('dlv', place.shard, place.number),
    event: eventId(place.shard, delivery.event, event),
    endpointId: delivery.endpoint > 0 ? formatId('ep', place.shard, delivery.endpoint) : null,
    recordHash: hashEvent(eventRecord, body),
  });
  return keyring.verifySeal(delivery.keyId, fields, delivery.seal);
}
