import type { Shard } from './shard.ts';

/**
 * DETACH (lua/detach.lua). Answers whether the attempt's job may be put off until the attempt must have ended.
 * @param how `detach`: its slot is free; `stuck`: and its lane keeps to two until it ends; `release`: another worker may
 * attempt it again
 * @param endsWithinMs by then the attempt has ended, whatever happens
 */
export async function detach(
  shard: Shard,
  number: number,
  generation: number,
  attempt: number,
  how: 'detach' | 'stuck' | 'release',
  endsWithinMs: number,
): Promise<boolean> {
  return (await shard.run('detach', [number, generation, how, Math.ceil(endsWithinMs), attempt])) === 1;
}
