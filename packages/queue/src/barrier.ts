import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { ClusterConnection, masterOf, slotOf } from './cluster-connection.ts';
import { isMoving, type RedisClient } from './connection.ts';
import type { Shard } from './shard.ts';

/** How hard Redis must hold what was accepted: `waitaof`: on its disk (Redis ≥ 7.2); `wait`: on a replica. */
export type BarrierKind = 'waitaof' | 'wait';

/** What is confirmed: an event of a shard, by its number and the time of its acceptance, ms. */
export type AcceptedEvent = { number: number; createdAt: number };

/** `late`: Redis has them, but no replica or disk has in time. */
export type Confirmation = 'held' | 'late' | { missing: ReadonlySet<number> };

/** Longest wait for disk or replica, ms: below the connection's own command timeout. */
const WITHIN_MS = 4000;
/** Arguments of one script, two for an event, so that none blocks Redis for long. */
const MOST_AT_ONCE = 4000;
/** Before a slot that moves is asked again, ms. */
const AGAIN_MS = 50;

const CONFIRM = readFileSync(new URL('./lua/confirm.lua', import.meta.url), 'utf8');

/**
 * Rewrites an entry of the directory that is as it was written. KEYS: 1 hash or set  ARGV: 1 field or member  2 value, or
 * nothing of a set. Returns whether it was.
 */
const CONFIRM_ENTRY = `
local key, field, value = KEYS[1], ARGV[1], ARGV[2]
if value then
  if redis.call('HGET', key, field) ~= value then return {1} end
  redis.call('HSET', key, field, value)
else
  if redis.call('SREM', key, field) == 0 then return {1} end
  redis.call('SADD', key, field)
end
return {}`;

/** A script that looks and writes, and returns what is missing. */
type Look = { lua: string; keys: [string, ...string[]]; args: (string | number)[] };
/** What a look found missing, and what became of all else that it looked at. */
type Outcome = { missing: Set<number>; others: 'held' | 'late' };
type Outcomes = Map<string, Outcome | Error | Promise<Outcome | Error>>;
type Round = { looks: Map<string, Look>; outcomes: Promise<Outcomes> };
type Reply = [error: Error | null, result: unknown];

/**
 * Waits until disk or replica hold what was accepted. It trusts no connection: between ACCEPT and this a server may have
 * died and its replica have taken over without the event, unseen by a client that has reconnected. So scripts look whether
 * the events are there and write, and one WAIT, sent with them in one piece, waits for those writes: what replicas have of a
 * master's writes they have in order, so the events with them.
 *
 * Redis lets nothing else run on a connection that waits: this needs one of its own, on which what comes while it waits goes
 * together in the next round, whatever its shard.
 */
export class Barrier {
  readonly #client: RedisClient;
  readonly #kind: BarrierKind;
  readonly #withinMs: number;
  /** Of each server. */
  readonly #running = new Map<string, Promise<unknown>>();
  readonly #next = new Map<string, Round>();

  constructor(client: RedisClient, kind: BarrierKind, withinMs = WITHIN_MS) {
    this.#client = client;
    this.#kind = kind;
    this.#withinMs = withinMs;
  }

  get isConnected(): boolean {
    return this.#client.status === 'ready';
  }

