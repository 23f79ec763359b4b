import { formatId } from '@sealpost/core';
import { type DeliveryRecord, eventId } from '@sealpost/queue';
import type { Delivery, StoredEvent } from '@sealpost/store';
import type { Prepared } from './prepare-event.ts';

export type PublishedDelivery = {
  id: string;
  number: number;
  endpointId: string | null;
  status: DeliveryRecord['status'];
};
export type Published = {
  id: string;
  /** Where it is stored: an app that has moved has events in several. */
  shard: number;
  number: number;
  type: string;
  sequence: number | null;
  createdAt: number;
  deliveries: PublishedDelivery[];
  /** The id was known: this is the event that was published with it before. */
  duplicate: boolean;
};

/** An event that was accepted just now. */
export function newlyPublished(
  shard: number,
  { record, number, deliveries, targets }: Prepared,
  sequence: number,
): Published {
  return {
    id: eventId(shard, number, record),
    shard,
    number,
    type: record.t,
    sequence: record.c === undefined ? null : sequence,
    createdAt: record.at,
    deliveries: deliveries.map(({ status }, i) => ({
      id: formatId('dlv', shard, number + i),
      number: number + i,
      endpointId: targets[i]!.endpointId,
      status,
    })),
    duplicate: false,
  };
}

/** An event that was published before, with its deliveries as they stand. */
export function knownPublished(shard: number, event: StoredEvent, deliveries: Delivery[]): Published {
  return {
    id: event.id,
    shard,
    number: event.number,
    type: event.record.t,
    sequence: event.sequence,
    createdAt: event.record.at,
    deliveries: deliveries.map(({ id, number, endpointId, record }) => ({
      id,
      number,
      endpointId,
      status: record.status,
    })),
    duplicate: true,
  };
}
