import { setTimeout as delay } from 'node:timers/promises';
import { endpointNumber } from '@sealpost/core';
import { DIRECTORY, hasOlderWorker, type Shards } from '@sealpost/queue';
import { AppConfig, type AppPlace } from '../app-config.ts';
import { appNotFound, type Configs } from '../configs.ts';
import { difference, followHome, leaving } from './follow-home.ts';
import { samePlace } from './move-fields.ts';

/** Endpoints that are written at once, so that no script blocks Redis for long. */
const STRETCH = 200;
/** How often it begins anew when the app is changed meanwhile. */
const TRIES = 100;
const MAX_PAUSE_MS = 200;
/** Shards in which an app may have records: each is looked into for every list. */
const MOST_FORMER = 7;
/** A master of a Cluster that comes back may have lost its last second: what the others build on must be older, ms. */
const SAFE_MS = 2000;
const LOOK_MS = 100;

/** Why an app cannot be moved; for the operator. */
export class MoveRefused extends Error {
  override readonly name = 'MoveRefused';
}

export type MoveStep = 'begun' | 'moved' | 'there';
export type MoveTools = {
  shards: Shards;
  configs: Configs;
  /** ms epoch. */
  now: () => number;
  /** How long a worker may take to see a shard that is new, before anything is accepted in it, ms. */
  patienceMs: number;
  onStep?: (step: MoveStep) => void;
};

/**
 * Makes another shard an app's home. Records stay in the shard in which they were made: docs/moving-apps.md.
 *
 *   home                     next                        what a crash leaves behind
 *   ────────────────────────────────────────────────────────────────────────────────────────────────────────
 *   says where it will go                                nobody minds
 *                            config, lanes held          nobody looks there
 *   says where it has gone   is the home, for all        the directory is mended by whoever reads it
 *
 * The third is one step, in the shard that is left: ACCEPT there refuses whoever does not know it yet, and what it says leads
 * to the new home. It is taken only while the config is the one that was copied. Run again, it goes on where it was, also beside
 * another that does the same.
 * @param to number of the shard
 * @returns the config at the new home
 * @throws MoveRefused; SealpostError app_not_found; Redis' error
 */
export async function moveApp(tools: MoveTools, app: string, to: number): Promise<AppConfig> {
  const { shards, configs, onStep = () => {} } = tools;
  const isCluster = 'nodes' in shards.client;
  let isSafe = !isCluster;
  for (let tries = 0; tries < TRIES; tries++) {
    const home = await configs.load(app);
    if (!home) throw appNotFound(app);
    if (home.shard === to) {
      await followHome(configs, home);
      onStep('there');
      return home;
    }
    assertMovable(home, to);
    if (tries === 0) await assertNoOlderWorker(shards);
    const { next } = home.moves;
    if (!next) {
      await assertNothingLeft(shards, app, to);
      if (await begin(tools, home, to)) onStep('begun');
      continue;
    }
    const prepared = await prepare(tools, home, next);
    if (prepared === 'written') isSafe = !isCluster;
    if (prepared !== 'again') {
      await whenServed(tools, to);
      if (!isSafe) {
        await delay(SAFE_MS); // also for what another mover may just have written
        isSafe = true;
        continue;
      }
      if (await leave(tools, home, next)) {
        onStep('moved');
        continue;
      }
    }
    await delay(Math.random() * Math.min(2 ** tries, MAX_PAUSE_MS));
  }
  throw new MoveRefused(`App ${app} is being changed all the time; run this again.`);
}

/** @throws MoveRefused */
export function assertMovable(home: AppConfig, to: number): void {
  const { former = [], next } = home.moves;
  if (next && next.shard !== to) {
    throw new MoveRefused(
      `App ${home.app} is being moved to shard ${next.shard}: let that end first (--to ${next.shard}).`,
    );
  }
  if (former.some(({ shard }) => shard === to)) throw stillThere(home.app, to);
  if (former.length >= MOST_FORMER) {
    throw new MoveRefused(
      `App ${home.app} still has records in ${former.length} shards that it has left: wait until some are past their retention.`,
    );
  }
  for (const id of home.endpoints.keys()) {
    if (endpointNumber(to, id) === undefined) {
      throw new MoveRefused(`Endpoint ${id} has too high a number to be told in another shard.`);
    }
  }
}

