import type { RedisClient } from '@sealpost/queue';

const FORGET =
  "if redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] then return redis.call('HDEL', KEYS[1], ARGV[1]) end return 0";

/** Removes a field of a hash that has this value, and no other value that took its place meanwhile. */
export async function forgetEntry(
  client: RedisClient,
  key: string,
  field: string,
  value: string,
): Promise<void> {
  await client.eval(FORGET, 1, key, field, value);
}

const REPLACE =
  "if redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] then return redis.call('HSET', KEYS[1], ARGV[1], ARGV[3]) end return 0";

/** Gives a field of a hash that has this value another one, unless it has got one meanwhile. */
export async function replaceEntry(
  client: RedisClient,
  key: string,
  field: string,
  was: string,
  is: string,
): Promise<void> {
  await client.eval(REPLACE, 1, key, field, was, is);
}
