import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { formatId } from '@sealpost/core';
import type { Redis } from 'ioredis';
import type { Acceptance, AcceptResult } from './src/accept.ts';
import type { ClaimResult } from './src/claim.ts';
import { type DeliveryRecord, decodeDelivery } from './src/delivery-record.ts';
import * as queue from './src/index.ts';
import type { Admitted } from './src/jobs.ts';
import { place } from './src/keys.ts';
import { Numbers } from './src/numbers.ts';
import type { PumpOptions } from './src/pump.ts';
import type { Settled, Settlement } from './src/settle.ts';
import { type Shard, Shards } from './src/shard.ts';
import { startTestRedis, type TestRedis } from './testing.ts';

/** This package, or the same of another version, and the shard as that sees it. */
type Version = { queue: typeof queue; shard: Shard };

export const APP = 1;
export const ENDPOINT = 2;
export const RETENTION = { recordsMs: 60_000, bodiesMs: 30_000 };
const DAY_MS = 86_400_000;

/** What WRITE-CONFIG is told of a lane; see lua/lane.lua. */
export type LaneSettings = {
  [field in 'mc' | 'or' | 'rl' | 'rp' | 'rs' | 'qs' | 'qf' | 'qu' | 'ps' | 'off']?: number | undefined;
} & { qh?: string | undefined };

type Change = {
  lanes?: Record<number, LaneSettings>;
  reopen?: number[];
  end?: number[];
  hold?: number[];
  doom?: Record<number, 'endpoint' | 'app'>;
  set?: Record<string, string>;
  del?: string[];
  outbox?: { t: string; e: number; r: string }[];
};

export function record(overrides: Partial<DeliveryRecord> = {}): DeliveryRecord {
  return {
    status: 'pending',
    flags: 0,
    generation: 1,
    attempts: 0,
    jobBase: 0,
    retryBase: 0,
    event: 0,
    app: APP,
    endpoint: ENDPOINT,
    createdAt: 1_700_000_000_000,
    dueAt: 1_700_000_000_000,
    statusCode: 0,
    reason: 'none',
    keyId: '0a0b0c0d',
    seal: Buffer.alloc(20, 7),
    ...overrides,
  };
}

/** A shard on a Redis of its own, with one app, and the scripts with arguments that most tests don't care about. */
export class TestShard {
  readonly redis: TestRedis;
  readonly shard: Shard;
  readonly #versions: Version[];
  #changes = 0;
  #turn = 0;

