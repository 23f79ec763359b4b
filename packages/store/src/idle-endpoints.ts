import { SealpostError } from '@sealpost/core';
import { decodeDelivery, type Shard } from '@sealpost/queue';
import type { AppConfig } from './app-config.ts';
import { atOnce } from './at-once.ts';
import type { EndpointRecord } from './config-records.ts';
import type { ConfigChange, Configs } from './configs.ts';
import { isWatched, judgeIdle } from './idle-policy.ts';
import { readPacked } from './read-packed.ts';

/** How often a shard's endpoints are looked at, by one of all workers, seconds. */
const EVERY_SECONDS = 3600;
/**
 * How long a look tells the next one all that came before it, seconds: records are kept for a day at least, so what was
 * delivered after the look is then still there to be seen, and an hour is for the look itself.
 */
const KNOWN_SECONDS = 23 * 3600;
/** A clock that is further from Redis' must not say what has been idle for how long, ms. */
const MOST_ASTRAY_MS = 3_600_000;
/** Endpoints, or notes, that one step looks at. */
const STRETCH = 200;

/** Why Sealpost disabled an endpoint that has had no delivery for long. */
export const IDLE_REASON = 'idle';

/** What one step came to. An app that fails is left out, and the others go on. */
export type IdleStep = { app: string; disabled: string[]; error?: unknown };

/**
 * Whether this process is the one that looks after the shard's idle endpoints in this hour. Failure policy: one whose
 * clock is wrong leaves it to the others, since a clock that is ahead would disable what is in use.
 * @param now ms epoch
 */
export async function takeIdleTurn(shard: Shard, now: number): Promise<boolean> {
  const [seconds] = await shard.client.time();
  if (Math.abs(Number(seconds) * 1000 - now) > MOST_ASTRAY_MS) return false;
  return (await shard.client.set(shard.key('idle:turn'), '1', 'EX', EVERY_SECONDS, 'NX')) === 'OK';
}

/**
 * Disables the endpoints of a shard that have been idle for long, in apps that want it, a stretch a step: who walks may
 * stop after any. The hash `idle` names those apps, so that no others are read. Where the last look is too long ago, as
 * after days without a worker, deliveries may have come and gone unseen: nothing that was noted counts then.
 * @param now ms epoch
 */
export async function* disableIdle(
  shard: Shard,
  configs: Configs,
  now: () => number,
): AsyncGenerator<IdleStep> {
  const isKnown = (await shard.client.exists(shard.key('idle:known'))) === 1;
  for await (const [number, app] of hashEntries(shard, shard.key('idle'))) {
    try {
      yield* stepsOfApp(shard, configs, { app, number: Number(number), isKnown }, now);
    } catch (error) {
      yield { app, disabled: [], error };
    }
  }
  await shard.client.set(shard.key('idle:known'), '1', 'EX', KNOWN_SECONDS);
}

async function* stepsOfApp(
  shard: Shard,
  configs: Configs,
  { app, number, isKnown }: { app: string; number: number; isKnown: boolean },
  now: () => number,
): AsyncGenerator<IdleStep> {
  const config = await configs.newest(app).catch(missing);
  if (config?.number !== number || config.shard !== shard.number) {
    // Deleted, and perhaps made anew with another number: this one is not used again.
    await shard.client.multi().hdel(shard.key('idle'), String(number)).unlink(notesOf(shard, number)).exec();
    return;
  }
  const watched = [...config.endpoints.values()].filter((endpoint) => isWatched(config.record, endpoint));
  if (watched.length === 0) await note(shard, config, []);
  const idle: EndpointRecord[] = [];
  for (const endpoints of stretches(watched)) {
    idle.push(...(await findIdle(shard, config, endpoints, now(), isKnown)));
    yield { app, disabled: [] };
  }
  const gone = new Set<string>();
  for (const endpoints of stretches(idle)) {
    const disabled = await disable(shard, configs, config, endpoints, now());
    for (const id of disabled) gone.add(id);
    yield { app, disabled };
  }
  await forgetOthers(
    shard,
    config,
    watched.filter(({ id }) => !gone.has(id)),
  );
}

function* stretches(endpoints: EndpointRecord[]): Generator<EndpointRecord[]> {
  for (let at = 0; at < endpoints.length; at += STRETCH) yield endpoints.slice(at, at + STRETCH);
}

/** Looks at some endpoints of an app, notes what it sees, and answers those that are idle. */
async function findIdle(
  shard: Shard,
  config: AppConfig,
  endpoints: EndpointRecord[],
  now: number,
  isKnown: boolean,
): Promise<EndpointRecord[]> {
  const judged = await judge(shard, config, endpoints, now, isKnown);
  const noted = await note(
    shard,
    config,
    judged.map(({ endpoint, seen }) => [endpoint.number, seen]),
  );
  // Where somebody has changed the app meanwhile, the next hour will do.
  return noted ? idleOf(judged) : [];
}

