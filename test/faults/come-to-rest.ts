import { setTimeout as delay } from 'node:timers/promises';
import { leftovers, openDeliveries } from './leftovers.ts';
import type { Producer } from './producer.ts';
import { APP, ok, type World } from './world.ts';

export type Rest = { tookMs: number /** What has not come to rest in time. */; left: string[] };

const LOOK_MS = 500;
const TELL_MS = 5000;

/**
 * Faults are over: receivers are good, closed lanes are resumed, what is unacknowledged is published until it is, and all
 * is waited for that is still on its way.
 */
export async function comeToRest(
  world: World,
  producer: Producer,
  { limitMs, say }: { limitMs: number; say: (line: string) => void },
): Promise<Rest> {
  const began = Date.now();
  world.receivers.allGood = true;
  let left: string[] = [];
  for (let toldAt = began; Date.now() - began < limitMs; await delay(LOOK_MS)) {
    left = await whatIsLeft(world, producer);
    if (left.length === 0) return { tookMs: Date.now() - began, left };
    if (Date.now() - toldAt < TELL_MS) continue;
    toldAt = Date.now();
    say(`waiting for ${left.slice(0, 4).join(', ')}${left.length > 4 ? ` and ${left.length - 4} more` : ''}`);
    await resumeClosed(world).catch(() => {});
  }
  return { tookMs: Date.now() - began, left };
}

async function whatIsLeft(world: World, producer: Producer): Promise<string[]> {
  const left: string[] = [];
  const unacknowledged = producer.unacknowledged.length;
  if (unacknowledged > 0) left.push(`${unacknowledged} unacknowledged events`);
  for (const member of world.members) if (!(await member.isReady())) left.push(`${member.name} is not ready`);
  const open = await openDeliveries(world.redis.client);
  if (open > 0) left.push(`${open} deliveries`);
  return left.length > 0 ? left : leftovers(world.redis.client);
}

async function resumeClosed({ client, endpoints }: World): Promise<void> {
  for (const { id, app } of endpoints) {
    if (app !== APP) continue;
    const path = `/v1/apps/${app}/endpoints/${id}`;
    const { lane } = ok(await client.get(`${path}/stats`));
    if (lane.state === 'closed') ok(await client.post(`${path}/resume`));
    if (lane.state === 'disabled') ok(await client.patch(path, { enabled: true }));
  }
}
