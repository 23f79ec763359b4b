import { parseQuietSpec, type QuietPeriod, quietPeriod, reasonNumber } from '@sealpost/core';
import type { Retention } from './accept.ts';
import { type ScriptReply, text } from './scripts.ts';
import type { Shard } from './shard.ts';
import { readTickets, type Turn } from './turn.ts';

/** A worker that has not pumped for so long counts as dead, ms. */
const ALIVE_MS = 10_000;
/** How much one call does, so that no call blocks Redis for long. */
const MOST_LANES = 200;
const MOST_JOBS = 200;
/** With this begin the names of workers that know endpoints from other shards (ids.ts); older ones have bare names. */
const KNOWS_GUESTS = 'guests:';

export type PumpOptions = {
  /** Name of this worker process. */
  worker: string;
  /** Its slots in this shard; 0: it leaves. */
  slots: number;
  /** How long a closed, paused or disabled lane may hold a delivery, ms. */
  maxAgeMs: number;
  retention: Retention;
  /** What time it is to this worker, ms epoch. */
  clock: number;
};

/** Whether a worker serves the shard that would take endpoints from other shards for deleted ones. */
export async function hasOlderWorker(shard: Shard): Promise<boolean> {
  return (await liveWorkers(shard)).some((name) => !name.startsWith(KNOWS_GUESTS));
}

/** Names of the workers that serve the shard, or did so seconds ago. */
export async function liveWorkers(shard: Shard): Promise<string[]> {
  const [[seconds], workers] = await Promise.all([
    shard.client.time(),
    shard.client.hgetall(shard.key('hb')),
  ]);
  const isAlive = (sign: string) => Number(sign.split(':')[1]) >= Number(seconds) * 1000;
  return Object.entries(workers).flatMap(([name, sign]) => (isAlive(sign) ? [name] : []));
}

/**
 * PUMP (lua/pump.lua), and QUIET (lua/quiet.lua) for lanes whose quiet hours have ended.
 * `more`: it should be called again at once. `expired`: how many deliveries it has ended that were held for too long.
 */
export async function pump(
  shard: Shard,
  options: PumpOptions,
): Promise<Turn & { more: boolean; expired: number }> {
  const reply = (await shard.run('pump', [
    KNOWS_GUESTS + options.worker,
    options.slots,
    ALIVE_MS,
    options.maxAgeMs,
    MOST_LANES,
    MOST_JOBS,
    reasonNumber('expired'),
    options.retention.recordsMs,
    options.retention.bodiesMs,
    options.clock,
  ])) as ScriptReply[];
  const told = await tellQuiet(shard, (reply[2] as ScriptReply[]).map(text), Number(text(reply[4])));
  const wake = Number(text(reply[0]));
  return {
    admitted: readTickets(shard, reply[3] as ScriptReply[]),
    wakeInMs: wake < 0 ? undefined : wake,
    more: reply[1] === 1 || told > 0,
    expired: Number(text(reply[5])),
  };
}

/**
 * Tells lanes their quiet period. Answers how many were told.
 * @param lanes names and quiet hours in turn
 * @param now Redis' time: with another clock a period that has ended there could be told again and again
 */
async function tellQuiet(shard: Shard, lanes: string[], now: number): Promise<number> {
  const periods = new Map<string, QuietPeriod | undefined>();
  const telling: Promise<unknown>[] = [];
  for (let i = 0; i + 1 < lanes.length; i += 2) {
    const [lane, spec] = [lanes[i]!, lanes[i + 1]!];
    if (!periods.has(spec)) periods.set(spec, periodAt(spec, now));
    const period = periods.get(spec);
    if (period) telling.push(shard.run('quiet', [lane, spec, period.from, period.until]));
  }
  await Promise.all(telling);
  return telling.length;
}

/**
 * Undefined: not written by us, or of a time zone that this process does not know. The lane stays quiet until a worker
 * that knows it tells it.
 */
function periodAt(spec: string, now: number): QuietPeriod | undefined {
  const hours = parseQuietSpec(spec);
  return hours && quietPeriod(hours, now);
}
