import { STATUSES } from '@sealpost/core';
import { type DeliveryRecord, decodeDelivery, FLAG } from './src/delivery-record.ts';
import { BUCKET_SIZE } from './src/keys.ts';
import type { Shard } from './src/shard.ts';

/** All that a shard's keys say of its lanes at one moment. */
export type Picture = {
  now: number;
  deliveries: Map<number, DeliveryRecord & { lane: string }>;
  lanes: Map<string, Record<string, string>>;
  /** Members of `q:`, `r:` and `y:` lists, by key. */
  lists: Map<string, string[]>;
  /** `s:{lane}`, `tok:{lane}`, `wake` and `watch`: scores by member. */
  scores: Map<string, Map<string, number>>;
  flow: { in: number; slots: number; pe: number; re: number; fb: number };
  closed: Set<string>;
  /** `c:{owner}`, and the counts of open ones in buckets. */
  counts: Map<string, Record<string, string>>;
};

const DUMP = `
local out = { redis.call('TIME') }
for _, key in ipairs(redis.call('KEYS', ARGV[1] .. '*')) do
  local kind = redis.call('TYPE', key).ok
  local value = false
  if kind == 'hash' then value = redis.call('HGETALL', key)
  elseif kind == 'list' then value = redis.call('LRANGE', key, 0, -1)
  elseif kind == 'set' then value = redis.call('SMEMBERS', key)
  elseif kind == 'zset' then value = redis.call('ZRANGE', key, 0, -1, 'WITHSCORES') end
  if value then out[#out + 1] = { key, kind, value } end
end
return out`;

export async function takePicture(shard: Shard): Promise<Picture> {
  const pattern = shard.prefix.replace(/[[\]*?]/g, '\\$&');
  const [time, ...keys] = (await shard.client.callBuffer('EVAL', DUMP, '0', pattern)) as [
    Buffer[],
    ...[Buffer, Buffer, Buffer[]][],
  ];
  const picture: Picture = {
    now: Number(time[0]) * 1000 + Math.floor(Number(time[1]) / 1000),
    deliveries: new Map(),
    lanes: new Map(),
    lists: new Map(),
    scores: new Map(),
    flow: { in: 0, slots: 0, pe: 0, re: 0, fb: 0 },
    closed: new Set(),
    counts: new Map(),
  };
  const origins = new Map<number, string>();
  for (const [key, kind, value] of keys) {
    const name = key.toString().slice(shard.prefix.length);
    if (kind.toString() === 'list') picture.lists.set(name, value.map(String));
    else if (name === 'closed') picture.closed = new Set(value.map(String));
    else if (kind.toString() === 'zset') picture.scores.set(name, new Map(pairs(value, Number)));
    else readHash(picture, origins, name, value);
  }
  for (const delivery of picture.deliveries.values()) {
    delivery.lane =
      delivery.endpoint > 0 ? String(delivery.endpoint) : `${delivery.app}.${origins.get(delivery.event)}`;
  }
  return picture;
}

function readHash(picture: Picture, origins: Map<number, string>, name: string, value: Buffer[]): void {
  const [, family, rest] = /^(\w+):?(.*)$/.exec(name) ?? [];
  if (family === 'lane') picture.lanes.set(rest!, Object.fromEntries(pairs(value, String)));
  if (family === 'c') picture.counts.set(rest!, Object.fromEntries(pairs(value, String)));
  if (name === 'flow') {
    const { in: total = 0, slots = 0, pe = 0, re = 0, fb = 0 } = Object.fromEntries(pairs(value, Number));
    picture.flow = { in: total, slots, pe, re, fb };
  }
  if (family !== 'd' && family !== 'e') return;
  for (const [field, bytes] of pairs(value, (buffer) => buffer)) {
    const number = Number(rest) * BUCKET_SIZE + Number(field);
    if (field === 'o') picture.counts.set(name, { o: bytes.toString() });
    else if (family === 'd') picture.deliveries.set(number, { ...decodeDelivery(bytes)!, lane: '' });
    else if (/^\d+$/.test(field)) origins.set(number, JSON.parse(bytes.toString()).l);
  }
}

function pairs<T>(flat: Buffer[], read: (value: Buffer) => T): [string, T][] {
  const result: [string, T][] = [];
  for (let i = 0; i + 1 < flat.length; i += 2) result.push([flat[i]!.toString(), read(flat[i + 1]!)]);
  return result;
}

export const has = (delivery: { flags: number }, flag: keyof typeof FLAG) =>
  (delivery.flags & FLAG[flag]) !== 0;
export const isOpen = ({ status }: { status: string }) => status === 'pending' || status === 'retrying';
/** It has a place in its lane's window. */
export const isCounted = (delivery: { flags: number }) => has(delivery, 'admitted') || has(delivery, 'holds');

