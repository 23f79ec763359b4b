import type { AcceptedEvent, Barrier, Shard } from '@sealpost/queue';
import { assertHeld } from '@sealpost/store';

/**
 * Waits until Redis holds events as hard as configured. No barrier: as it is.
 * @throws SealpostError not_durable; or Redis' error
 */
export async function makeDurable(
  barrier: Barrier | undefined,
  shard: Shard,
  events: readonly AcceptedEvent[],
): Promise<void> {
  if (barrier) assertHeld(await barrier.confirm(shard, events));
}