type Judged = { endpoint: EndpointRecord; idle: boolean; seen: number };

async function judge(
  shard: Shard,
  config: AppConfig,
  endpoints: EndpointRecord[],
  now: number,
  isKnown = true,
): Promise<Judged[]> {
  const facts = await look(shard, config, endpoints);
  return endpoints.map((endpoint, i) => {
    const { seen, ...others } = facts[i]!;
    return { endpoint, ...judgeIdle({ now, endpoint, ...others, seen: isKnown ? seen : undefined }) };
  });
}

function idleOf(judged: Judged[]): EndpointRecord[] {
  return judged.filter(({ idle }) => idle).map(({ endpoint }) => endpoint);
}

async function look(shard: Shard, config: AppConfig, endpoints: EndpointRecord[]) {
  const commands = shard.client.pipeline();
  commands.hmget(notesOf(shard, config.number), ...endpoints.map(({ number }) => String(number)));
  for (const { number } of endpoints) {
    commands.lindex(shard.key(`x:${number}`), 0);
    commands.hmget(shard.key(`c:${number}`), '0', '1'); // pending, retrying
  }
  const [notes, ...replies] = await atOnce<[(string | null)[], ...unknown[]]>(commands);
  const newest = endpoints.map((_, i) => Number(replies[2 * i] ?? 0));
  const records = await readPacked(shard, 'd', newest);
  return endpoints.map((_, i) => {
    const open = (replies[2 * i + 1] as (string | null)[]).reduce((sum, n) => sum + Number(n ?? 0), 0);
    const seen = notes[i] ? Number(notes[i]) : undefined;
    const record = newest[i]! > 0 && records[i] ? decodeDelivery(records[i]) : undefined;
    return { open, seen, newest: record && Math.max(record.createdAt, record.dueAt) };
  });
}

/** False: the config is newer, and nothing was done. @param seen endpoint and ms epoch; none: there is none to watch */
async function note(shard: Shard, config: AppConfig, seen: [number, number][]): Promise<boolean> {
  return Number(await shard.run('watch-idle', [config.number, config.version, ...seen.flat()])) === 1;
}

/**
 * Disables those that nobody has changed, and that have had no delivery, since they were found: that may be seconds ago.
 * What is accepted from now on, in the moment before the change, is held as every disabled endpoint's backlog.
 */
async function disable(
  shard: Shard,
  configs: Configs,
  config: AppConfig,
  found: EndpointRecord[],
  now: number,
): Promise<string[]> {
  const idle = idleOf(await judge(shard, config, found, now));
  let disabled: string[] = [];
  await configs.change(config.app, (newest): ConfigChange | undefined => {
    const still = idle.filter(({ id, updatedAt }) => {
      const endpoint = newest.endpoints.get(id);
      return endpoint && endpoint.updatedAt === updatedAt && isWatched(newest.record, endpoint);
    });
    disabled = still.map(({ id }) => id);
    if (still.length === 0) return undefined;
    const changes = still.map(({ id }) => {
      const endpoint = newest.endpoints.get(id)!;
      return [id, { ...endpoint, enabled: false, disabledReason: IDLE_REASON, updatedAt: now }];
    });
    return { endpoints: Object.fromEntries(changes) };
  });
  return disabled;
}

/** Notes of endpoints that are watched no more go, so that there is one for each that is. */
async function forgetOthers(shard: Shard, config: AppConfig, watched: EndpointRecord[]): Promise<void> {
  const key = notesOf(shard, config.number);
  if ((await shard.client.hlen(key)) <= watched.length) return;
  const numbers = new Set(watched.map(({ number }) => String(number)));
  let others: string[] = [];
  for await (const [endpoint] of hashEntries(shard, key)) {
    if (!numbers.has(endpoint)) others.push(endpoint);
    if (others.length < STRETCH) continue;
    await shard.client.hdel(key, ...others);
    others = [];
  }
  if (others.length > 0) await shard.client.hdel(key, ...others);
}

async function* hashEntries(shard: Shard, key: string): AsyncGenerator<[string, string]> {
  let cursor = '0';
  do {
    const [next, entries] = await shard.client.hscan(key, cursor, 'COUNT', STRETCH);
    for (let i = 0; i < entries.length; i += 2) yield [entries[i]!, entries[i + 1]!];
    cursor = next;
  } while (cursor !== '0');
}

function missing(error: unknown): undefined {
  if (error instanceof SealpostError && error.code === 'app_not_found') return undefined;
  throw error;
}

/** Up to when each watched endpoint of an app is known to have had deliveries: records of them live less long. */
function notesOf(shard: Shard, app: number): string {
  return shard.key(`idle:${app}`);
}
