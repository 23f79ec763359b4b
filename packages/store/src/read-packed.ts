import { place, type Shard } from '@sealpost/queue';

/**
 * The records of a family (docs/decisions/001) with these numbers, in the same order: one command a bucket, all at once.
 * @param suffix what follows the number in the field's name, of the i-th record
 */
export async function readPacked(
  shard: Shard,
  family: 'd' | 'e' | 't',
  numbers: readonly number[],
  suffix: (i: number) => string = () => '',
): Promise<(Buffer | null)[]> {
  const byBucket = new Map<number, { fields: string[]; at: number[] }>();
  numbers.forEach((number, i) => {
    const { bucket, field } = place(number);
    const group = byBucket.get(bucket) ?? { fields: [], at: [] };
    group.fields.push(field + suffix(i));
    group.at.push(i);
    byBucket.set(bucket, group);
  });
  const values: (Buffer | null)[] = new Array(numbers.length).fill(null);
  await Promise.all(
    [...byBucket].map(async ([bucket, { fields, at }]) => {
      const found = await shard.client.hmgetBuffer(shard.key(`${family}:${bucket}`), ...fields);
      at.forEach((i, j) => {
        values[i] = found[j] ?? null;
      });
    }),
  );
  return values;
}
