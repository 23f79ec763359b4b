import { endpointNumber, formatId } from '@sealpost/core';
import type { Shard, Shards } from '@sealpost/queue';
import type { AppConfig, AppPart, AppPlace } from '../app-config.ts';
import { atOnce } from '../at-once.ts';
import type { Configs } from '../configs.ts';
import { isWatched } from '../idle-policy.ts';
import { samePlace } from './move-fields.ts';

/** Lanes that are looked at in one step. */
const STRETCH = 200;
/** Entries of rate limits' logs that one script takes along, two values each, so that none blocks Redis for long. */
const MOST_LOGGED = 10_000;
/** What a lane takes along: that its receiver fails or asked to be left alone. Its window begins small, as any idle lane's. */
const LEARNED = ['fs', 'cl', 'po', 'pa', 'rv', 'nb', 'ta'];

type Tools = { shards: Shards; configs: Pick<Configs, 'newest'> };
type Lane = { number: number; fields: Record<string, string> };
type Told = { endpoint: number; learned: Record<string, number>; log: (string | number)[] };

/**
 * Lets some lanes of an app that has come to this shard send, in which nothing is left to be sent before by the shards that
 * it has left: what waits there, or has begun, goes first. Any number of processes may do it at once.
 * @param place of the app in this shard, home or not
 * @returns how many it let go, and how many are held still; undefined: the app is not, or not yet, there
 * @throws SealpostError app_not_found
 */
export async function letGo(
  { shards, configs }: Tools,
  app: string,
  place: AppPlace,
): Promise<{ letGo: number; held: number } | undefined> {
  const config = await configs.newest(app);
  const at = config.parts.findIndex((part) => samePlace(part, place));
  if (at < 0) return undefined;
  const shard = shards.get(place.shard);
  const held = shard.key(`held:${place.number}`);
  const some = (await shard.client.srandmember(held, STRETCH)) as string[];
  const rested = await atRest(shards, config.parts.slice(at + 1), place, some.map(Number));
  if (rested.size === 0 && some.length > 0) return { letGo: 0, held: await shard.client.scard(held) };
  if (at === 0 && some.length === rested.size) await watchIdle(shard, config);
  let told: Told[] = [];
  for await (const one of whatTheyLearned(shards, config.parts[at + 1], rested)) {
    told.push(one);
    if (told.reduce((sum, { log }) => sum + log.length, 0) < MOST_LOGGED) continue;
    await tell(shard, place, told);
    told = [];
  }
  if (told.length > 0 || rested.size === 0) await tell(shard, place, told);
  return { letGo: rested.size, held: await shard.client.scard(held) };
}

/** Those of the endpoints of which nothing is left to be sent before in any of these parts; with their lane in the first. */
async function atRest(
  shards: Shards,
  before: readonly AppPart[],
  { shard: here }: AppPlace,
  numbers: number[],
): Promise<Map<number, Lane | undefined>> {
  const rested = new Map<number, Lane | undefined>(numbers.map((number) => [number, undefined]));
  for (const [i, part] of before.entries()) {
    const shard = shards.get(part.shard);
    const left = [...rested.keys()];
    const there = left.map((number) => endpointNumber(part.shard, formatId('ep', here, number)));
    const lanes = await readLanes(shard, there);
    left.forEach((number, j) => {
      const lane = lanes[j];
      // What waits for its `deliver_at`, or for its retry without an order, holds nobody up: as in one shard.
      if (Number(lane?.fields.q ?? 0) > 0 || Number(lane?.fields.n ?? 0) > 0) rested.delete(number);
      else if (i === 0) rested.set(number, lane);
    });
  }
  return rested;
}

async function readLanes(shard: Shard, endpoints: (number | undefined)[]): Promise<(Lane | undefined)[]> {
  if (endpoints.length === 0) return [];
  const commands = shard.client.pipeline();
  for (const endpoint of endpoints) commands.hgetall(shard.key(`lane:${endpoint ?? ''}`));
  const replies = await atOnce<Record<string, string>[]>(commands);
  return endpoints.map((number, i) => (number === undefined ? undefined : { number, fields: replies[i]! }));
}

/** Attempts there count against the rate limit here, under names that no attempt here has. */
async function* whatTheyLearned(
  shards: Shards,
  before: AppPart | undefined,
  rested: Map<number, Lane | undefined>,
): AsyncGenerator<Told> {
  for (const [endpoint, lane] of rested) {
    const { rl, ...fields } = lane?.fields ?? {};
    const known = LEARNED.filter((field) => fields[field] !== undefined);
    const learned = Object.fromEntries(known.map((field) => [field, Number(fields[field])]));
    const log = before && rl !== undefined ? await readLog(shards.get(before.shard), lane!.number) : [];
    yield { endpoint, learned, log };
  }
}

async function tell(shard: Shard, { number }: AppPlace, told: readonly Told[]): Promise<void> {
  const args = told.flatMap(({ endpoint, learned, log }) => [
    endpoint,
    JSON.stringify(learned),
    JSON.stringify(log),
  ]);
  await shard.run('let-go', [number, ...args]);
}

async function readLog(shard: Shard, endpoint: number): Promise<(string | number)[]> {
  const log = await shard.client.zrange(shard.key(`tok:${endpoint}`), '0', '-1', 'WITHSCORES');
  return log.map((value, i) => (i % 2 === 0 ? `before:${value}` : Number(value)));
}

/** Who looked after idle endpoints while the app was on its way may have found that it is not here. */
async function watchIdle(shard: Shard, { app, number, record, endpoints }: AppConfig): Promise<void> {
  for (const endpoint of endpoints.values()) {
    if (!isWatched(record, endpoint)) continue;
    await shard.client.hset(shard.key('idle'), { [number]: app });
    return;
  }
}
