import type { Shards } from '@sealpost/queue';
import type { AppPart } from './app-config.ts';
import type { Deliveries, DeliveryPage } from './deliveries.ts';
import { type DeliveryFilter, exactTotal, filterOf, indexOf } from './delivery-filter.ts';
import { cursorAtStart, indexOfCursor } from './delivery-index.ts';

/**
 * One page of what several shards have of an app, newest first: all that one has is newer than all that the next one has.
 * Looks through each as `Deliveries.cut` does. @throws SealpostError invalid_cursor
 */
export async function listParts(
  deliveries: Deliveries,
  shards: Shards,
  parts: readonly AppPart[],
  filter: DeliveryFilter,
  { page, limit, cursor }: { page: number; limit: number; cursor?: string | undefined },
): Promise<DeliveryPage> {
  const places = parts.map((part) => ({ part, shard: shards.get(part.shard) }));
  const indexes = places.map(({ part, shard }) => {
    const source = indexOf(part, filter);
    return source && shard.key(source.index);
  });
  if (places.length === 1) {
    return deliveries.list(places[0]!.shard, places[0]!.part, filter, { page, limit, cursor });
  }
  const start = cursor === undefined ? 0 : Math.max(0, indexes.indexOf(indexOfCursor(cursor)));
  const whole: DeliveryPage = { data: [], total: 0, totalIsMinimum: false, nextCursor: undefined };
  let skip = cursor === undefined ? (page - 1) * limit : 0;
  let isFull = false;
  for (const [i, { shard, part }] of places.entries()) {
    // What lies before a cursor is not looked through.
    if (i < start && !exactTotal(filter) && filterOf(part, filter)) {
      whole.totalIsMinimum = true;
      continue;
    }
    const wanted = i < start || isFull ? 0 : limit - whole.data.length;
    const from = i === start ? cursor : undefined;
    const found = await deliveries.cut(shard, part, filter, { skip, limit: wanted, cursor: from });
    whole.total += found.total;
    whole.totalIsMinimum ||= found.totalIsMinimum;
    if (wanted === 0) {
      if (isFull && found.total > 0) whole.nextCursor ??= cursorAtStart(indexes[i]!);
      continue;
    }
    whole.data.push(...found.data);
    skip = Math.max(0, skip - found.total);
    whole.nextCursor = found.nextCursor;
    // Also where not all of it was looked through: the cursor leads on there.
    isFull = whole.data.length === limit || found.nextCursor !== undefined;
  }
  return whole;
}