/** What lane.lua keeps. `ended`: lanes of deleted endpoints, whose counts went with them. Returns what is wrong. */
export function findFaults(picture: Picture, ended: ReadonlySet<string> = new Set()): string[] {
  return [
    ...[...picture.deliveries].flatMap(([number, delivery]) =>
      placeFaults(picture, number, delivery, ended).map((fault) => `delivery ${number}: ${fault}`),
    ),
    ...laneNames(picture)
      .filter((name) => !ended.has(name))
      .flatMap((name) => laneFaults(picture, name).map((fault) => `lane ${name}: ${fault}`)),
    ...turnFaults(picture, ended),
    ...countFaults(picture),
  ];
}

/**
 * A delivery is in exactly one of: its lane's lists, admitted or holding, delayed for backoff, ended. One that has ended may be
 * watched for as long as its job may be left; in the end none is.
 */
function placeFaults(
  picture: Picture,
  number: number,
  delivery: Picture['deliveries'] extends Map<number, infer D> ? D : never,
  ended: ReadonlySet<string>,
): string[] {
  const faults: string[] = [];
  const flag = (name: keyof typeof FLAG) => has(delivery, name);
  const places = [flag('waiting'), flag('admitted'), flag('holds')].filter(Boolean).length;
  const isWatched = picture.scores.get('watch')?.has(String(number)) ?? false;
  if (places > 1) faults.push(`in ${places} places`);
  if ((flag('detached') || flag('stuck')) && !flag('holds'))
    faults.push('detached or stuck, and holds nothing');
  if (flag('waiting')) {
    if (!isOpen(delivery)) faults.push('ended, and waits');
    if (isWatched) faults.push('waits, and is watched');
    if (!ended.has(delivery.lane) && !isListed(picture, delivery.lane, number))
      faults.push('waits, but in no list');
  } else if (places === 0) {
    if (delivery.status === 'pending') faults.push('pending, and nowhere');
    if (delivery.status === 'retrying' && !isWatched) faults.push('in backoff, and not watched');
  } else {
    if (!isWatched) faults.push('has a place, and is not watched');
    if (!isOpen(delivery) && delivery.status !== 'dead') faults.push(`${delivery.status}, and has a place`);
  }
  return faults;
}

function isListed(picture: Picture, lane: string, number: number): boolean {
  const member = String(number);
  return (
    ['q', 'r', 'y'].some((list) => picture.lists.get(`${list}:${lane}`)?.includes(member)) ||
    picture.scores.get(`s:${lane}`)?.has(member) === true
  );
}

function laneNames(picture: Picture): string[] {
  const ofDeliveries = [...picture.deliveries.values()].map(({ lane }) => lane);
  return [...new Set([...picture.lanes.keys(), ...ofDeliveries])];
}

/** A lane's fields as numbers, 0 where there is none. */
export function laneFields(picture: Picture, name: string): Record<string, number> {
  const fields = picture.lanes.get(name) ?? {};
  return new Proxy({}, { get: (_, field) => Number(fields[String(field)] ?? 0) });
}

/** The most that may be admitted at once. */
export function windowOf(picture: Picture, name: string): number {
  const lane = laneFields(picture, name);
  if (lane.or) return 1;
  return Math.max(
    1,
    Math.floor(Math.min(lane.w || 4, lane.mc || 32, lane.sk! > 0 ? 2 : Number.POSITIVE_INFINITY)),
  );
}

/** Its counts are those of its deliveries, and it stands where the next turn or the right time finds it. */
function laneFaults(picture: Picture, name: string): string[] {
  const faults: string[] = [];
  const lane = laneFields(picture, name);
  const own = [...picture.deliveries].filter(([, delivery]) => delivery.lane === name);
  const scheduled = picture.scores.get(`s:${name}`) ?? new Map<string, number>();
  const counts = {
    n: own.filter(([, delivery]) => isCounted(delivery)).length,
    q: own.filter(([number, delivery]) => has(delivery, 'waiting') && !scheduled.has(String(number))).length,
    sc: own.filter(([number, delivery]) => has(delivery, 'waiting') && scheduled.has(String(number))).length,
    sk: own.filter(([, delivery]) => has(delivery, 'stuck')).length,
  };
  for (const [field, count] of Object.entries(counts)) {
    if (lane[field] !== count) faults.push(`${field} is ${lane[field]}, and should be ${count}`);
  }
  if (scheduled.size !== counts.sc) faults.push('something is scheduled that does not wait');
  const wake = picture.scores.get('wake')?.get(name) ?? Number.POSITIVE_INFINITY;
  if (counts.sc > 0 && wake > Math.min(...scheduled.values()))
    faults.push('wakes too late for what is scheduled');
  if (lane.q! > 0 && !lane.rg) {
    const at = admitsAt(picture, name);
    if (at !== undefined && wake > Math.max(at, picture.now))
      faults.push(`may admit at ${at}, and wakes at ${wake}`);
  }
  if (lane.pr && !isCounted(picture.deliveries.get(lane.pr)!)) faults.push('its probe is not admitted');
  return faults;
}

