import { parseId, STATUSES } from '@sealpost/core';
import type { Redis } from 'ioredis';
import type { StoredDelivery } from './judge.ts';
import type { Endpoint } from './world.ts';

const P = '{sp:0}:';
const QUEUE = `${P}deliveries-0:`;
/** Of a lane: admitted, waiting, scheduled, stuck, admitted and unclaimed, its probe. */
const COUNTS = ['n', 'q', 'sc', 'sk', 'u', 'pr'] as const;

/** Everything that a system at rest has none of. A line for each thing that is there all the same. */
export async function leftovers(redis: Redis): Promise<string[]> {
  const found: string[] = [];
  const none = (name: string, count: number) => {
    if (count !== 0) found.push(`${name}: ${count}`);
  };
  for (const list of ['wait', 'active', 'paused']) none(`BullMQ ${list}`, await redis.llen(QUEUE + list));
  for (const set of ['delayed', 'prioritized']) none(`BullMQ ${set}`, await redis.zcard(QUEUE + set));
  none('BullMQ stalled', await redis.scard(`${QUEUE}stalled`));
  none('watch', await redis.zcard(`${P}watch`));
  for (const list of ['ring', 'fresh', 'outbox']) none(list, await redis.llen(P + list));
  none('outbox:lost', Number(await redis.get(`${P}outbox:lost`)));
  none('flow in', Number(await redis.hget(`${P}flow`, 'in')));
  for (const name of await keys(redis, `${P}lane:*`)) {
    const lane = await redis.hgetall(name);
    for (const field of COUNTS) none(`${name} ${field}`, Number(lane[field] ?? 0));
  }
  for (const kind of ['q', 'r', 'y', 's'])
    for (const name of await keys(redis, `${P}${kind}:*`)) found.push(name);
  for (const kind of ['d', 'e']) {
    for (const name of await keys(redis, `${P}${kind}:*`))
      none(`${name} open`, Number((await redis.hget(name, 'o')) ?? 0));
  }
  return found;
}

/** Deliveries that have yet to end, as their endpoints count them. */
export async function openDeliveries(redis: Redis): Promise<number> {
  let open = 0;
  for (const owner of await appOwners(redis)) {
    const [pending, retrying] = await redis.hmget(`${P}c:${owner}`, '0', '1');
    open += Number(pending ?? 0) + Number(retrying ?? 0);
  }
  return open;
}

/** Where the counts of an endpoint by status, and the index of the app, are not those of its records. */
export async function wrongCounts(
  redis: Redis,
  app: string,
  endpoints: Endpoint[],
  deliveries: StoredDelivery[],
): Promise<string[]> {
  const wrong: string[] = [];
  const compare = async (name: string, owner: string, own: StoredDelivery[]) => {
    const stored = await redis.hgetall(`${P}c:${owner}`);
    for (const [i, status] of STATUSES.entries()) {
      const counted = Number(stored[i] ?? 0);
      const actual = own.filter((delivery) => delivery.status === status).length;
      if (counted !== actual) wrong.push(`${name} counts ${counted} ${status}; there are ${actual}`);
    }
    const indexed = await redis.llen(`${P}x:${owner}`);
    if (indexed !== own.length) wrong.push(`${name} lists ${indexed} deliveries; there are ${own.length}`);
  };
  for (const { id, app: of, character } of endpoints) {
    if (of !== app) continue;
    const own = deliveries.filter(({ endpoint_id }) => endpoint_id === id);
    await compare(character.name, String(parseId('ep', id)!.number), own);
  }
  const place = await redis.hget('sp:apps', app);
  await compare(`app ${app}`, place!.split(':')[1]!, deliveries);
  return wrong;
}

async function appOwners(redis: Redis): Promise<string[]> {
  return Object.values(await redis.hgetall('sp:apps')).map((place) => place.split(':')[1]!);
}

async function keys(redis: Redis, pattern: string): Promise<string[]> {
  const found: string[] = [];
  let cursor = '0';
  do {
    const [next, some] = await redis.scan(cursor, 'MATCH', pattern, 'COUNT', 1000);
    cursor = next;
    found.push(...some);
  } while (cursor !== '0');
  return [...new Set(found)];
}
