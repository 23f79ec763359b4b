import { type DeliveryStatus, formatId, parseId, STATUSES } from '@sealpost/core';
import {
  type AttemptRecord,
  type DeliveryRecord,
  decodeDelivery,
  type EventRecord,
  eventId,
  parseEventRecord,
  place,
  type Shard,
} from '@sealpost/queue';
import type { AppPart } from './app-config.ts';
import { type DeliveryFilter, exactTotal, filterOf, indexOf } from './delivery-filter.ts';
import { cursorAt, position, slice } from './delivery-index.ts';
import { readPacked } from './read-packed.ts';

/** A delivery as it is shown, beside its attempts. */
export type Delivery = {
  id: string;
  number: number;
  record: DeliveryRecord;
  eventId: string;
  endpointId: string | null;
  event: EventRecord;
};

/** Entries that one listing looks at when something must be filtered. */
export const SCAN_LIMIT = 10_000;
const CHUNK = 500;

export type DeliveryPage = {
  data: Delivery[];
  total: number;
  /** More were not looked at: `total` is the least. */
  totalIsMinimum: boolean;
  /** Where the next page begins; undefined at the end. */
  nextCursor: string | undefined;
};

const NOTHING: DeliveryPage = { data: [], total: 0, totalIsMinimum: false, nextCursor: undefined };

/** Deliveries and attempts, read. */
export class Deliveries {
  /** Undefined: there is none, or it is another app's. */
  async find(shard: Shard, part: AppPart, id: string): Promise<Delivery | undefined> {
    const parsed = parseId('dlv', id);
    if (!parsed || parsed.shard !== part.shard) return undefined;
    const [found] = await this.read(shard, [parsed.number]);
    return found && found.record.app === part.number ? found : undefined;
  }

  /** Those of the numbers that exist, in the same order. */
  async read(shard: Shard, numbers: number[]): Promise<Delivery[]> {
    if (numbers.length === 0) return [];
    const records = await readPacked(shard, 'd', numbers);
    const decoded = numbers.flatMap((number, i) => {
      const bytes = records[i];
      const record = bytes && decodeDelivery(bytes);
      return record ? [{ number, record }] : [];
    });
    const eventNumbers = [...new Set(decoded.map(({ record }) => record.event))];
    const texts = await readPacked(shard, 'e', eventNumbers);
    const events = new Map(
      eventNumbers.map((number, i) => [number, texts[i] ? parseEventRecord(texts[i].toString()) : undefined]),
    );
    return decoded.flatMap(({ number, record }) => {
      const event = events.get(record.event);
      return event ? [present(shard, number, record, event)] : [];
    });
  }

  /** Its attempts, oldest first, with their numbers; those whose worker died before SETTLE are missing. */
  async attempts(shard: Shard, delivery: Delivery): Promise<{ number: number; attempt: AttemptRecord }[]> {
    const { bucket, field } = place(delivery.number);
    const numbers = Array.from({ length: delivery.record.attempts }, (_, i) => i + 1);
    if (numbers.length === 0) return [];
    const texts = await shard.client.hmget(shard.key(`t:${bucket}`), ...numbers.map((n) => `${field}:${n}`));
    return numbers.flatMap((number, i) =>
      texts[i] ? [{ number, attempt: JSON.parse(texts[i]) as AttemptRecord }] : [],
    );
  }

  /** The last attempt of each, in the same order. Undefined: none was made, or it is one of the missing. */
  async lastAttempts(shard: Shard, deliveries: readonly Delivery[]): Promise<(AttemptRecord | undefined)[]> {
    const numbers = deliveries.map(({ number }) => number);
    const texts = await readPacked(shard, 't', numbers, (i) => `:${deliveries[i]!.record.attempts}`);
    return texts.map((text) => (text ? (JSON.parse(text.toString()) as AttemptRecord) : undefined));
  }

  /** How many deliveries an owner has, by status. */
  async counts(shard: Shard, key: string): Promise<Record<DeliveryStatus, number>> {
    const values = await shard.client.hmget(shard.key(key), ...STATUSES.map((_, i) => String(i)));
    return Object.fromEntries(
      STATUSES.map((status, i) => [status, Math.max(0, Number(values[i] ?? 0))]),
    ) as Record<DeliveryStatus, number>;
  }

  /** One page of what one shard has, newest first. @throws SealpostError invalid_cursor */
  list(
    shard: Shard,
    part: AppPart,
    filter: DeliveryFilter,
    { page, limit, cursor }: { page: number; limit: number; cursor?: string | undefined },
  ): Promise<DeliveryPage> {
    return this.cut(shard, part, filter, { skip: (page - 1) * limit, limit, cursor });
  }

