import { DIRECTORY, type Shards } from '@sealpost/queue';
import type { AppPlace } from '../app-config.ts';
import { parsePlace } from './move-fields.ts';

/** What one shard has of an app: deliveries whose records are kept, and those that have not ended. */
export type AppLoad = AppPlace & { app: string; isHome: boolean; kept: number; open: number };

/** Apps that are asked for at once. */
const CHUNK = 500;

/** All apps by shard, the one with the most deliveries kept first: which is hot, and so which to move. */
export async function surveyApps(shards: Shards): Promise<AppLoad[]> {
  const { client } = shards;
  const entries = Object.entries(await client.hgetall(DIRECTORY.apps)).map(([app, entry]) => ({
    app,
    ...parsePlace(entry),
    isHome: true,
  }));
  for (const shard of await shards.known()) {
    const left = await client.hgetall(shards.get(shard).key('left'));
    for (const [number, app] of Object.entries(left)) {
      entries.push({ app, shard, number: Number(number), isHome: false });
    }
  }
  const loads: AppLoad[] = [];
  for (let at = 0; at < entries.length; at += CHUNK) {
    const some = entries.slice(at, at + CHUNK);
    const counted = await Promise.all(some.map((place) => loadOf(shards, place)));
    loads.push(...counted.map((load, i) => ({ ...some[i]!, ...load })));
  }
  return loads.sort((a, b) => a.shard - b.shard || b.kept - a.kept || (a.app < b.app ? -1 : 1));
}

/** What a shard has of an app. */
export async function loadOf(
  shards: Shards,
  { shard, number }: AppPlace,
): Promise<{ kept: number; open: number }> {
  const at = shards.get(shard);
  const counts = (await at.client.hgetall(at.key(`c:${number}`))) as Record<string, string>;
  const sum = (values: (string | undefined)[]) =>
    values.reduce((total, value) => total + Math.max(0, Number(value ?? 0)), 0);
  return { kept: sum(Object.values(counts)), open: sum([counts[0], counts[1]]) };
}
