import { formatId, type Keyring, KeyringError } from '@sealpost/core';
import {
  BUCKET_SIZE,
  type DeliveryRecord,
  decodeDelivery,
  type EventRecord,
  eventId,
  hashEvent,
  keyedSeal,
  keyedSealIn,
  parseEventRecord,
  place,
  type Reseal,
  rekey,
  type Shard,
  sealedFields,
  webhookSecretAad,
} from '@sealpost/queue';
import type { Tally } from './rotate-master-key.ts';

/** Events whose bodies (1 MiB at most, as a rule) are held at once. */
const EVENTS_AT_ONCE = 16;
/** Deliveries looked up, or given new seals, in one call, but for those of an event that itself is written anew. */
const DELIVERIES_AT_ONCE = 1000;

type Event = { number: number; text: string; record: EventRecord };
type Sealed = { number: number; bytes: Buffer; record: DeliveryRecord };

/**
 * Seals the deliveries anew of the events in one bucket, and encrypts their `webhook_secret`s anew. Ended deliveries too:
 * a retry or replay may send them again. What has lost its body can be sent no more, and is left.
 */
export async function rekeyEvents(
  shard: Shard,
  keyring: Keyring,
  bucket: number,
  tally: Tally,
): Promise<void> {
  const events = eventsIn(bucket, await shard.client.hgetall(shard.key(`e:${bucket}`)));
  for (let at = 0; at < events.length; at += EVENTS_AT_ONCE) {
    const some = events.slice(at, at + EVENTS_AT_ONCE);
    const reseals = await Promise.all(some.map((event) => rekeyEvent(shard, keyring, event, tally)));
    for (const chunk of chunksOf(reseals.flat())) {
      const changed = await rekey(shard, chunk);
      tally.deliveries += changed; // not in one: others count while this one waits
    }
  }
}

function eventsIn(bucket: number, fields: Record<string, string>): Event[] {
  return Object.entries(fields).flatMap(([field, text]) => {
    // The others are sequences and the count of what is open.
    const record = /^\d+$/.test(field) ? parseEventRecord(text) : undefined;
    return record ? [{ number: bucket * BUCKET_SIZE + Number(field), text, record }] : [];
  });
}

/** Gives the new seals of an event's deliveries; where its own record changes, both are written here. */
async function rekeyEvent(shard: Shard, keyring: Keyring, event: Event, tally: Tally): Promise<Reseal[]> {
  const renewed = withNewSecret(shard, keyring, event);
  const deliveries = (await deliveriesOf(shard, event)).filter(
    ({ record }) => renewed !== event || record.keyId === keyring.previousKeyId,
  );
  if (deliveries.length === 0) return [];
  const { bucket, field } = place(event.number);
  const body = await shard.client.hgetBuffer(shard.key(`b:${bucket}`), field);
  if (body === null) return [];
  const reseals = deliveries.map((delivery) =>
    resealed(shard, keyring, event, renewed, body, delivery, tally),
  );
  if (renewed === event) return reseals;
  const changed = await rekey(shard, reseals, { number: event.number, was: event.text, is: renewed.text });
  tally.events += changed < 0 ? 0 : 1;
  tally.deliveries += Math.max(0, changed);
  return [];
}

async function deliveriesOf(shard: Shard, { number, record }: Event): Promise<Sealed[]> {
  const found: Sealed[] = [];
  const numbers = Array.from({ length: record.k }, (_, i) => number + i);
  for (const [bucket, ofBucket] of Map.groupBy(numbers, (one) => place(one).bucket)) {
    const fields = ofBucket.map((one) => place(one).field);
    const stored = await shard.client.hmgetBuffer(shard.key(`d:${bucket}`), ...fields);
    for (const [i, bytes] of stored.entries()) {
      const decoded = bytes && decodeDelivery(bytes);
      // A number may have gone to another event when Redis lost what it had given out.
      if (decoded && decoded.event === number) found.push({ number: ofBucket[i]!, bytes, record: decoded });
    }
  }
  return found;
}

/** The same event when its secret is not under the previous key, or there is none. */
function withNewSecret(shard: Shard, keyring: Keyring, event: Event): Event {
  const { record, number } = event;
  if (!record.s?.startsWith(`v1.${keyring.previousKeyId}.`)) return event;
  try {
    const s = keyring.reencrypt(record.s, webhookSecretAad(record.a, shard.number, number));
    const renewed = { ...record, s };
    return { number, record: renewed, text: JSON.stringify(renewed) };
  } catch (error) {
    if (!(error instanceof KeyringError)) throw error;
    return event; // the seals tell that somebody changed it
  }
}

/** A seal over the event as it now is; one that was not valid stays invalid, under a key that everybody knows. */
function resealed(
  shard: Shard,
  keyring: Keyring,
  event: Event,
  renewed: Event,
  body: Buffer,
  { number, bytes, record }: Sealed,
  tally: Tally,
): Reseal {
  const over = ({ record: of, text }: Event) =>
    sealedFields(of, {
      delivery: formatId('dlv', shard.number, number),
      event: eventId(shard.number, event.number, of),
      endpointId: record.endpoint > 0 ? formatId('ep', shard.number, record.endpoint) : null,
      recordHash: hashEvent(text, body),
    });
  const isValid = keyring.verifySeal(record.keyId, over(event), record.seal) === 'valid';
  if (!isValid) tally.damaged += 1;
  const seal = isValid ? keyring.seal(over(renewed)) : record.seal;
  return { number, was: keyedSealIn(bytes), is: keyedSeal(keyring.keyId, seal) };
}

function* chunksOf<T>(all: T[]): Generator<T[]> {
  for (let at = 0; at < all.length; at += DELIVERIES_AT_ONCE) yield all.slice(at, at + DELIVERIES_AT_ONCE);
}