/** Any worker serves every shard. Whoever starts one later has been told by the docs. @throws MoveRefused */
export async function assertNoOlderWorker(shards: Shards): Promise<void> {
  for (const number of await shards.known()) {
    if (!(await hasOlderWorker(shards.get(number)))) continue;
    throw new MoveRefused(
      `A worker of an older version serves shard ${number}, or did so seconds ago: first upgrade every process.`,
    );
  }
}

/**
 * An endpoint's lane has the same name whenever its app is in this shard: what an earlier stay has left must be gone before
 * there is another one, or who removes it late would remove the new lanes. The home forgets the shard a step before.
 * @throws MoveRefused
 */
export async function assertNothingLeft(shards: Shards, app: string, to: number): Promise<void> {
  const shard = shards.get(to);
  if ((await shard.client.hvals(shard.key('left'))).includes(app)) throw stillThere(app, to);
}

function stillThere(app: string, to: number): MoveRefused {
  return new MoveRefused(
    `App ${app} was in shard ${to} before and still has records there. It can move back when the last of them is past ` +
      'its retention (SEALPOST_RETENTION_DAYS after its end, and a day); the workers notice by themselves.',
  );
}

/** False: somebody else was faster. */
async function begin({ shards, configs }: MoveTools, home: AppConfig, to: number): Promise<boolean> {
  const number = await shards.client.incr(shards.get(to).key('own'));
  // From now on workers serve it.
  await shards.client.sadd(DIRECTORY.shards, String(to));
  return (await configs.writeAt(home, { moves: { next: { shard: to, number } } })) !== undefined;
}

/**
 * Brings the place that is prepared to the home's config. `kept`: it had it; `written`: it has it now; `again`: somebody else
 * writes there, or it is the home already.
 */
async function prepare(
  { configs }: MoveTools,
  home: AppConfig,
  next: AppPlace,
): Promise<'kept' | 'written' | 'again'> {
  const above = home.version;
  const moves = { former: [place(home), ...(home.moves.former ?? [])], follows: home.version };
  let present = await configs.readAt(home.app, next);
  if (!present) {
    const empty = new AppConfig({ app: home.app, ...next, version: 0 }, home.record, new Map(), new Map());
    present = await configs.writeAt(empty, {
      record: home.record,
      comes: true,
      above,
      moves: { ...moves, follows: 0 },
    });
    // The app was being deleted, but was not: it needs another place.
    if (!present && (await configs.isGone(next))) await configs.writeAt(home, { moves: { next: undefined } });
  }
  // It is a home by now, or has been brought to a newer config than we know.
  if ((present?.moves.follows ?? Number.POSITIVE_INFINITY) > home.version || !present) return 'again';
  const { endpoints = {}, ...others } = difference(present, home.at(next));
  const entries = Object.entries(endpoints);
  for (let from = 0; from < entries.length; from += STRETCH) {
    const stretch = entries.slice(from, from + STRETCH);
    const isNew = ([id]: [string, unknown]) => !present?.endpoints.has(id);
    const hold = stretch.filter(isNew).flatMap(([, endpoint]) => (endpoint ? [endpoint.number] : []));
    present = await configs.writeAt(present, { endpoints: Object.fromEntries(stretch), hold, above });
    if (!present) return 'again';
  }
  if (present.moves.follows === home.version && sameFormer(present, moves.former)) return 'kept';
  return (await configs.writeAt(present, { ...others, moves, above })) ? 'written' : 'again';
}

/** Resolves when a worker serves the shard, or patience is at its end: without one, nothing is delivered anywhere. */
async function whenServed({ shards, patienceMs }: MoveTools, to: number): Promise<void> {
  const shard = shards.get(to);
  for (const start = performance.now(); performance.now() - start < patienceMs; await delay(LOOK_MS)) {
    if ((await shard.client.exists(shard.key('hb'))) > 0) return;
  }
}

/** The step after which the app is elsewhere. False: its config has changed since it was copied. */
async function leave({ configs, now }: MoveTools, home: AppConfig, next: AppPlace): Promise<boolean> {
  return (await configs.writeAt(home, leaving(next, now()))) !== undefined;
}

function place({ shard, number }: AppPlace): AppPlace {
  return { shard, number };
}

function sameFormer(config: AppConfig, former: readonly AppPlace[]): boolean {
  const present = config.moves.former ?? [];
  return present.length === former.length && former.every((at, i) => samePlace(at, present[i]));
}