  /**
   * `limit` entries after `skip` others, or after the cursor. Without filters they are cut out of the index; with a status alone
   * the total is exact; other filters look at the newest SCAN_LIMIT entries. @throws SealpostError invalid_cursor
   */
  async cut(
    shard: Shard,
    part: AppPart,
    filter: DeliveryFilter,
    page: { skip: number; limit: number; cursor?: string | undefined },
  ): Promise<DeliveryPage> {
    if (filter.numbers) return this.#listOf(shard, part, filter.numbers, filter, page);
    const source = indexOf(part, filter);
    if (!source) return NOTHING;
    const index = shard.key(source.index);
    if (filter.endpoint !== undefined && !(await this.#isOf(shard, part, filter.endpoint, index))) {
      return NOTHING;
    }
    const length = await shard.client.llen(index);
    const start = page.cursor === undefined ? 0 : await position(shard, index, length, page.cursor);
    const accepts = filterOf(part, filter);
    const skip = page.cursor === undefined ? page.skip : 0;
    if (!accepts) {
      const numbers = await slice(shard, index, length, start + skip, page.limit);
      const end = start + skip + numbers.length;
      const data = await this.read(shard, numbers);
      return {
        data,
        total: length,
        totalIsMinimum: false,
        nextCursor: cursorAt(index, numbers.at(-1), length, end),
      };
    }
    const scan = await this.#scan(
      shard,
      { index, length },
      start,
      skip + page.limit,
      accepts,
      exactTotal(filter),
    );
    const data = scan.found.slice(skip, skip + page.limit);
    const total = exactTotal(filter)
      ? await this.#countOf(shard, source.counts, filter.statuses!)
      : scan.matched;
    return {
      data: data.map((entry) => entry.delivery),
      total,
      // What lies before a cursor was not looked at.
      totalIsMinimum: !exactTotal(filter) && (!scan.complete || start > 0),
      nextCursor:
        data.length > 0 && data.length === page.limit
          ? cursorAt(index, data.at(-1)?.delivery.number, length, data.at(-1)!.at + 1)
          : scan.complete
            ? undefined
            : cursorAt(index, scan.last?.number, length, (scan.last?.at ?? 0) + 1),
    };
  }

  /** Whether an endpoint's index is this app's. A deleted endpoint's config is gone, so its deliveries tell. */
  async #isOf(shard: Shard, part: AppPart, endpoint: string, index: string): Promise<boolean> {
    if (part.endpoints.has(endpoint)) return true;
    const newest = await shard.client.lindex(index, 0);
    if (newest === null) return false;
    const [delivery] = await this.read(shard, [Number(newest)]);
    return delivery?.record.app === part.number && delivery.endpointId === endpoint;
  }

  async #countOf(shard: Shard, key: string, statuses: readonly DeliveryStatus[]): Promise<number> {
    const counts = await this.counts(shard, key);
    return [...new Set(statuses)].reduce((sum, status) => sum + counts[status], 0);
  }

  /** A page of the deliveries of one event, which are few and known. */
  async #listOf(
    shard: Shard,
    part: AppPart,
    numbers: readonly number[],
    filter: DeliveryFilter,
    { skip, limit }: { skip: number; limit: number },
  ): Promise<DeliveryPage> {
    const accepts = filterOf(part, filter) ?? (() => true);
    const all = (await this.read(shard, [...numbers].reverse())).filter(accepts);
    return {
      data: all.slice(skip, skip + limit),
      total: all.length,
      totalIsMinimum: false,
      nextCursor: undefined,
    };
  }

  /** Looks through the index from `start` on for at most SCAN_LIMIT entries. */
  async #scan(
    shard: Shard,
    { index, length }: { index: string; length: number },
    start: number,
    wanted: number,
    accepts: (delivery: Delivery) => boolean,
    stopWhenFull: boolean,
  ) {
    const found: { delivery: Delivery; at: number }[] = [];
    let matched = 0;
    let last: { number: number; at: number } | undefined;
    for (let at = start; at < start + SCAN_LIMIT; at += CHUNK) {
      const numbers = await slice(shard, index, length, at, CHUNK);
      const places = new Map(numbers.map((number, i) => [number, at + i]));
      for (const delivery of await this.read(shard, numbers)) {
        if (!accepts(delivery)) continue;
        matched++;
        if (found.length < wanted) found.push({ delivery, at: places.get(delivery.number)! });
      }
      if (numbers.length > 0) last = { number: numbers.at(-1)!, at: at + numbers.length - 1 };
      if (numbers.length < CHUNK) return { found, matched, last, complete: true };
      if (stopWhenFull && found.length >= wanted) break;
    }
    return { found, matched, last, complete: false };
  }
}

function present(shard: Shard, number: number, record: DeliveryRecord, event: EventRecord): Delivery {
  return {
    id: formatId('dlv', shard.number, number),
    number,
    record,
    event,
    eventId: eventId(shard.number, record.event, event),
    endpointId: record.endpoint > 0 ? formatId('ep', shard.number, record.endpoint) : null,
  };
}
