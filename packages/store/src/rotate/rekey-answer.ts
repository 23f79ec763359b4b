import { type Keyring, KeyringError } from '@sealpost/core';
import type { Shard } from '@sealpost/queue';
import { answerAad, type StoredAnswer } from '../idempotency.ts';
import type { Tally } from './rotate-master-key.ts';

/** Replaces a text that is still the one that was read, and keeps the time at which it goes. */
const REPLACE = `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'KEEPTTL')
return 1`;

/** Encrypts the answer kept for an idempotency key anew. @param key `i:{owner}:{name}` without the shard's prefix */
export async function rekeyAnswer(
  shard: Shard,
  keyring: Keyring,
  key: { owner: number; name: string },
  app: string,
  tally: Tally,
): Promise<void> {
  const redisKey = shard.key(`i:${key.owner}:${key.name}`);
  const stored = await shard.client.get(redisKey);
  if (stored === null || !stored.includes(`"v1.${keyring.previousKeyId}.`)) return;
  const entry = JSON.parse(stored) as StoredAnswer;
  try {
    const answer = keyring.reencrypt(entry.answer!, answerAad(app, key.owner, key.name));
    const is = JSON.stringify({ ...entry, answer });
    const changed = Number(await shard.client.eval(REPLACE, 1, redisKey, stored, is));
    tally.answers += changed; // not in one: others count while this one waits
  } catch (error) {
    if (!(error instanceof KeyringError)) throw error;
    // Nobody can be given it; the request may be sent again.
    await shard.client.del(redisKey);
    tally.damaged += 1;
  }
}
