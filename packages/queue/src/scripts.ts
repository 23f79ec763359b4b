import { readFileSync } from 'node:fs';
import type { RedisClient } from './connection.ts';

/** One Lua file a script in `lua/`; each says its arguments, result and invariant. */
const SCRIPTS = [
  'accept',
  'claim',
  'settle',
  'retry',
  'cancel',
  'reconcile',
  'cancel-owner',
  'expire',
  'write-config',
] as const;
export type ScriptName = (typeof SCRIPTS)[number];

export type ScriptArgument = string | number | Buffer;
/** Bulk strings come as buffers. */
export type ScriptReply = Buffer | number | null | ScriptReply[];

const read = (name: string) => readFileSync(new URL(`./lua/${name}.lua`, import.meta.url), 'utf8');
const common = read('common');
const sources = new Map(SCRIPTS.map((name) => [name, `${common}\n${read(name)}`]));

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
