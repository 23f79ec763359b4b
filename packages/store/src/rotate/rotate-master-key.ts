import type { Keyring } from '@sealpost/core';
import { DIRECTORY, type Shards } from '@sealpost/queue';
import { keepFormerApiKeys } from './former-api-keys.ts';
import { rekeyAnswer } from './rekey-answer.ts';
import { rekeyConfig } from './rekey-config.ts';
import { rekeyEvents } from './rekey-events.ts';

/** What has been written anew so far. */
export type Tally = {
  /** Records of apps, endpoints and API keys. */
  records: number;
  /** Events whose `webhook_secret` was encrypted. */
  events: number;
  deliveries: number;
  /** Answers kept for idempotency keys. */
  answers: number;
  /** What fails its check, and goes on failing it: somebody else has written it. */
  damaged: number;
};

/** Passes over everything before giving up: a pass that finds something may have been overtaken by a writer. */
const PASSES = 5;
/** Keys that SCAN looks at in one call. */
const SCAN_COUNT = 1000;
/** Buckets and answers that are worked on at once. */
const AT_ONCE = 8;

/**
 * Writes everything anew, under the current master key, that was written under the previous one, and then forgets the
 * previous one's id: from then on processes start without it, and none starts with it alone. For a running Sealpost all
 * of whose processes know both keys.
 *
 * May be interrupted anywhere and run again, also twice at once: each step looks at what is there, and replaces only what
 * still is as it was read.
 * @returns whether nothing is left under the previous key; not so when some process goes on writing under it
 */
export async function rotateMasterKey(
  shards: Shards,
  keyring: Keyring,
  tally: Tally,
): Promise<{ done: boolean }> {
  const { previousKeyId } = keyring;
  if (previousKeyId === undefined) throw new RangeError('there is no previous master key');
  for (let pass = 0; pass < PASSES; pass++) {
    const before = sum(tally);
    await keepFormerApiKeys(shards.client, keyring);
    // First: whoever has not got the current key cannot read the newest version, and so can publish nothing more.
    const apps = await rekeyConfigs(shards, keyring, tally);
    await rekeyRest(shards, keyring, apps, tally);
    if (sum(tally) > before) continue;
    await shards.client.srem(DIRECTORY.master, previousKeyId);
    return { done: true };
  }
  return { done: false };
}

/** App names by `shard:number`. */
type Apps = Map<string, string>;

async function rekeyConfigs(shards: Shards, keyring: Keyring, tally: Tally): Promise<Apps> {
  const apps: Apps = new Map();
  for (const [app, entry] of Object.entries(await shards.client.hgetall(DIRECTORY.apps)))
    apps.set(entry, app);
  // Apps that have moved, or are moving, have a config in more than one shard.
  for (const number of await shards.known()) {
    const shard = shards.get(number);
    for (const hash of ['came', 'left']) {
      const moved = await shard.client.hgetall(shard.key(hash));
      for (const [owner, app] of Object.entries(moved)) apps.set(`${number}:${owner}`, app);
    }
  }
  for (const [entry, app] of apps) {
    const [shard, number] = entry.split(':').map(Number);
    await rekeyConfig(shards.get(shard!), keyring, app, number!, tally);
  }
  return apps;
}

async function rekeyRest(shards: Shards, keyring: Keyring, apps: Apps, tally: Tally): Promise<void> {
  for await (const keys of keysOf(shards)) {
    for (let at = 0; at < keys.length; at += AT_ONCE) {
      await Promise.all(
        keys.slice(at, at + AT_ONCE).map((key) => rekeyKey(shards, keyring, apps, key, tally)),
      );
    }
  }
}

async function rekeyKey(
  shards: Shards,
  keyring: Keyring,
  apps: Apps,
  key: string,
  tally: Tally,
): Promise<void> {
  const [, events, eventBucket] = /^\{sp:(\d+)\}:e:(\d+)$/.exec(key) ?? [];
  if (eventBucket) return rekeyEvents(shards.get(Number(events)), keyring, Number(eventBucket), tally);
  const [, answers, owner, name] = /^\{sp:(\d+)\}:i:(\d+):([\w-]+)$/.exec(key) ?? [];
  // A deleted app's answers are asked for by nobody.
  const app = apps.get(`${answers}:${owner}`);
  if (!app || !name) return;
  await rekeyAnswer(shards.get(Number(answers)), keyring, { owner: Number(owner), name }, app, tally);
}

/** The keys of buckets of events and of kept answers. SCAN gives each that is there all the time at least once. */
async function* keysOf({ client }: Shards): AsyncGenerator<string[]> {
  for (const node of 'nodes' in client ? client.nodes('master') : [client]) {
    let cursor = '0';
    do {
      const [next, keys] = await node.scan(cursor, 'MATCH', '{sp:*}:[ei]:*', 'COUNT', SCAN_COUNT);
      yield keys;
      cursor = next;
    } while (cursor !== '0');
  }
}

function sum({ records, events, deliveries, answers }: Tally): number {
  return records + events + deliveries + answers;
}
