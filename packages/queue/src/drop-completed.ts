import type { Shard } from './shard.ts';

/** Completed jobs that are kept for who looks at Bull Board. */
const KEPT = 1000;
/** A worker asks for the others to be dropped each time it has worked on so many. */
export const DROP_COMPLETED_EVERY = 200;

/**
 * DROP-COMPLETED (lua/drop-completed.lua): as BullMQ's `removeOnComplete`, which drops one job with each that completes, and
 * costs Redis ten times as much for each.
 */
export async function dropCompleted(shard: Shard): Promise<void> {
  let dropped: number;
  do dropped = Number(await shard.run('drop-completed', [shard.jobPrefix, KEPT, DROP_COMPLETED_EVERY]));
  while (dropped === DROP_COMPLETED_EVERY);
}
