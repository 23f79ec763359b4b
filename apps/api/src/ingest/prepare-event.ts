import { createHash } from 'node:crypto';
import { type EventInput, JSON_CONTENT_TYPE, type Keyring } from '@sealpost/core';
import {
  type Admitted,
  type DeliveryRecord,
  type EventRecord,
  eventId,
  webhookSecretAad,
} from '@sealpost/queue';
import type { AppConfig } from '@sealpost/store';
import type { StoredTrace } from '@sealpost/telemetry';
import type { Target } from './match-endpoints.ts';
import { sealDeliveries } from './seal-deliveries.ts';

/** An event to publish, validated. */
export type Draft = {
  input: EventInput;
  /** JSON text of the payload, as it was sent. */
  payload: string;
  /** Id derived from the request's Idempotency-Key, for an event that brings none. */
  derivedId?: string | undefined;
  /** A single endpoint to send it to, subscribed or not: a test. */
  only?: Target | undefined;
  /** The trace that is kept with it. */
  trace?: StoredTrace | undefined;
};

/** An event with its numbers, as ACCEPT stores it. */
export type Prepared = {
  draft: Draft;
  number: number;
  record: EventRecord;
  recordText: string;
  deliveries: DeliveryRecord[];
  targets: Target[];
};

/** The record is read for each delivery: of more than so many undecided filters it does not say which. */
const MOST_UNDECIDED = 50;

export function prepareEvent(
  keyring: Keyring,
  config: AppConfig,
  draft: Draft,
  number: number,
  targets: Target[],
  waitedFor: boolean,
): Prepared {
  const record = eventRecord(config, draft, number, targets, keyring);
  const place = { shard: config.shard, number };
  const sealed = sealDeliveries(keyring, place, record, draft.payload, targets, waitedFor);
  return { draft, number, record, targets, ...sealed };
}

/** Those of its deliveries that ACCEPT admitted, and that need a job. */
export function admittedOf(
  shard: number,
  { record, number, targets, deliveries }: Prepared,
  admitted: boolean[],
): Admitted[] {
  const id = eventId(shard, number, record);
  return targets.flatMap((target, i) =>
    !admitted[i]
      ? []
      : [
          {
            shard,
            number: number + i,
            generation: deliveries[i]!.generation,
            app: record.a,
            eventType: record.t,
            eventId: id,
            endpoint: target.endpointId,
          },
        ],
  );
}

function eventRecord(
  config: AppConfig,
  draft: Draft,
  number: number,
  targets: Target[],
  keyring: Keyring,
): EventRecord {
  const { input } = draft;
  const at = Date.now();
  const record: EventRecord = { a: config.app, n: config.number, t: input.type, at, k: targets.length };
  const ownId = input.id ?? draft.derivedId;
  if (ownId !== undefined) record.i = ownId;
  if (input.correlation_id !== undefined) record.c = input.correlation_id;
  if (input.environment !== undefined) record.e = input.environment;
  if (input.attributes !== undefined) record.x = input.attributes;
  if (input.content_type !== undefined && input.content_type !== JSON_CONTENT_TYPE)
    record.ct = input.content_type;
  if (input.deliver_at !== undefined && input.deliver_at > at) record.da = input.deliver_at;
  if (input.webhook_url !== undefined) {
    record.u = input.webhook_url;
    record.l = laneOfOrigin(input.webhook_url);
  }
  if (input.webhook_secret !== undefined) {
    record.s = keyring.encrypt(input.webhook_secret, webhookSecretAad(config.app, config.shard, number));
  }
  const undecided = targets.flatMap((target) => (target.undecided ? [target.endpoint] : []));
  if (undecided.length > 0) record.f = undecided.length <= MOST_UNDECIDED ? undecided : 1;
  if (draft.trace) Object.assign(record, draft.trace);
  if (input.wire_profile !== undefined) record.w = input.wire_profile;
  if (input.retry !== undefined) record.r = input.retry;
  return record;
}

/** 48 bits of the origin's hash: short in the record, and two origins of one app hardly ever share a lane. */
function laneOfOrigin(url: string): string {
  return createHash('sha256').update(new URL(url).origin).digest('hex').slice(0, 12);
}
