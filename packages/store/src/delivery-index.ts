import { SealpostError } from '@sealpost/core';
import type { Shard } from '@sealpost/queue';

/** Entries of an index from `from` on. Counted from its end, so that those that came since `length` shift nothing. */
export async function slice(
  shard: Shard,
  index: string,
  length: number,
  from: number,
  count: number,
): Promise<number[]> {
  const to = Math.min(from + count, length);
  if (from >= to) return [];
  return (await shard.client.lrange(index, from - length, to - length - 1)).map(Number);
}

/**
 * A place in an index that stays right while new entries come in front: the last entry seen, its distance from the
 * end, and the index, since it means nothing in another one.
 */
export function cursorAt(
  index: string,
  number: number | undefined,
  length: number,
  end: number,
): string | undefined {
  if (number === undefined || end >= length) return undefined;
  return Buffer.from(`${number}:${length - end}:${index}`).toString('base64url');
}

/** The place before the first entry of an index. */
export function cursorAtStart(index: string): string {
  return Buffer.from(`0:0:${index}`).toString('base64url');
}

/** The index that a cursor is for; undefined: it is none. */
export function indexOfCursor(cursor: string): string | undefined {
  return /^\d{1,16}:\d{1,16}:(.*)$/s.exec(Buffer.from(cursor, 'base64url').toString())?.[1];
}

/** Index of the first entry behind the cursor. @throws SealpostError invalid_cursor */
export async function position(shard: Shard, index: string, length: number, cursor: string): Promise<number> {
  const [, number, left, of] =
    /^(\d{1,16}):(\d{1,16}):(.*)$/s.exec(Buffer.from(cursor, 'base64url').toString()) ?? [];
  if (of !== index)
    throw new SealpostError('invalid_cursor', 'The cursor is not one that this list gave out.');
  if (number === '0') return 0;
  const guess = length - Number(left);
  if (guess > 0 && (await shard.client.lindex(index, guess - 1)) === number) return guess;
  // Old entries were dropped meanwhile: look for the entry itself.
  const found = await shard.client.lpos(index, number!);
  return found === null ? length : found + 1;
}