  /** @throws Redis' error */
  async confirm(shard: Shard, events: readonly AcceptedEvent[]): Promise<Confirmation> {
    const args = events.flatMap(({ number, createdAt }) => [number, createdAt]);
    const outcome = await this.#inRound(shard.prefix, {
      lua: CONFIRM,
      keys: [shard.prefix, shard.guard],
      args,
    });
    const missing = new Set(events.map(({ number }) => number)).intersection(outcome.missing);
    return missing.size > 0 ? { missing } : outcome.others;
  }

  /** An entry of the directory: field and value of a hash, or member of a set. @throws Redis' error */
  async confirmEntry(key: string, field: string, value?: string): Promise<Confirmation> {
    const args = value === undefined ? [field] : [field, value];
    const look: Look = { lua: CONFIRM_ENTRY, keys: [key], args };
    const { missing, others } = await this.#inRound(JSON.stringify([key, ...args]), look);
    return missing.size > 0 ? { missing } : others;
  }

  close(): void {
    this.#client.disconnect();
  }

  /** @param name looks of one name are one, with the arguments of all */
  async #inRound(name: string, look: Look): Promise<Outcome> {
    const server = this.#serverOf(look);
    let round = this.#next.get(server);
    if (!round) {
      const looks: Round['looks'] = new Map();
      round = { looks, outcomes: this.#lookNext(server, looks) };
      this.#next.set(server, round);
    }
    const present = round.looks.get(name);
    if (!present) round.looks.set(name, look);
    else if (look.lua === CONFIRM) for (const arg of look.args) present.args.push(arg);
    const outcome = await (await round.outcomes).get(name)!;
    if (outcome instanceof Error) throw outcome;
    return outcome;
  }

  #serverOf({ keys: [key] }: Look): string {
    if (!(this.#client instanceof ClusterConnection)) return '';
    return masterOf(this.#client, slotOf(key)) ?? '';
  }

  async #lookNext(server: string, looks: Round['looks']): Promise<Outcomes> {
    await this.#running.get(server)?.catch(() => {});
    this.#next.delete(server);
    const running = this.#lookAll(looks, performance.now() + this.#withinMs);
    this.#running.set(server, running);
    return running;
  }

  async #lookAll(looks: ReadonlyMap<string, Look>, deadline: number): Promise<Outcomes> {
    const servers = Map.groupBy(looks, ([, look]) => this.#serverOf(look));
    // Some have moved to another master since they came.
    const rounds = [...servers.values()].map((some) => this.#ask(new Map(some), deadline));
    return new Map((await Promise.all(rounds)).flatMap((outcomes) => [...outcomes]));
  }

  async #ask(looks: ReadonlyMap<string, Look>, deadline: number): Promise<Outcomes> {
    const left = Math.max(1, Math.ceil(deadline - performance.now())); // 0 would be for ever
    const wait = this.#kind === 'wait' ? ['WAIT', '1', left] : ['WAITAOF', '1', '0', left];
    const pipeline = this.#client.pipeline();
    const names: string[] = [];
    for (const [name, { lua, keys, args }] of looks) {
      for (let from = 0; from < args.length; from += MOST_AT_ONCE) {
        // By text: sent again for want of it, as ioredis does with a script it knows by hash, it would come after WAIT.
        pipeline.eval(lua, keys.length, ...keys, ...args.slice(from, from + MOST_AT_ONCE));
        names.push(name);
      }
    }
    const replies = (await pipeline.call(...(wait as [string, ...(string | number)[]])).exec()) as Reply[];
    const [failedWait, reached] = replies.pop()!;
    const others = Number([reached].flat()[0]) >= 1 ? 'held' : 'late';
    const outcomes: Outcomes = new Map();
    for (const name of looks.keys()) outcomes.set(name, failedWait ?? { missing: new Set(), others });
    for (const [i, [failure, missing]] of replies.entries()) {
      const name = names[i]!;
      const outcome = outcomes.get(name);
      if (outcome instanceof Promise) continue; // all of it is looked at again
      if (failure && isMoving(failure) && performance.now() < deadline) {
        outcomes.set(name, this.#again(name, looks.get(name)!, deadline));
      } else if (failure) outcomes.set(name, failure);
      else if (outcome && 'missing' in outcome) {
        for (const number of missing as number[]) outcome.missing.add(number);
      }
    }
    return outcomes;
  }

  /** A shard that moves to another master holds up none of those that it was asked with. Never rejects. */
  async #again(name: string, look: Look, deadline: number): Promise<Outcome | Error> {
    try {
      // Sent alone a command finds its way, and ioredis learns it.
      await this.#client.exists(look.keys[0]);
      await delay(AGAIN_MS);
      return await (await this.#lookAll(new Map([[name, look]]), deadline)).get(name)!;
    } catch (error) {
      return error as Error;
    }
  }
}
