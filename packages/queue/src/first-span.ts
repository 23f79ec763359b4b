import type { AttemptRecord } from './attempt-record.ts';
import { place } from './keys.ts';
import type { Shard } from './shard.ts';

/** Id of the span of a delivery's first attempt; undefined where that was not traced. */
export async function readFirstSpan(shard: Shard, number: number): Promise<string | undefined> {
  const { bucket, field } = place(number);
  const text = await shard.client.hget(shard.key(`t:${bucket}`), `${field}:1`);
  try {
    const { sp } = JSON.parse(text ?? '{}') as Partial<AttemptRecord>;
    return typeof sp === 'string' && /^[0-9a-f]{16}$/.test(sp) ? sp : undefined;
  } catch {
    return undefined; // a foreign write: only the link is lost
  }
}
