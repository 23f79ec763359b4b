import type { AcceptedEvent, Barrier, Shards } from '@sealpost/queue';
import { assertHeld } from '@sealpost/store';

/**
 * Waits until Redis holds events as hard as configured, each in its shard: of an app that moves, or has moved, events that are
 * published together may lie in several. No barrier: as it is.
 * @throws SealpostError not_durable; or Redis' error
 */
export async function makeDurable(
  barrier: Barrier | undefined,
  shards: Pick<Shards, 'get'>,
  events: readonly (AcceptedEvent & { shard: number })[],
): Promise<void> {
  if (!barrier) return;
  const held = [...Map.groupBy(events, ({ shard }) => shard)].map(async ([shard, some]) =>
    assertHeld(await barrier.confirm(shards.get(shard), some)),
  );
  await Promise.all(held);
}
