import { parseQuietSpec, quietPeriod, reasonNumber } from '@sealpost/core';
import type { Retention } from './accept.ts';
import { type ScriptReply, text } from './scripts.ts';
import type { Shard } from './shard.ts';
import { readTickets, type Turn } from './turn.ts';

/** A worker that has not pumped for so long counts as dead, ms. */
const ALIVE_MS = 10_000;
/** How much one call does, so that no call blocks Redis for long. */
const MOST_LANES = 200;
const MOST_JOBS = 200;

export type PumpOptions = {
  /** Name of this worker process. */
  worker: string;
  /** Its slots in this shard; 0: it leaves. */
  slots: number;
  /** How long a closed, paused or disabled lane may hold a delivery, ms. */
  maxAgeMs: number;
  retention: Retention;
};

/**
 * PUMP (lua/pump.lua), and QUIET (lua/quiet.lua) for lanes whose quiet hours have ended.
 * `more`: it should be called again at once.
 */
export async function pump(shard: Shard, options: PumpOptions): Promise<Turn & { more: boolean }> {
  const reply = (await shard.run('pump', [
    options.worker,
    options.slots,
    ALIVE_MS,
    options.maxAgeMs,
    MOST_LANES,
    MOST_JOBS,
    reasonNumber('expired'),
    options.retention.recordsMs,
    options.retention.bodiesMs,
  ])) as ScriptReply[];
  const unknownQuiet = (reply[2] as ScriptReply[]).map(text);
  for (let i = 0; i + 1 < unknownQuiet.length; i += 2)
    await tellQuiet(shard, unknownQuiet[i]!, unknownQuiet[i + 1]!);
  const wake = Number(text(reply[0]));
  return {
    admitted: readTickets(shard, reply[3] as ScriptReply[]),
    wakeInMs: wake < 0 ? undefined : wake,
    more: reply[1] === 1 || unknownQuiet.length > 0,
  };
}

async function tellQuiet(shard: Shard, lane: string, spec: string): Promise<void> {
  const hours = parseQuietSpec(spec);
  if (!hours) return; // not written by us; the lane stays quiet
  const { from, until } = quietPeriod(hours, Date.now());
  await shard.run('quiet', [lane, spec, from, until]);
}
