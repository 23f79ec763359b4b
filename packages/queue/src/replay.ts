import { type DeliveryStatus, STATUSES } from '@sealpost/core';
import { text } from './scripts.ts';
import type { Shard } from './shard.ts';

/** One step of a replay through its endpoint's index. */
export type ReplayStretch = {
  /** Number of the replay. */
  replay: number;
  /** Entries scanned before this stretch, and after it. */
  from: number;
  to: number;
  /** The last entry, and how many lie before and at it, from the oldest. */
  last: number;
  depth: number;
  /** Nothing is left after it. */
  done: boolean;
  /** Deliveries to be sent again if they still have one of these statuses. */
  deliveries: readonly number[];
  statuses: readonly DeliveryStatus[];
  /** How long the replay's record is kept once it has ended, ms. */
  keepMs: number;
};

/** `stale`: another worker has done this stretch, or the replay has ended. */
export type ReplayStep = 'stale' | 'running' | 'completed' | 'failed';

/** REPLAY (lua/replay.lua). May be sent again. */
export async function replayStretch(shard: Shard, stretch: ReplayStretch): Promise<ReplayStep> {
  const reply = await shard.run('replay', [
    stretch.replay,
    stretch.from,
    stretch.to,
    stretch.last,
    stretch.depth,
    stretch.done ? 1 : 0,
    stretch.keepMs,
    stretch.statuses.map((status) => STATUSES.indexOf(status)).join(''),
    ...stretch.deliveries,
  ]);
  return text(reply) as ReplayStep;
}
