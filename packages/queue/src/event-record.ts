import { hash } from 'node:crypto';
import {
  type Aad,
  formatId,
  JSON_CONTENT_TYPE,
  type RetryPolicy,
  type SealFields,
  type WireProfileSetting,
} from '@sealpost/core';

/**
 * What is kept of an event beside its body and its sequence, as the JSON text that the seal covers. Short names:
 * this text is stored once per event.
 */
export type EventRecord = {
  /** App: its name, and its owner number. */
  a: string;
  n: number;
  /** Event type. */
  t: string;
  /** ms epoch of acceptance. */
  at: number;
  /** How many deliveries it has: they are numbered from the event's own number. */
  k: number;
  /** Own id, where the producer gave one. */
  i?: string;
  /** Correlation id. */
  c?: string;
  /** Environment. */
  e?: string;
  /** Attributes. */
  x?: Record<string, unknown>;
  /** Content type, where it is not JSON. */
  ct?: string;
  /** `webhook_url`, and its secret, encrypted. */
  u?: string;
  s?: string;
  /** Which of its app's lanes the `webhook_url` has: one for each origin. */
  l?: string;
  /** ms epoch before which nothing is sent, where that was to come: `deliver_at`. */
  da?: number;
  /** Endpoints, by owner number, whose filter is for the worker to decide; 1: all that have one. */
  f?: number[] | 1;
  /** The trace in which it was published, and its `tracestate` (StoredTrace of @sealpost/telemetry). */
  tc?: string;
  ts?: string;
  /** Wire profile and retry policy of this event alone. */
  w?: WireProfileSetting;
  r?: Partial<RetryPolicy>;
};

/** JSON text has no NUL, so that record and body cannot be shifted against each other. */
const BETWEEN = Buffer.of(0);

/** SHA-256 over record and body, the part of the seal that all deliveries of an event share. A character a byte. */
export function hashEvent(record: string | Buffer, body: string | Buffer): string {
  const areTexts = typeof record === 'string' && typeof body === 'string';
  const both = areTexts ? `${record}\0${body}` : Buffer.concat([bytesOf(record), BETWEEN, bytesOf(body)]);
  return hash('sha256', both, 'latin1');
}

function bytesOf(value: string | Buffer): Buffer {
  return typeof value === 'string' ? Buffer.from(value) : value;
}

/** What receivers see as `webhook-id`: the event's own id, or the one made from its number. */
export function eventId(shard: number, number: number, event: Pick<Partial<EventRecord>, 'i'>): string {
  return event.i ?? formatId('evt', shard, number);
}

/** What a delivery's seal is made over, by the API and again by the worker. */
export function sealedFields(
  event: EventRecord,
  delivery: { delivery: string; event: string; endpointId: string | null; recordHash: string },
): SealFields {
  return {
    app: event.a,
    delivery: delivery.delivery,
    event: delivery.event,
    endpoint: delivery.endpointId ?? '',
    contentType: event.ct ?? JSON_CONTENT_TYPE,
    recordHash: delivery.recordHash,
  };
}

/** Ties an encrypted `webhook_secret` to its event. */
export function webhookSecretAad(app: string, shard: number, event: number): Aad {
  return { app, record: formatId('evt', shard, event), field: 'webhook_secret' };
}

/** Undefined: this is not the text of an event record, as after a foreign write. */
export function parseEventRecord(stored: string): EventRecord | undefined {
  try {
    const record = JSON.parse(stored) as EventRecord | null;
    return typeof record === 'object' && typeof record?.t === 'string' && typeof record.a === 'string'
      ? record
      : undefined;
  } catch {
    return undefined;
  }
}
