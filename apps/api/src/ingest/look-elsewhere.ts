import type { Shards } from '@sealpost/queue';
import type { AppConfig, AppPart } from '@sealpost/store';
import type { Draft } from './prepare-event.ts';

/** What shards that the app has left know of an event that is to be published. */
export type KnownElsewhere = {
  /** It has been published before, with this own id: where, and its number there. */
  known?: { part: AppPart; number: number };
  /** The last sequence of its correlation there, where the home knows none yet. */
  counted?: number;
};

/**
 * Own ids and correlations of an app that has moved go on over the move (docs/moving-apps.md). Nothing is accepted any more
 * in a shard that an app has left, so what is read there is final.
 */
export async function lookElsewhere(
  shards: Shards,
  config: AppConfig,
  drafts: readonly Draft[],
  stretch: readonly { index: number }[],
): Promise<Map<number, KnownElsewhere>> {
  const [home, ...former] = config.parts;
  const found = new Map<number, KnownElsewhere>();
  const counts = new Map<string, Promise<number>>();
  const countOnce = (correlation: string) => {
    const counting = counts.get(correlation) ?? countedElsewhere(shards, home!, former, correlation);
    counts.set(correlation, counting);
    return counting;
  };
  await Promise.all(
    stretch.map(async ({ index }) => {
      const { input, derivedId } = drafts[index]!;
      const ownId = input.id ?? derivedId;
      const { correlation_id: correlation } = input;
      const [known, counted] = await Promise.all([
        ownId === undefined ? undefined : knownElsewhere(shards, former, ownId),
        correlation === undefined ? 0 : countOnce(correlation),
      ]);
      found.set(index, { ...(known && { known }), ...(counted > 0 && { counted }) });
    }),
  );
  return found;
}

async function knownElsewhere(
  shards: Shards,
  former: readonly AppPart[],
  ownId: string,
): Promise<KnownElsewhere['known']> {
  for (const part of former) {
    const shard = shards.get(part.shard);
    const number = await shard.client.hget(shard.key(`u:${part.number}`), ownId);
    if (number !== null) return { part, number: Number(number) };
  }
  return undefined;
}

async function countedElsewhere(
  shards: Shards,
  home: AppPart,
  former: readonly AppPart[],
  correlation: string,
): Promise<number> {
  for (const part of [home, ...former]) {
    const shard = shards.get(part.shard);
    const sequence = await shard.client.hget(shard.key(`k:${part.number}:${correlation}`), 'seq');
    if (sequence !== null) return part === home ? 0 : Number(sequence);
  }
  return 0;
}
