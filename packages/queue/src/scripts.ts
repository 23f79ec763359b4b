import { readFileSync } from 'node:fs';
import type { RedisClient } from './connection.ts';

/** What a script is prepended with: files in `lua/` that are no scripts themselves. */
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
const sources = Object.entries(SCRIPTS).map(
  ([name, before]) => [name, [...before, name].map(read).join('\n')] as const,
);

type Callable = Record<string, (prefix: string, ...args: ScriptArgument[]) => Promise<ScriptReply>>;

/** Makes the scripts known to a connection: sent once by text, from then on by hash. */
export function defineScripts(client: RedisClient): void {
  for (const [name, lua] of sources) client.defineCommand(`sealpost:${name}`, { numberOfKeys: 1, lua });
}

/** Runs a script on the shard with this key prefix. */
export function runScript(
  client: RedisClient,
  name: ScriptName,
  prefix: string,
  args: ScriptArgument[],
): Promise<ScriptReply> {
  return (client as unknown as Callable)[`sealpost:${name}Buffer`]!(prefix, ...args);
}

/** A reply's bulk string as text. */
export function text(reply: ScriptReply | undefined): string {
  return Buffer.isBuffer(reply) ? reply.toString() : String(reply ?? '');
}
