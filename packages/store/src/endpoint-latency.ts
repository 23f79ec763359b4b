import { type AttemptRecord, decodeDelivery, type Shard } from '@sealpost/queue';
import { readPacked } from './read-packed.ts';

/** Deliveries whose latest attempt is looked at. */
const SAMPLE = 500;
/** Entries of the index that are looked at for them: what waits, or was skipped, has no attempt. */
const LOOKED_AT = 2000;

/**
 * How long the latest attempt of each of an endpoint's newest deliveries took, ms, in no order.
 * @param endpoint owner number
 */
export async function latestDurations(shard: Shard, endpoint: number): Promise<number[]> {
  const index = shard.key(`x:${endpoint}`);
  const attempted: { number: number; attempts: number }[] = [];
  for (let from = 0; from < LOOKED_AT && attempted.length < SAMPLE; from += SAMPLE) {
    const numbers = (await shard.client.lrange(index, from, from + SAMPLE - 1)).map(Number);
    const records = await readPacked(shard, 'd', numbers);
    numbers.forEach((number, i) => {
      const attempts = (records[i] && decodeDelivery(records[i])?.attempts) || 0;
      if (attempts > 0 && attempted.length < SAMPLE) attempted.push({ number, attempts });
    });
    if (numbers.length < SAMPLE) break;
  }
  const texts = await readPacked(
    shard,
    't',
    attempted.map(({ number }) => number),
    (i) => `:${attempted[i]!.attempts}`,
  );
  // An attempt whose worker died is counted, but has no record.
  return texts.flatMap((text) => (text ? [(JSON.parse(text.toString()) as AttemptRecord).d] : []));
}