  private constructor(redis: TestRedis, other: typeof queue | undefined) {
    this.redis = redis;
    this.shard = new Shards(redis.client).get(0);
    this.#versions = [{ queue, shard: this.shard }];
    // A client knows the scripts of one version.
    if (other)
      this.#versions.push({
        queue: other,
        shard: new other.Shards((redis.client as Redis).duplicate() as never).get(0),
      });
  }

  /** @param beside a checkout of another version: scripts of both are run, as while a system is upgraded */
  static async start({ beside }: { beside?: string | undefined } = {}): Promise<TestShard> {
    const index = beside && pathToFileURL(join(beside, 'packages/queue/src/index.ts')).href;
    return new TestShard(await startTestRedis(), index ? await import(index) : undefined);
  }

  /** Whose turn it is: always in the same order. */
  get #version(): Version {
    this.#turn = (this.#turn * 1_103_515_245 + 12_345) % 2 ** 31;
    return this.#versions[(this.#turn >> 16) % this.#versions.length]!;
  }

  async stop(): Promise<void> {
    for (const { shard } of this.#versions) shard.client.disconnect();
    await this.redis.stop();
  }

  /** Runs a script that takes and returns the same in each version. */
  run(...call: Parameters<Shard['run']>): ReturnType<Shard['run']> {
    return this.#version.shard.run(...call);
  }

  /** Forgets everything. Endpoints that the app has: `endpoints`; a worker lives if there are `slots`. */
  async reset({ endpoints = [ENDPOINT], slots = 50 } = {}): Promise<void> {
    await this.redis.client.flushall();
    this.#turn = 0;
    const ids = endpoints.flatMap((endpoint) => [formatId('ep', 0, endpoint), '-']);
    await this.redis.client.hset(this.shard.key(`cfg:${APP}`), 'v', 1, 'app', '-', ...ids);
    if (slots > 0) await this.pump({ slots });
  }

  pump(options: Partial<PumpOptions> = {}) {
    const version = this.#version;
    return version.queue.pump(version.shard, {
      worker: 'w',
      slots: 50,
      maxAgeMs: 3 * DAY_MS,
      retention: RETENTION,
      clock: Date.now(),
      ...options,
    });
  }

  /** An event with `count` deliveries of which each is `of`, or with those `of` lists. */
  async publish(
    count = 1,
    overrides: Partial<Acceptance> & { lane?: string; deliverAt?: number } = {},
    of: Partial<DeliveryRecord> | Partial<DeliveryRecord>[] = {},
  ): Promise<{ number: number; result: AcceptResult }> {
    const number = overrides.number ?? (await new Numbers(this.shard).take(Math.max(1, count)));
    const { lane, deliverAt, ...acceptance } = overrides;
    const each = Array.isArray(of) ? of : Array.from({ length: count }, () => of);
    const version = this.#version;
    const result = await version.queue.accept(version.shard, {
      app: APP,
      configVersion: overrides.configVersion ?? (await this.version()),
      number,
      record: JSON.stringify({
        a: 'app',
        n: APP,
        t: 'a.b',
        at: 1,
        k: count,
        i: acceptance.ownId,
        c: acceptance.correlationId,
        l: lane,
        da: deliverAt,
      }),
      body: '{"x":1}',
      deliveries: each.map((delivery) => record({ event: number, ...delivery })),
      retention: RETENTION,
      ...acceptance,
    });
    return { number, result };
  }

  claim(number: number, generation = 1, counted = 0, clock = Date.now()): Promise<ClaimResult> {
    const version = this.#version;
    return version.queue.claim(version.shard, number, generation, counted, RETENTION, clock);
  }

  settle(number: number, overrides: Partial<Settlement> = {}): Promise<Settled> {
    const version = this.#version;
    return version.queue.settle(version.shard, settlement(number, overrides));
  }

  /** An attempt that succeeds after `durationMs`. */
  succeed(number: number, overrides: Partial<Settlement> = {}, durationMs = 10): Promise<Settled> {
    return this.settle(number, { receiver: { sign: 'success', durationMs, holdMs: 0 }, ...overrides });
  }

  /** An attempt that fails, and is to be made again. */
  fail(
    number: number,
    overrides: Partial<Settlement> = {},
    receiver: Partial<NonNullable<Settlement['receiver']>> = {},
  ): Promise<Settled> {
    return this.settle(number, {
      status: 'retrying',
      reason: 'timeout',
      statusCode: 0,
      delayMs: 60_000,
      receiver: { sign: 'failure', durationMs: 10, holdMs: 0, ...receiver },
      ...overrides,
    });
  }

  detach(
    number: number,
    how: 'detach' | 'stuck' | 'release' = 'detach',
    endsWithinMs = 30_000,
    generation = 1,
    attempt = 1,
  ) {
    const version = this.#version;
    return version.queue.detach(version.shard, number, generation, attempt, how, endsWithinMs);
  }

  /** WRITE-CONFIG. */
  async configure(change: Change): Promise<void> {
    this.#changes += 1;
    const version = await this.shard.run('write-config', [
      APP,
      await this.version(),
      JSON.stringify(change),
      `change ${this.#changes}`,
    ]);
    if (version === 0) throw new Error('somebody else changed the config');
  }

  async version(): Promise<number> {
    return Number(await this.redis.client.hget(this.shard.key(`cfg:${APP}`), 'v'));
  }

  lane(name: number | string = ENDPOINT): Promise<Record<string, string>> {
    return this.redis.client.hgetall(this.shard.key(`lane:${name}`));
  }

  /** Sets fields of a lane by hand: its clock cannot be. */
  async setLane(fields: Record<string, number>, name: number | string = ENDPOINT): Promise<void> {
    await this.redis.client.hset(this.shard.key(`lane:${name}`), fields);
    if (fields.z !== undefined) await this.redis.client.zadd(this.shard.key('wake'), fields.z, String(name));
  }

  async flow(): Promise<{ in: number; slots: number }> {
    const [total, slots] = await this.redis.client.hmget(this.shard.key('flow'), 'in', 'slots');
    return { in: Number(total), slots: Number(slots) };
  }

  async stored(number: number): Promise<DeliveryRecord> {
    const { bucket, field } = place(number);
    return decodeDelivery((await this.redis.client.hgetBuffer(this.shard.key(`d:${bucket}`), field))!)!;
  }

  async isWatched(number: number): Promise<boolean> {
    return (await this.redis.client.zscore(this.shard.key('watch'), String(number))) !== null;
  }

  /** What operators are to be told. */
  async outbox(): Promise<Record<string, unknown>[]> {
    return (await this.redis.client.lrange(this.shard.key('outbox'), 0, -1)).map((entry) =>
      JSON.parse(entry),
    );
  }

  /** Keys of the shard that are not records, indexes or BullMQ's: what lanes leave behind. */
  async laneKeys(): Promise<string[]> {
    const keys = await this.redis.client.keys('*');
    return keys
      .map((key) => key.slice(this.shard.prefix.length))
      .filter((key) => /^(lane|q|r|y|s|tok):|^(ring|fresh|wake)$/.test(key))
      .sort();
  }
}

export const settlement = (number: number, overrides: Partial<Settlement> = {}): Settlement => ({
  number,
  generation: 1,
  attempt: 1,
  status: 'delivered',
  reason: 'none',
  statusCode: 200,
  delayMs: 0,
  attemptRecord: '{"t":1,"d":2,"p":[0,0,0,1],"s":200}',
  retention: RETENTION,
  disableAfterMs: 5 * DAY_MS,
  random: 0.5,
  ...overrides,
});

/** Numbers of what was admitted. */
export const numbersOf = (admitted: Admitted[]): number[] => admitted.map(({ number }) => number);
