import type { AcceptedEvent, Barrier, Shards } from '@sealpost/queue';
import { assertHeld } from '@sealpost/store';

/**
 * Waits until Redis holds events as hard as configured. No barrier: as it is.
 * @param events of one app, each with the number of its shard: more than one, if the app moves or has moved
 * @throws SealpostError not_durable; or Redis' error
 */
export async function makeDurable(
  barrier: Barrier | undefined,
  shards: Shards,
  events: readonly (AcceptedEvent & { shard: number })[],
): Promise<void> {
  if (!barrier) return;
  const parts = Map.groupBy(events, ({ shard }) => shard);
  const confirming = [...parts].map(([shard, part]) => barrier.confirm(shards.get(shard), part));
  for (const confirmation of await Promise.all(confirming)) assertHeld(confirmation);
}
