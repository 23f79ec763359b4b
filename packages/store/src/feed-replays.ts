import { compilePatterns } from '@sealpost/core';
import {
  decodeDelivery,
  parseEventRecord,
  type ReplayStep,
  replayStretch,
  type Shard,
} from '@sealpost/queue';
import { atOnce } from './at-once.ts';
import { forgetEntry } from './forget-entry.ts';
import { readPacked } from './read-packed.ts';
import { type Replay, type ReplayFilter, readReplay } from './replays.ts';

/** How much one step takes, so that no script blocks Redis for long, and how many one round makes. */
const STRETCH = 200;
const MOST_STRETCHES = 20;
/** Replays that go on in one round; of more, chance chooses. */
const MOST_REPLAYS = MOST_STRETCHES;
/** Entries that are looked through at once for one that has moved. */
const PAGE = 1000;

export type FeedOptions = {
  /** How long the record of a replay is kept once it has ended, ms. */
  keepMs: number;
  /** Whether the worker has to go: nothing more is begun. */
  stopped: () => boolean;
};

type Progress = Pick<Replay, 'number' | 'endpoint' | 'newest' | 'scanned' | 'last' | 'depth'>;
type Running = Progress & Pick<Replay, 'id' | 'total' | 'filter'> & { takes: (type: string) => boolean };

/**
 * Takes the running replays of a shard some steps on, in turn: sends the deliveries that they find through their
 * endpoints' lanes. Any number of workers may do it at once, and any of them may die: a step that another has done
 * already does nothing. Answers those that ended.
 */
export async function feedReplays(
  shard: Shard,
  options: FeedOptions,
): Promise<{ id: string; state: ReplayStep }[]> {
  const ended: { id: string; state: ReplayStep }[] = [];
  const errors: unknown[] = [];
  const turns = await running(shard);
  for (let steps = 0; steps < MOST_STRETCHES && turns.length > 0 && !options.stopped(); steps++) {
    const replay = turns.shift()!;
    try {
      const { step, next } = await takeStep(shard, replay, options.keepMs);
      if (step === 'running') turns.push({ ...replay, ...next });
      // Another worker is at a stale one: together they would only do everything twice.
      else if (step !== 'stale') ended.push({ id: replay.id, state: step });
    } catch (error) {
      errors.push(error); // the others go on
    }
  }
  if (errors.length > 0) throw new AggregateError(errors, `replays failed: ${errors.map(String).join('; ')}`);
  return ended;
}

async function running(shard: Shard): Promise<Running[]> {
  const key = shard.key('replays');
  const chosen = (await shard.client.hrandfield(key, MOST_REPLAYS, 'WITHVALUES')) as string[];
  const entries = chosen.flatMap((endpoint, i) => (i % 2 === 0 ? [[endpoint, chosen[i + 1]!] as const] : []));
  const found = await Promise.all(
    entries.map(async ([endpoint, number]) => {
      const replay = await readReplay(shard, Number(number));
      if (replay?.state === 'running') return { ...replay, takes: compilePatterns(replay.filter.eventTypes) };
      await forgetEntry(shard.client, key, endpoint, number); // it has just ended, or was not written by us
      return undefined;
    }),
  );
  return found.filter((replay) => replay !== undefined);
}

async function takeStep(
  shard: Shard,
  replay: Running,
  keepMs: number,
): Promise<{ step: ReplayStep; next: Pick<Progress, 'scanned' | 'last' | 'depth'> }> {
  const { numbers, depth, done } = await readStretch(shard, replay);
  const next = {
    scanned: replay.scanned + numbers.length,
    last: numbers.at(-1) ?? replay.last,
    depth: depth + numbers.length,
  };
  const step = await replayStretch(shard, {
    replay: replay.number,
    from: replay.scanned,
    to: next.scanned,
    last: next.last,
    depth: next.depth,
    done,
    deliveries: await wanted(shard, numbers, replay),
    statuses: replay.filter.statuses,
    keepMs,
  });
  return { step, next };
}

/** The next entries of the index, oldest first, and how many lie before them. */
async function readStretch(
  shard: Shard,
  replay: Progress,
): Promise<{ numbers: number[]; depth: number; done: boolean }> {
  const index = shard.key(`x:${replay.endpoint}`);
  let { depth } = replay;
  while (depth > 0) {
    // With the last one seen: old entries may be dropped at any time, and then it is not where it was.
    const entries = await fromOldest(shard, index, depth - 1, STRETCH + 1);
    if (entries[0] === replay.last) return upTo(replay.newest, entries.slice(1), depth);
    depth = await depthOf(shard, index, replay.last, depth);
  }
  // At the oldest entry: of those that the replay is to see, all may have been dropped.
  const [newest, entries] = await atOnce<[number | null, string[]]>(
    shard.client.multi().lpos(index, replay.newest).lrange(index, -STRETCH, -1),
  );
  const numbers = newest === null ? [] : entries.map(Number).reverse();
  return upTo(replay.newest, numbers, 0);
}

/** What came after the replay was asked for is not seen by it. */
function upTo(newest: number, entries: number[], depth: number) {
  const end = entries.indexOf(newest);
  const numbers = end < 0 ? entries : entries.slice(0, end + 1);
  return { numbers, depth, done: end >= 0 || entries.length < STRETCH };
}

/** Where an entry that has moved towards the end lies now: how many lie before and at it; 0: it has been dropped. */
async function depthOf(shard: Shard, index: string, number: number, depth: number): Promise<number> {
  // Towards the end as well, so that what is dropped meanwhile cannot make it be missed.
  for (let to = depth; to > 0; to -= PAGE) {
    const from = Math.max(0, to - PAGE);
    const at = (await fromOldest(shard, index, from, to - from)).indexOf(number);
    if (at >= 0) return from + at + 1;
  }
  return 0;
}

/** Entries of an index, oldest first: the newest stand at its head. */
async function fromOldest(shard: Shard, index: string, from: number, count: number): Promise<number[]> {
  return (await shard.client.lrange(index, -(from + count), -(from + 1))).map(Number).reverse();
}

/** Which of these deliveries the replay wants. */
async function wanted(shard: Shard, numbers: number[], { filter, takes }: Running): Promise<number[]> {
  const records = await readPacked(shard, 'd', numbers);
  const matching = numbers.flatMap((number, i) => {
    const record = records[i] && decodeDelivery(records[i]);
    return record && matches(filter, record) ? [{ number, event: record.event }] : [];
  });
  if (filter.eventTypes.length === 0) return matching.map(({ number }) => number);
  const texts = await readPacked(
    shard,
    'e',
    matching.map(({ event }) => event),
  );
  return matching.flatMap(({ number }, i) => {
    const event = texts[i] && parseEventRecord(texts[i].toString());
    return event && takes(event.t) ? [number] : [];
  });
}

function matches(filter: ReplayFilter, record: { status: string; createdAt: number }): boolean {
  const { statuses, since = 0, until = Number.POSITIVE_INFINITY } = filter;
  return (
    (statuses as readonly string[]).includes(record.status) &&
    record.createdAt >= since &&
    record.createdAt < until
  );
}
