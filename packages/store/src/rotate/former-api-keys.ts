import { type Keyring, KeyringError } from '@sealpost/core';
import { DIRECTORY, type RedisClient } from '@sealpost/queue';

/**
 * Lets API keys count that were hashed under a master key which is gone: rotation has left what hashed them, encrypted
 * (docs/decisions/006-master-key-rotation.md). For the start of a process that authenticates. Resolves to warnings for the log.
 */
export async function adoptFormerApiKeys(client: RedisClient, keyring: Keyring): Promise<string[]> {
  const warnings: string[] = [];
  for (const [keyId, sealed] of Object.entries(await client.hgetall(DIRECTORY.former))) {
    try {
      keyring.adoptFormerApiKeys(keyId, sealed);
    } catch (error) {
      if (!(error instanceof KeyringError)) throw error;
      // Who wrote it can destroy keys, as everything in Redis, but must not keep the API from starting.
      warnings.push(`API keys made under the master key ${keyId} do not count: ${error.message}`);
    }
  }
  return warnings;
}

/** Stores under the current key what hashed API keys under all others; to be done before the previous one is given up. */
export async function keepFormerApiKeys(client: RedisClient, keyring: Keyring): Promise<void> {
  for (const [keyId, sealed] of Object.entries(await client.hgetall(DIRECTORY.former))) {
    try {
      keyring.adoptFormerApiKeys(keyId, sealed);
    } catch (error) {
      if (!(error instanceof KeyringError)) throw error; // what cannot be read stays as it is: of use to nobody
    }
  }
  const former = keyring.sealFormerApiKeys();
  if (Object.keys(former).length > 0) await client.hset(DIRECTORY.former, former);
}
