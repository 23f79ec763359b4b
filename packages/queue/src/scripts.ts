import { readFileSync } from 'node:fs';
import { REASONS } from '@sealpost/core';
import { assembleScript } from './assemble-script.ts';
import type { RedisClient } from './connection.ts';

/** What a script may use: files in `lua/` that are no scripts themselves. */
const RECORDS = ['common'];
const LANES = ['common', 'lane'];
const MOVES = ['common', 'lane', 'moves'];

/** One Lua file a script in `lua/`; each says its arguments, result and invariant. */
const SCRIPTS = {
  accept: MOVES,
  claim: MOVES,
  detach: LANES,
  settle: MOVES,
  pump: MOVES,
  quiet: LANES,
  'begin-replay': RECORDS,
  replay: MOVES,
  retry: MOVES,
  cancel: MOVES,
  reconcile: MOVES,
  'cancel-owner': MOVES,
  expire: RECORDS,
  'drop-completed': RECORDS,
  look: LANES,
  recount: RECORDS,
  'write-config': LANES,
  'let-go': LANES,
  'watch-idle': RECORDS,
  rekey: RECORDS,
};
export type ScriptName = keyof typeof SCRIPTS;

export type ScriptArgument = string | number | Buffer;
/** Bulk strings come as buffers. */
export type ScriptReply = Buffer | number | null | ScriptReply[];

const read = (name: string) => readFileSync(new URL(`./lua/${name}.lua`, import.meta.url), 'utf8');
/** What scripts call the numbers of reasons, as `REASON_RATE_LIMITED`. */
const REASON_NUMBERS = REASONS.map((reason, number): [string, string] => [
  `REASON_${reason.toUpperCase()}`,
  String(number),
]);

/** Their whole texts, by name. */
export const SOURCES: readonly (readonly [name: string, lua: string])[] = Object.entries(SCRIPTS).map(
  ([name, shared]) => [name, assembleScript(shared.map(read), read(name), REASON_NUMBERS)] as const,
);

type Callable = Record<
  string,
  (prefix: string, guard: string, ...args: ScriptArgument[]) => Promise<ScriptReply>
>;

/**
 * Makes the scripts known to a connection: sent once by text, from then on by hash.
 *
 * They are given two keys, of which there is neither, and make all others from the first. A Redis Cluster looks at no more
 * than the keys that are given, and while a slot moves from one master to another it would let a script with one of them
 * run on the half of the shard that lies there, or break off in the middle. What asks for several keys it sends away
 * (TRYAGAIN) unless they all are there: these never are, so a shard stands still while it moves, and is never torn.
 */
export function defineScripts(client: RedisClient): void {
  for (const [name, lua] of SOURCES) client.defineCommand(`sealpost:${name}`, { numberOfKeys: 2, lua });
}

/** Runs a script on the shard with this key prefix. */
export function runScript(
  client: RedisClient,
  name: ScriptName,
  keys: [prefix: string, guard: string],
  args: ScriptArgument[],
): Promise<ScriptReply> {
  return (client as unknown as Callable)[`sealpost:${name}Buffer`]!(...keys, ...args);
}

/** A reply's bulk string as text. */
export function text(reply: ScriptReply | undefined): string {
  return Buffer.isBuffer(reply) ? reply.toString() : String(reply ?? '');
}
