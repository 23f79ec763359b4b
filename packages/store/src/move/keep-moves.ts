import { SealpostError } from '@sealpost/core';
import type { Shard, Shards } from '@sealpost/queue';
import type { AppPlace } from '../app-config.ts';
import type { Configs } from '../configs.ts';
import { deleteAt, follow } from './follow-home.ts';
import { letGo } from './let-go.ts';
import { samePlace } from './move-fields.ts';

/** Apps that one round looks at; of more, chance chooses. */
const MOST_APPS = 50;
/** Steps that one round takes for the lanes of one app. */
const MOST_STEPS = 10;
/** Events outlive their deliveries by so much, ms (lua/common.lua's close_one), as idempotency keys live so long. */
const DAY_MS = 86_400_000;

export type MovesOptions = {
  shards: Shards;
  configs: Configs;
  /** How long what has ended is kept, ms. */
  keepMs: number;
  /** ms epoch. */
  now: () => number;
};

/** What one round has done: lanes that were let go, apps of which nothing is left here, apps that failed. */
export type MovesRound = { letGo: number; gone: string[]; errors: unknown[] };

/**
 * Looks after the apps that have come to a shard, and those that have left it: whoever moved them may have died at any step.
 * Any number of workers may do it at once.
 */
export async function keepMoves(shard: Shard, options: MovesOptions): Promise<MovesRound> {
  const round: MovesRound = { letGo: 0, gone: [], errors: [] };
  const each = async (hash: string, work: (app: string, place: AppPlace) => Promise<void>) => {
    const apps = (await shard.client.hrandfield(shard.key(hash), MOST_APPS, 'WITHVALUES')) as string[];
    for (let i = 0; i < apps.length; i += 2) {
      const place = { shard: shard.number, number: Number(apps[i]) };
      await work(apps[i + 1]!, place)
        .catch(missing)
        .catch((error: unknown) => round.errors.push(error));
    }
  };
  await each('came', async (app, place) => {
    for (let step = 0; step < MOST_STEPS; step++) {
      const done = await letGo(options, app, place).catch(missing);
      if (!done) return forgetUnlessNext(shard, options.configs, app, place);
      round.letGo += done.letGo;
      if (done.letGo === 0 || done.held === 0) return;
    }
  });
  await each('left', async (app, place) => {
    const home = await options.configs.newest(app).catch(missing);
    if (!home) return deleteIfGone(options.configs, app, place);
    const isFormer = (home.moves.former ?? []).some((former) => samePlace(former, place));
    const [follows, leftAt] = await shard.client.hmget(shard.key(`cfg:${place.number}`), 'follows', 'left');
    if (isFormer && Number(follows) < home.version) await follow(options.configs, home, place);
    if (isFormer && !(await isEmpty(shard, place, Number(leftAt), options))) return;
    await forget(options.configs, app, place);
    round.gone.push(app);
  });
  return round;
}

/** What was prepared for an app that has been deleted meanwhile, and does not come any more. */
async function forgetUnlessNext(shard: Shard, configs: Configs, app: string, place: AppPlace): Promise<void> {
  const home = await configs.newest(app).catch(missing);
  if (home?.moves.next && samePlace(home.moves.next, place)) return;
  // Only what has never been a home follows one, and has not left.
  const [follows, to] = await shard.client.hmget(shard.key(`cfg:${place.number}`), 'follows', 'to');
  const isPart = home?.parts.some((part) => samePlace(part, place)) ?? false;
  if (!isPart && follows !== null && to === null) await deleteAt(configs, app, place);
}

/** Whoever deleted the app did not know yet that it was about to leave this shard: it found what was prepared, and that alone. */
async function deleteIfGone(configs: Configs, app: string, place: AppPlace): Promise<void> {
  if (await configs.isGone(place)) await deleteAt(configs, app, place);
}

function missing(error: unknown): undefined {
  if (error instanceof SealpostError && error.code === 'app_not_found') return undefined;
  throw error;
}

/** Nothing of the app is left there: its home knows of it no more, and then its config goes. */
async function forget(configs: Configs, app: string, place: AppPlace): Promise<void> {
  await configs.change(app, ({ moves: { former = [] } }) => {
    const others = former.filter((at) => !samePlace(at, place));
    return others.length < former.length ? { moves: { former: others } } : undefined;
  });
  await deleteAt(configs, app, place);
}

/** Whether no record is left. Events without deliveries stand in no index: time tells. */
async function isEmpty(
  shard: Shard,
  { number }: AppPlace,
  leftAt: number,
  { keepMs, now }: MovesOptions,
): Promise<boolean> {
  if (now() <= leftAt + keepMs + DAY_MS) return false;
  return (await shard.client.exists(shard.key(`x:${number}`), shard.key(`u:${number}`))) === 0;
}
