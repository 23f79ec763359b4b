import { Keyring, masterKey, readSettings, redisUrl } from '@sealpost/core';
import {
  checkServer,
  connect,
  DIRECTORY,
  liveWorkers,
  type RedisClient,
  Shards,
  whenReady,
} from '@sealpost/queue';
import { z } from 'zod';
import { rotateMasterKey, type Tally } from './rotate-master-key.ts';

/** How long to wait for Redis, ms. */
const CONNECT_MS = 15_000;
const PROGRESS_MS = 1000;

const schema = z.object({
  REDIS_URL: redisUrl,
  SEALPOST_MASTER_KEY: masterKey,
  SEALPOST_MASTER_KEY_PREVIOUS: masterKey,
});

/** `npm run rotate-master-key`: docs/security.md says when. Ends with 0 when the previous key can be given up. */
async function main(): Promise<void> {
  const settings = readSettings(schema, process.env);
  const keyring = Keyring.fromMasterKeys(settings.SEALPOST_MASTER_KEY, settings.SEALPOST_MASTER_KEY_PREVIOUS);
  const { keyId, previousKeyId } = keyring;
  if (previousKeyId === undefined) {
    throw new Error('SEALPOST_MASTER_KEY and SEALPOST_MASTER_KEY_PREVIOUS are the same key.');
  }
  const client = connect(settings.REDIS_URL, 'background', () => {});
  await whenReady(client, CONNECT_MS);
  await assertInUse(client, keyId);
  await checkServer(client, { keyring });
  const tally: Tally = { records: 0, events: 0, deliveries: 0, answers: 0, damaged: 0 };
  say(`From the master key ${previousKeyId} to ${keyId}. It may be interrupted, and run again.`);
  const progress = setInterval(() => say(`  so far ${describe(tally)}`), PROGRESS_MS);
  const { done } = await rotateMasterKey(new Shards(client), keyring, tally).finally(() =>
    clearInterval(progress),
  );
  client.disconnect();
  say(`Written anew: ${describe(tally)}.`);
  if (tally.damaged > 0)
    say(`${tally.damaged} were not written by Sealpost as they stand; they go on being refused.`);
  if (!done) {
    throw new Error(
      `Some process goes on writing under ${previousKeyId}. Restart every API and worker with the new key as ` +
        'SEALPOST_MASTER_KEY, then run this again.',
    );
  }
  say(
    `Nothing is left under ${previousKeyId}. Restart every process without SEALPOST_MASTER_KEY_PREVIOUS; ` +
      'none starts with the old key alone any more.',
  );
}

/** Whatever starts with a key says so in Redis. @throws Error: the workers that run could read nothing of what is written anew */
async function assertInUse(client: RedisClient, keyId: string): Promise<void> {
  if ((await client.sismember(DIRECTORY.master, keyId)) === 1) return;
  const shards = new Shards(client);
  for (const number of await shards.known()) {
    if ((await liveWorkers(shards.get(number))).length === 0) continue;
    throw new Error(
      `No process has been started with the key ${keyId} as SEALPOST_MASTER_KEY, and workers run: they could read nothing ` +
        'any more. First restart every API and worker with both keys (docs/security.md).',
    );
  }
}

function describe({ records, deliveries, events, answers }: Tally): string {
  return (
    `${records} records of apps, endpoints and keys, ${deliveries} deliveries, ` +
    `${events} secrets of events, ${answers} kept answers`
  );
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

main().catch((error: unknown) => {
  const message = error instanceof Error ? error.message : String(error);
  process.stderr.write(`The master key is not rotated. ${message}\n`);
  process.exit(1);
});
