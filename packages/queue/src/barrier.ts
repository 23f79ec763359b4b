import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
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
/** Events that one script looks at, so that none blocks Redis for long. */
const MOST_AT_ONCE = 2000;
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

type Round = { events: AcceptedEvent[]; outcome: Promise<Confirmation> };

/**
 * Waits until disk or replica hold what was accepted. It trusts no connection: between ACCEPT and this a server may have
 * died and its replica have taken over without the event, unseen by a client that has reconnected. So one script looks
 * whether the events are there and writes, and WAIT, sent with it in one piece, waits for that write: what replicas have
 * of a master's writes they have in order, so the events with it.
 *
 * Redis lets nothing else run on a connection that waits: this needs one of its own.
 */
export class Barrier {
  readonly #client: RedisClient;
  readonly #kind: BarrierKind;
  /** Of each shard: those that wait for the round under way to end go together in the next. */
  readonly #running = new Map<number, Promise<unknown>>();
  readonly #next = new Map<number, Round>();

  constructor(client: RedisClient, kind: BarrierKind) {
    this.#client = client;
    this.#kind = kind;
  }

  get isConnected(): boolean {
    return this.#client.status === 'ready';
  }

  /** @throws Redis' error */
  async confirm(shard: Shard, events: readonly AcceptedEvent[]): Promise<Confirmation> {
    let round = this.#next.get(shard.number);
    if (!round) {
      const of: AcceptedEvent[] = [];
      round = { events: of, outcome: this.#confirmNext(shard, of) };
      this.#next.set(shard.number, round);
    }
    round.events.push(...events);
    const outcome = await round.outcome;
    if (typeof outcome === 'string') return outcome;
    return events.some(({ number }) => outcome.missing.has(number)) ? outcome : 'held';
  }

  /** An entry of the directory: field and value of a hash, or member of a set. @throws Redis' error */
  confirmEntry(key: string, field: string, value?: string): Promise<Confirmation> {
    return this.#ask(CONFIRM_ENTRY, [key], value === undefined ? [field] : [field, value]);
  }

  close(): void {
    this.#client.disconnect();
  }

  async #confirmNext(shard: Shard, events: AcceptedEvent[]): Promise<Confirmation> {
    await this.#running.get(shard.number)?.catch(() => {});
    this.#next.delete(shard.number);
    const running = this.#confirmAll(shard, events);
    this.#running.set(shard.number, running);
    return running;
  }

  async #confirmAll(shard: Shard, events: readonly AcceptedEvent[]): Promise<Confirmation> {
    const missing = new Set<number>();
    for (let from = 0; from < events.length; from += MOST_AT_ONCE) {
      const some = events.slice(from, from + MOST_AT_ONCE);
      const args = some.flatMap(({ number, createdAt }) => [number, createdAt]);
      const outcome = await this.#ask(CONFIRM, [shard.prefix, shard.guard], args);
      if (outcome === 'late') return outcome;
      if (outcome !== 'held') for (const number of outcome.missing) missing.add(number);
    }
    return missing.size > 0 ? { missing } : 'held';
  }

  async #ask(lua: string, keys: string[], args: (string | number)[]): Promise<Confirmation> {
    const deadline = performance.now() + WITHIN_MS;
    for (;;) {
      const left = Math.max(1, Math.ceil(deadline - performance.now())); // 0 would be for ever
      const wait = this.#kind === 'wait' ? ['WAIT', '1', left] : ['WAITAOF', '1', '0', left];
      // By text: sent again for want of it, as ioredis does with a script it knows by hash, it would come after WAIT.
      const replies = await this.#client
        .pipeline()
        .eval(lua, keys.length, ...keys, ...args)
        .call(...(wait as [string, ...(string | number)[]]))
        .exec();
      const [[failure, missing], [failedWait, reached]] = replies as [Reply, Reply];
      if (failure && isMoving(failure) && performance.now() < deadline) {
        // Sent alone a command finds its way, and ioredis learns it.
        await this.#client.exists(keys[0]!);
        await delay(AGAIN_MS);
        continue;
      }
      if (failure ?? failedWait) throw failure ?? failedWait;
      if ((missing as number[]).length > 0) return { missing: new Set(missing as number[]) };
      return Number([reached].flat()[0]) >= 1 ? 'held' : 'late';
    }
  }
}

type Reply = [error: Error | null, result: unknown];
