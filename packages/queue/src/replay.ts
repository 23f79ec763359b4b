import { type DeliveryStatus, STATUSES } from '@sealpost/core';
import { type ScriptReply, text } from './scripts.ts';
import type { Shard } from './shard.ts';

export type ReplayRequest = {
  /** Owner numbers. */
  app: number;
  endpoint: number;
  /** What it looks for, as it is stored. */
  filter: string;
  /** ms epoch. */
  createdAt: number;
  /** What this request is known by, for so many ms: sent again, it finds the replay that it has begun. */
  request: string;
  requestMs: number;
};

/** BEGIN-REPLAY (lua/begin-replay.lua). May be sent again. `running`: another one, of this number, is. */
export async function beginReplay(
  shard: Shard,
  asked: ReplayRequest,
): Promise<{ result: 'begun' | 'running'; number: number }> {
  const { app, endpoint, filter, createdAt, request, requestMs } = asked;
  const reply = (await shard.run('begin-replay', [
    app,
    endpoint,
    filter,
    createdAt,
    request,
    requestMs,
  ])) as ScriptReply[];
  return { result: text(reply[0]) as 'begun' | 'running', number: Number(text(reply[1])) };
}

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
