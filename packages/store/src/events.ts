import { parseId } from '@sealpost/core';
import { type EventRecord, eventId, parseEventRecord, place, type Shard } from '@sealpost/queue';
import type { AppPart } from './app-config.ts';
import { readPacked } from './read-packed.ts';

/** An event as it is stored. */
export type StoredEvent = {
  id: string;
  number: number;
  record: EventRecord;
  sequence: number | null;
  /** JSON text of the payload; null when it is no longer kept. */
  payload: string | null;
};

/** Events, read. */
export class Events {
  /** By the id that receivers see. Undefined: there is none, or it is another app's. */
  async find(shard: Shard, part: AppPart, id: string): Promise<StoredEvent | undefined> {
    const made = parseId('evt', id);
    if (made && made.shard !== part.shard) return undefined;
    const number = made
      ? made.number
      : Number((await shard.client.hget(shard.key(`u:${part.number}`), id)) ?? Number.NaN);
    if (Number.isNaN(number)) return undefined;
    const event = await this.read(shard, number);
    return event && event.record.n === part.number && event.id === id ? event : undefined;
  }

  /** Their sequences within their correlation, in the same order; null: none, or no longer kept. */
  async sequences(shard: Shard, numbers: readonly number[]): Promise<(number | null)[]> {
    const texts = await readPacked(shard, 'e', numbers, () => 's');
    return texts.map((text) => (text ? Number(text.toString()) : null));
  }

  async read(shard: Shard, number: number): Promise<StoredEvent | undefined> {
    const { bucket, field } = place(number);
    const [[text, sequence], payload] = await Promise.all([
      shard.client.hmget(shard.key(`e:${bucket}`), field, `${field}s`),
      shard.client.hget(shard.key(`b:${bucket}`), field),
    ]);
    if (!text) return undefined;
    const record = parseEventRecord(text);
    if (!record) return undefined;
    return {
      id: eventId(shard.number, number, record),
      number,
      record,
      sequence: sequence ? Number(sequence) : null,
      payload,
    };
  }
}

/** Numbers of an event's deliveries: they follow each other from the event's own. */
export function deliveryNumbers(event: StoredEvent): number[] {
  return Array.from({ length: event.record.k }, (_, i) => event.number + i);
}
