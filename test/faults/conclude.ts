import { ELSEWHERE } from './characters.ts';
import { collect } from './collect.ts';
import type { Injector } from './injector.ts';
import { judge, type StoredDelivery } from './judge.ts';
import { leftovers, wrongCounts } from './leftovers.ts';
import type { Producer } from './producer.ts';
import { type Row, rowsOf, storyOf, storyOfAnswer } from './report.ts';
import type { Strike } from './strikes.ts';
import { APP, type Durability, WORKER_SLOTS, type World } from './world.ts';

export type FaultReport = {
  /** A story each; none: all is as it should be. */
  failures: string[];
  rows: Row[];
  skipped: [name: string, why: string][];
  totals: Record<string, string | number>;
};

/** A process of this size may not grow beyond it, whatever strikes. */
const MOST_RSS = 400 * 1024 * 1024;
const MOST_STORIES = 12;

/** @param restless what has not come to rest in time */
export async function conclude(
  world: World,
  producer: Producer,
  injector: Injector,
  restless: string[],
  { since, durability, told }: { since: number; durability: Durability; told: (line: string) => void },
): Promise<FaultReport> {
  const { events } = producer;
  const stored = await collect(world, events);
  told('every event and delivery has been read');
  const { strikes } = injector;
  const verdict = judge({
    events,
    stored,
    targets: ({ input }) => [
      ...world.endpointsFor(input.type).map(({ id, character }) => ({ endpointId: id, character })),
      ...(input.webhook_url ? [{ endpointId: null, character: ELSEWHERE }] : []),
    ],
    requests: world.receivers.requests,
    strikes,
    mayForget: durability !== 'disk',
    slots: WORKER_SLOTS,
  });
  const all = [...stored.values()].flatMap((deliveries) => deliveries ?? []);
  const redis = world.redis.client;
  const failures = [
    ...restless.map((left) => `not at rest: ${left}`),
    ...(restless.length === 0 ? await leftovers(redis) : []).map((left) => `left behind: ${left}`),
    ...(await wrongCounts(redis, APP, world.endpoints, all)),
    ...untoldDeaths(world, all),
    ...producer.surprises.slice(0, MOST_STORIES).map((surprise) => storyOfAnswer(surprise, world)),
    ...world.members.flatMap(({ complaints }) => complaints),
    ...world.members
      .filter(({ mostRss }) => mostRss > MOST_RSS)
      .map(({ name, mostRss }) => `${name} grew to ${megabytes(mostRss)}`),
    ...verdict.failures.slice(0, MOST_STORIES).map((failure) => storyOf(failure, world, strikes, since)),
  ];
  if (verdict.failures.length > MOST_STORIES)
    failures.push(`… and ${verdict.failures.length - MOST_STORIES} more like these`);
  return {
    failures,
    rows: rowsOf(strikes, verdict, delaysOf(world, producer)),
    skipped: injector.skipped,
    totals: {
      events: events.length,
      'refused tries': producer.refusals,
      deliveries: verdict.deliveries,
      ...verdict.byStatus,
      attempts: verdict.attempts,
      requests: world.receivers.requests.length,
      'sent again on a fresh connection': verdict.stale,
      'answers that a fault swallowed': verdict.swallowed,
      'forgotten by a killed Redis': count(verdict.lost),
      duplicates: count(verdict.repeated),
      'largest process': megabytes(Math.max(...world.members.map(({ mostRss }) => mostRss))),
      'Redis, bytes a delivery': Math.round((await usedMemory(world)) / Math.max(1, verdict.deliveries)),
    },
  };
}

/** Operators are told of each delivery that died. */
function untoldDeaths(world: World, deliveries: StoredDelivery[]): string[] {
  const told = new Set(world.receivers.requests.map((request) => request.told?.data?.delivery_id));
  return deliveries
    .filter(({ id, status }) => status === 'dead' && !told.has(id))
    .map(({ id }) => `operators were not told that delivery ${id} is dead`);
}

/** From 202 to arrival, at receivers that take everything at once. */
function delaysOf({ receivers, endpoints }: World, { acknowledged }: Producer) {
  const good = new Set(
    endpoints.filter(({ character }) => character.isGood).map(({ character }) => character.name),
  );
  const arrived = new Map<string, number>();
  for (const { event, receiver, at } of receivers.requests)
    if (good.has(receiver)) arrived.set(event, Math.max(arrived.get(event) ?? 0, at));
  return acknowledged.flatMap(({ answer, ackedAt }) => {
    const at = arrived.get(answer!.id);
    return at === undefined ? [] : [{ ackedAt: ackedAt!, tookMs: Math.max(0, at - ackedAt!) }];
  });
}

async function usedMemory({ redis }: World): Promise<number> {
  return Number(/used_memory:(\d+)/.exec(await redis.client.info('memory'))?.[1]);
}

const count = (map: Map<Strike, unknown[]>) => [...map.values()].reduce((sum, list) => sum + list.length, 0);
const megabytes = (bytes: number) => `${Math.round(bytes / 1024 / 1024)} MB`;
