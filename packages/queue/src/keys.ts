/**
 * Names of all Redis keys. Everything of one shard begins with `{sp:N}:`, so that it lies in one Redis Cluster
 * slot and one script can touch it; only the directory (`sp:…`) stands outside.
 *
 * | key | type | holds |
 * | --- | --- | --- |
 * | `sp:apps` | hash | app name → `shard:number` |
 * | `sp:shards` | set | shards that have ever got an app |
 * | `sp:keys` | hash | HMAC of an API key → app name (a hint; the app's config is the truth) |
 * | `sp:master` | set | ids of the master keys with which something here was written |
 * | `sp:former` | hash | id of a master key that is gone → what hashed API keys under it, encrypted |
 * | `sp:probe`, `sp:probe:{number}` | string | written to see whether Redis takes writes, on a Cluster at every master; 60 s |
 * | `n` / `own` | counter | last number of an event or delivery / of an app or endpoint ("owner") or replay |
 * | `cfg:{app}` | hash | the app's version `v`, the last `change`, its record `app`, its endpoints `ep_…`, its keys `k:…`; of one that moves: `former` places, the `next`, where `to` and when it `left`, the home's version that it `follows` |
 * | `d:{bucket}` | hash | delivery records by number within the bucket; `o`: how many are open |
 * | `t:{bucket}` | hash | attempts, field `{number}:{attempt}` |
 * | `e:{bucket}` | hash | event records; `{number}s`: sequence; `o`: open deliveries of these events |
 * | `b:{bucket}` | hash | event bodies |
 * | `x:{owner}` / `c:{owner}` | list / hash | deliveries of an owner, newest first / their count by status |
 * | `u:{app}` | hash | an event's own id → its number |
 * | `k:{app}:{correlation}` | hash | `seq`, how many of its events are `kept`, and deliveries by status |
 * | `kx:{app}:{correlation}` | list | deliveries of this correlation, newest first |
 * | `lane:{lane}` | hash | settings and state of a lane (lua/lane.lua), named by endpoint, or by app and origin; none when idle |
 * | `q:` `r:` `y:{lane}` | list | what waits in a lane: new, returned, replayed |
 * | `s:{lane}` | zset | what waits there for its `deliver_at` |
 * | `tok:{lane}` | zset | its last attempts, when it has a rate limit, by when they reached the receiver at the latest |
 * | `i:{app}:{hash}` | string | an idempotency key: the body's hash, then the encrypted answer; 24 h |
 * | `w:{event}` | string | channel that is told of first attempts; 60 s |
 * | `probe`, `barrier` | string | written to see whether writes are taken, or have reached disk or replica |
 * | `ring`, `fresh` | list | lanes that may admit, in turn; those that have only just got something first |
 * | `wake` | zset | lanes that time alone holds, by the time at which they are to be looked at |
 * | `flow` | hash | deliveries admitted and not yet claimed `in`, `slots` of live workers, `age` a delivery may be held, last outbox number `ob`, how many are open `pe` (pending) `re` (retrying), first bucket with one `fb`, that they were counted anew once `rc` |
 * | `closed` | set | lanes that are closed |
 * | `recount:turn` | string | somebody has counted the open ones anew in this hour |
 * | `hb` | hash | worker → its slots and the time after which it counts as dead |
 * | `ahead` | string | by how many ms a worker's clock is ahead of Redis', where one is; 10 s |
 * | `outbox` | list | what operators are to be told, as JSON |
 * | `outbox:lost` | counter | what was not put there since it was full; until it is logged |
 * | `watch` | zset | deliveries that have a job, by the time at which they should have moved |
 * | `replays` | hash | endpoint → its replay that runs |
 * | `rpl:{replay}` | hash | a replay: what it looks for, how far it has come, what became of it; kept like a record |
 * | `ri:{request}` | string | a request for a replay, by an HMAC of its idempotency key → the replay; 24 h |
 * | `idle` | hash | app → its name, of those in which endpoints are disabled when they are idle |
 * | `idle:{app}` | hash | endpoint → ms epoch up to which it is known to have had deliveries, of each that is watched |
 * | `idle:turn` | string | somebody looks after idle endpoints in this hour |
 * | `idle:known` | string | the last such look is so recent that no delivery since then has gone unseen |
 * | `came` / `left` | hash | app → its name, of those that have come from another shard and have lanes `held`, or have left for one |
 * | `held:{app}` | set | endpoints of an app that has come, whose lanes wait for those of the shard that it has left |
 * | `doomed` | hash | owners whose open deliveries are being cancelled → position reached |
 * | `expiry` | zset | buckets with nothing open, by the time at which they are dropped |
 */
export const DIRECTORY = {
  apps: 'sp:apps',
  shards: 'sp:shards',
  keys: 'sp:keys',
  master: 'sp:master',
  former: 'sp:former',
} as const;

/** Entries of one packed bucket; a script knows the same number. */
export const BUCKET_SIZE = 128;

export function shardPrefix(shard: number): string {
  return `{sp:${shard}}:`;
}

/** The prefix that BullMQ puts before its own keys: without the colon, which it adds. */
export function queuePrefix(shard: number): string {
  return `{sp:${shard}}`;
}

export function queueName(shard: number): string {
  return `deliveries-${shard}`;
}

/** Where a numbered record lies: its bucket and its field there. */
export function place(number: number): { bucket: number; field: string } {
  return { bucket: Math.floor(number / BUCKET_SIZE), field: String(number % BUCKET_SIZE) };
}