/** When time alone lets a lane admit one more; 0: now. Undefined: something else must happen first. */
function admitsAt(picture: Picture, name: string): number | undefined {
  const lane = laneFields(picture, name);
  if (lane.ps || lane.off || lane.n! >= windowOf(picture, name) || (lane.cl && lane.pr)) return undefined;
  const times = [0, lane.nb!];
  if (lane.cl) times.push(lane.pa!);
  if (picture.lanes.get(name)?.qh) {
    if (lane.qu! <= picture.now)
      times.push(picture.now + 1001); // to be looked up; asked for again after a second
    else if (lane.qf! <= picture.now && !lane.qs) times.push(lane.qu!);
  }
  if (lane.rl && !lane.rs) {
    const starts = [...(picture.scores.get(`tok:${name}`)?.values() ?? [])].sort((a, b) => b - a);
    if (lane.u! >= lane.rl) return undefined;
    times.push((starts[lane.rl - 1 - lane.u!] ?? Number.NEGATIVE_INFINITY) + lane.rp! + 1);
  }
  return Math.max(...times);
}

/** Ring, `fresh` and `wake` are as the lanes think they are. */
function turnFaults(picture: Picture, ended: ReadonlySet<string>): string[] {
  const faults: string[] = [];
  const turns = [...(picture.lists.get('ring') ?? []), ...(picture.lists.get('fresh') ?? [])];
  if (new Set(turns).size !== turns.length) faults.push('a lane stands in the ring twice');
  const wake = picture.scores.get('wake') ?? new Map<string, number>();
  for (const name of new Set([...turns, ...wake.keys(), ...picture.lanes.keys()])) {
    if (ended.has(name)) continue;
    const lane = laneFields(picture, name);
    if (turns.includes(name) !== (lane.rg === 1))
      faults.push(`lane ${name}: in the ring or not, says otherwise`);
    if ((wake.get(name) ?? 0) !== lane.z)
      faults.push(`lane ${name}: wakes at ${wake.get(name)}, says ${lane.z}`);
  }
  return faults;
}

/** The shard's total, the counts by status and those of open records are those of the records. */
function countFaults(picture: Picture): string[] {
  const faults: string[] = [];
  const all = [...picture.deliveries];
  const admitted = all.filter(([, delivery]) => has(delivery, 'admitted')).length;
  if (picture.flow.in !== admitted) faults.push(`flow.in is ${picture.flow.in}, and should be ${admitted}`);
  const ofStatus = (status: string) => all.filter(([, delivery]) => delivery.status === status).length;
  const { pe, re, fb } = picture.flow;
  if (pe !== ofStatus('pending')) faults.push(`flow.pe is ${pe}, and should be ${ofStatus('pending')}`);
  if (re !== ofStatus('retrying')) faults.push(`flow.re is ${re}, and should be ${ofStatus('retrying')}`);
  const before = all.filter(([number, delivery]) => isOpen(delivery) && number < fb * BUCKET_SIZE);
  if (before.length > 0) faults.push(`something is open before bucket ${fb}, which is the first`);
  const closed = [...picture.lanes].flatMap(([name, { cl }]) => (cl === undefined ? [] : [name]));
  if (closed.length !== picture.closed.size || closed.some((name) => !picture.closed.has(name)))
    faults.push(`closed are ${closed}, and should be ${[...picture.closed]}`);
  const expected = new Map<string, number>();
  const add = (key: string) => expected.set(key, (expected.get(key) ?? 0) + 1);
  for (const [number, delivery] of all) {
    const status = STATUSES.indexOf(delivery.status);
    for (const owner of [delivery.app, delivery.endpoint]) if (owner > 0) add(`${owner} ${status}`);
    if (!isOpen(delivery)) continue;
    add(`d:${Math.floor(number / BUCKET_SIZE)} o`);
    add(`e:${Math.floor(delivery.event / BUCKET_SIZE)} o`);
  }
  for (const [name, counts] of picture.counts) {
    for (const [field, count] of Object.entries(counts)) {
      const should = expected.get(`${name} ${field}`) ?? 0;
      if (Number(count) !== should)
        faults.push(`count ${field} of ${name} is ${count}, and should be ${should}`);
    }
  }
  return faults;
}

/** What a step admitted although its lane, or the shard, did not let it. */
export function findWrongAdmissions(before: Picture, after: Picture): string[] {
  const faults: string[] = [];
  for (const [number, delivery] of after.deliveries) {
    const previous = before.deliveries.get(number);
    if (!isCounted(delivery) || (previous && isCounted(previous))) continue;
    const lane = laneFields(after, delivery.lane);
    const wrong = (why: string) =>
      faults.push(`delivery ${number} was admitted to lane ${delivery.lane} ${why}`);
    if (lane.ps || lane.off) wrong('that is held');
    if (lane.cl && lane.pr !== number) wrong('that is closed, and is no probe');
    if (lane.n! > windowOf(after, delivery.lane))
      wrong(`beyond its window of ${windowOf(after, delivery.lane)}`);
    if (lane.nb! > after.now) wrong('that is to be left alone');
  }
  return faults;
}
