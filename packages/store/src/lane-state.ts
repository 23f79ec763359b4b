import { DEFAULT_MAX_CONCURRENCY, parseQuietSpec, quietPeriod } from '@sealpost/core';
import type { Shard } from '@sealpost/queue';

/** The window with which a lane begins, and the most while an attempt in it hangs; lua/lane.lua has the same numbers. */
const FIRST_WINDOW = 4;
const SMALL_WINDOW = 2;

/** How an endpoint's lane stands. Times: ms epoch. */
export type LaneState = {
  /** What keeps it from sending, the strongest first: disabled, paused, closed by the breaker. */
  state: 'disabled' | 'paused' | 'closed' | 'open';
  /** Deliveries that wait in it, scheduled ones among them. */
  queued: number;
  /** Deliveries that are admitted: under way, or about to be. */
  inFlight: number;
  /** How many may be admitted at once now, and at most. */
  window: number;
  maxConcurrency: number;
  /** It sends nothing before this time: quiet hours, a receiver's Retry-After, or the next probe of a closed lane. */
  heldUntil: number | null;
  /** Since the first failure after the last success. */
  failingSince: number | null;
  closedSince: number | null;
};

/** @param endpoint owner number @param now ms epoch */
export async function readLaneState(shard: Shard, endpoint: number, now: number): Promise<LaneState> {
  return laneState(await shard.client.hgetall(shard.key(`lane:${endpoint}`)), now);
}

/** What the fields of a lane's hash say; the hash is sparse, and a field that is missing has its default. */
export function laneState(fields: Readonly<Record<string, string>>, now: number): LaneState {
  const { off, ps, cl, q, sc, n, mc, fs } = fields;
  const closed = cl !== undefined;
  const maxConcurrency = Number(mc ?? DEFAULT_MAX_CONCURRENCY);
  return {
    state: off !== undefined ? 'disabled' : ps !== undefined ? 'paused' : closed ? 'closed' : 'open',
    queued: count(q) + count(sc),
    inFlight: count(n),
    window: windowOf(fields, maxConcurrency),
    maxConcurrency,
    heldUntil: heldUntil(fields, now),
    failingSince: time(fs),
    closedSince: time(cl),
  };
}

function windowOf({ or, w, sk }: Readonly<Record<string, string>>, maxConcurrency: number): number {
  if (or !== undefined) return 1;
  const most = count(sk) > 0 ? Math.min(SMALL_WINDOW, maxConcurrency) : maxConcurrency;
  return Math.max(1, Math.floor(Math.min(Number(w ?? FIRST_WINDOW), most)));
}

function heldUntil({ nb, pa, cl, qh, qs }: Readonly<Record<string, string>>, now: number): number | null {
  // What comes in quiet hours that skip does not wait.
  const quiet = qs === undefined ? quietUntil(qh, now) : 0;
  const until = Math.max(Number(nb ?? 0), cl === undefined ? 0 : Number(pa ?? 0), quiet);
  return until > now ? until : null;
}

/** End of the quiet hours, if it is quiet now; else 0. The period in the hash may have passed: an idle lane keeps it. */
function quietUntil(spec: string | undefined, now: number): number {
  const quiet = spec === undefined ? undefined : parseQuietSpec(spec);
  if (!quiet) return 0;
  const { from, until } = quietPeriod(quiet, now);
  return from <= now ? until : 0;
}

function time(field: string | undefined): number | null {
  return field === undefined ? null : Number(field);
}

function count(field: string | undefined): number {
  return Math.max(0, Number(field ?? 0));
}
