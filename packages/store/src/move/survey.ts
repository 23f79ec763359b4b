import { DIRECTORY, type Shards } from '@sealpost/queue';
import { parsePlace } from './move-fields.ts';

/** What one shard has of an app: deliveries whose records are kept, and those that have not ended. */
export type AppLoad = { app: string; shard: number; isHome: boolean; kept: number; open: number };

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
    const some = entries.slice(at, at + CHUNK).map(async ({ app, shard, number, isHome }) => {
      const counts = (await client.hgetall(shards.get(shard).key(`c:${number}`))) as Record<string, string>;
      const sum = (values: (string | undefined)[]) =>
        values.reduce((total, value) => total + Math.max(0, Number(value ?? 0)), 0);
      return { app, shard, isHome, kept: sum(Object.values(counts)), open: sum([counts[0], counts[1]]) };
    });
    loads.push(...(await Promise.all(some)));
  }
  return loads.sort((a, b) => a.shard - b.shard || b.kept - a.kept || (a.app < b.app ? -1 : 1));
}
