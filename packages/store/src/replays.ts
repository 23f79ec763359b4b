import { randomUUID } from 'node:crypto';
import { checkPattern, formatId, parseId, type ReplayableStatus, SealpostError } from '@sealpost/core';
import { beginReplay, type Shard } from '@sealpost/queue';
import type { AppPart } from './app-config.ts';
import { KEPT_SECONDS } from './idempotency.ts';

/** How long Redis may take to come back while a request waits for it, ms; and more. */
const RESENT_MS = 60_000;

/** Which of an endpoint's deliveries are sent again. */
export type ReplayFilter = {
  statuses: readonly ReplayableStatus[];
  /** Patterns; empty: all. */
  eventTypes: readonly string[];
  /** Of their creation, ms epoch; inclusive / exclusive. */
  since?: number;
  until?: number;
  /** Ids of those that go through what is left of the endpoint's deliveries in other shards; each filters as this one does. */
  parts?: readonly string[];
};

/**
 * A replay: a walk through an endpoint's deliveries as there were when it was asked for, oldest first. The workers take
 * it a stretch at a time (feed-replays.ts); it ends when it has been through all, which is before the last of them is
 * sent.
 */
export type Replay = {
  id: string;
  number: number;
  /** Owner numbers. */
  app: number;
  endpoint: number;
  filter: ReplayFilter;
  state: 'running' | 'completed' | 'failed';
  failure: 'endpoint_deleted' | null;
  /** Deliveries that the endpoint had, and how many of them have been looked at. */
  total: number;
  scanned: number;
  /** What became of those that the filter wants: sent again; not, since the body is gone; not, for another reason. */
  replayed: number;
  unavailable: number;
  refused: number;
  /** ms epoch. */
  createdAt: number;
  endedAt: number | null;
  /** Numbers of the newest delivery that it goes to, and of the last one looked at; 0: none. */
  newest: number;
  last: number;
  /** How many entries of the index lay before and at `last`, from the oldest: fewer now, if old ones were dropped. */
  depth: number;
};

/**
 * Starts a replay, of which an endpoint has one at a time.
 * @param endpoint owner number @param now ms epoch
 * @param request what a request that may be sent again is known by: within 24 h it finds the replay that it has begun
 * @throws SealpostError replay_running
 */
export async function createReplay(
  shard: Shard,
  part: AppPart,
  endpoint: number,
  filter: ReplayFilter,
  now: number,
  request?: string,
): Promise<Replay> {
  const { result, number } = await beginReplay(shard, {
    app: part.number,
    endpoint,
    filter: JSON.stringify(filter),
    createdAt: now,
    // Without a name of its own it may be sent again by the connection to Redis alone.
    request: request ?? randomUUID(),
    requestMs: request === undefined ? RESENT_MS : KEPT_SECONDS * 1000,
  });
  if (result === 'running') {
    const id = formatId('rpl', shard.number, number);
    throw replayRunning(id);
  }
  return (await readReplay(shard, number))!;
}

/** Undefined: there is none, or it is another app's. */
export async function findReplay(shard: Shard, part: AppPart, id: string): Promise<Replay | undefined> {
  const parsed = parseId('rpl', id);
  if (!parsed || parsed.shard !== part.shard) return undefined;
  const replay = await readReplay(shard, parsed.number);
  return replay?.app === part.number ? replay : undefined;
}

/** Whether this request has begun a replay in the shard. */
export async function isReplayRequest(shard: Shard, request: string): Promise<boolean> {
  return (await shard.client.exists(shard.key(`ri:${request}`))) > 0;
}

/** Whether a replay of this endpoint runs; its number. */
export async function runningReplay(shard: Shard, endpoint: number): Promise<number | undefined> {
  const number = await shard.client.hget(shard.key('replays'), String(endpoint));
  if (number === null) return undefined;
  const state = await shard.client.hget(keyOf(shard, Number(number)), 'state');
  return state === 'running' ? Number(number) : undefined;
}

/** One replay and those that it has in other shards, seen as one. */
export function together(replay: Replay, others: readonly Replay[]): Replay {
  const all = [replay, ...others];
  const sum = (field: 'total' | 'scanned' | 'replayed' | 'unavailable' | 'refused') =>
    all.reduce((total, one) => total + one[field], 0);
  const runs = all.some(({ state }) => state === 'running');
  return {
    ...replay,
    total: sum('total'),
    scanned: sum('scanned'),
    replayed: sum('replayed'),
    unavailable: sum('unavailable'),
    refused: sum('refused'),
    state: runs ? 'running' : replay.state,
    endedAt: runs ? null : Math.max(...all.map(({ endedAt }) => endedAt ?? 0)),
  };
}

/** Undefined: there is none, or it was not written by us. */
export async function readReplay(shard: Shard, number: number): Promise<Replay | undefined> {
  return decode(shard, number, await shard.client.hgetall(keyOf(shard, number)));
}

function decode(shard: Shard, number: number, fields: Record<string, string>): Replay | undefined {
  const filter = parseFilter(fields.filter);
  if (!filter) return undefined;
  const count = (name: string) => Number(fields[name] ?? 0);
  return {
    id: formatId('rpl', shard.number, number),
    number,
    app: count('app'),
    endpoint: count('endpoint'),
    filter,
    state: fields.state as Replay['state'],
    failure: (fields.failure as Replay['failure']) ?? null,
    total: count('total'),
    scanned: count('scanned'),
    replayed: count('replayed'),
    unavailable: count('unavailable'),
    refused: count('refused'),
    createdAt: count('created'),
    endedAt: fields.ended === undefined ? null : Number(fields.ended),
    newest: count('newest'),
    last: count('last'),
    depth: count('depth'),
  };
}

function parseFilter(text: string | undefined): ReplayFilter | undefined {
  try {
    const filter = JSON.parse(text ?? 'null') as ReplayFilter | null;
    if (!Array.isArray(filter?.statuses) || !Array.isArray(filter.eventTypes)) return undefined;
    return filter.eventTypes.every((pattern) => checkPattern(pattern) === undefined) ? filter : undefined;
  } catch {
    return undefined;
  }
}

function keyOf(shard: Shard, number: number): string {
  return shard.key(`rpl:${number}`);
}

export function replayRunning(id: string): SealpostError {
  return new SealpostError('replay_running', `Replay ${id} of this endpoint is running: one at a time.`);
}
