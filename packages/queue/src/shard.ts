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

/** One shard, seen over one connection: its keys, its scripts and its queue. */
export class Shard {
  readonly number: number;
  readonly prefix: string;
  readonly client: RedisClient;
  #queue: DeliveryQueue | undefined;

  constructor(number: number, client: RedisClient) {
    this.number = number;
    this.prefix = shardPrefix(number);
    this.client = client;
  }

  key(name: string): string {
    return this.prefix + name;
  }

  run(name: ScriptName, args: ScriptArgument[]): Promise<ScriptReply> {
    return runScript(this.client, name, this.prefix, args);
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

  /** Numbers of the shards that have an app, ascending. */
  async known(): Promise<number[]> {
    const members = await this.client.smembers(DIRECTORY.shards);
    return members.map(Number).sort((a, b) => a - b);
  }
}
