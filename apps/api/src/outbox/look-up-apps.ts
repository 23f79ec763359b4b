import { type Keyring, KeyringError, SealpostError } from '@sealpost/core';
import type { Shard } from '@sealpost/queue';
import { type AppRecord, appNameIn, openRecord } from '@sealpost/store';

/**
 * The records of apps by their owner numbers, without those that are deleted; for one that needs a master key which is
 * not known here, the error.
 * @param onInvalid told of a record that was not written by Sealpost; its app counts as deleted
 * @throws Redis' error
 */
export async function lookUpApps(
  shard: Shard,
  keyring: Keyring,
  numbers: Iterable<number>,
  onInvalid: (error: SealpostError) => void,
): Promise<Map<number, AppRecord | KeyringError>> {
  const apps = new Map<number, AppRecord | KeyringError>();
  await Promise.all(
    [...new Set(numbers)].map(async (number) => {
      const stored = await shard.client.hget(shard.key(`cfg:${number}`), 'app');
      if (stored === null) return;
      try {
        // The record names its app, and its MAC is made over that name: one of another app cannot pass.
        apps.set(number, openRecord<AppRecord>(keyring, appNameIn(stored), 'app', stored));
      } catch (error) {
        if (error instanceof KeyringError) apps.set(number, error);
        else if (error instanceof SealpostError) onInvalid(error);
        else throw error;
      }
    }),
  );
  return apps;
}
