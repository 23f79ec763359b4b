import type { Shard } from './shard.ts';

/** Key id and seal of a delivery, as its record holds them: 24 bytes. */
export type KeyedSeal = Buffer;

/** A delivery's seal as it was read, and the one that takes its place. */
export type Reseal = { number: number; was: KeyedSeal; is: KeyedSeal };

/** An event's record as it was read, and the text that takes its place. */
export type RewrittenEvent = { number: number; was: string; is: string };

/** Where key id and seal stand in a delivery's record (delivery-record.ts). */
const SEAL_START = 39;

export function keyedSealIn(record: Buffer): KeyedSeal {
  return record.subarray(SEAL_START);
}

export function keyedSeal(keyId: string, seal: Buffer): KeyedSeal {
  return Buffer.concat([Buffer.from(keyId, 'hex'), seal]);
}

/** REKEY (lua/rekey.lua). Returns how many deliveries were changed; what is no longer as it was read is left alone. */
export async function rekey(
  shard: Shard,
  reseals: readonly Reseal[],
  event?: RewrittenEvent,
): Promise<number> {
  const rewritten = event ? [event.number, event.was, event.is] : ['', '', ''];
  const seals = reseals.flatMap(({ number, was, is }) => [number, was, is]);
  return Number(await shard.run('rekey', [...rewritten, ...seals]));
}
