import { slotOf } from './cluster-connection.ts';
import type { RedisClient } from './connection.ts';
import { type DeliveryQueue, deliveryQueue } from './jobs.ts';
import { DIRECTORY, queueName, queuePrefix, shardPrefix } from './keys.ts';
import {
  defineScripts,
  runScript,
  type ScriptArgument,
  type ScriptName,
  type ScriptReply,
} from './scripts.ts';

/** A write as scripts make theirs, with the keys that they are given (scripts.ts): it fails when they would. */
const PROBE = "redis.call('SET', KEYS[1] .. 'probe', '1', 'PX', 1000)";

/** One shard, seen over one connection: its keys, its scripts and its queue. */
export class Shard {
  readonly number: number;
  readonly prefix: string;
  readonly client: RedisClient;
  #queue: DeliveryQueue | undefined;
  #slot: number | undefined;

  constructor(number: number, client: RedisClient) {
    this.number = number;
    this.prefix = shardPrefix(number);
    this.client = client;
  }

  key(name: string): string {
    return this.prefix + name;
  }

  run(name: ScriptName, args: ScriptArgument[]): Promise<ScriptReply> {
    return runScript(this.client, name, [this.prefix, this.guard], args);
  }

  /** Resolves when scripts may write. @throws Redis' error */
  async probe(): Promise<void> {
    await this.client.eval(PROBE, 2, this.prefix, this.guard);
  }

  /** In a Redis Cluster. */
  get slot(): number {
    this.#slot ??= slotOf(this.prefix);
    return this.#slot;
  }

  /** A key that there never is, beside `prefix`, which is none either (scripts.ts). */
  get guard(): string {
    return this.key('-');
  }

  get queue(): DeliveryQueue {
    this.#queue ??= deliveryQueue(this.number, this.client);
    return this.#queue;
  }

  /** Before a job's id in BullMQ's keys. */
  get jobPrefix(): string {
    return `${queuePrefix(this.number)}:${queueName(this.number)}:`;
  }
}

/** All shards over one connection, each made when it is first asked for. */
export class Shards {
  readonly client: RedisClient;
  readonly #shards = new Map<number, Shard>();

  constructor(client: RedisClient) {
    this.client = client;
    defineScripts(client);
  }

  get(number: number): Shard {
    let shard = this.#shards.get(number);
    if (!shard) {
      shard = new Shard(number, this.client);
      this.#shards.set(number, shard);
    }
    return shard;
  }

  /** These have an app. */
  async add(numbers: number[]): Promise<void> {
    if (numbers.length > 0) await this.client.sadd(DIRECTORY.shards, ...numbers.map(String));
  }

  /** Numbers of the shards that have an app, ascending. */
  async known(): Promise<number[]> {
    const members = await this.client.smembers(DIRECTORY.shards);
    return members.map(Number).sort((a, b) => a - b);
  }
}
