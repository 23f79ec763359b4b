import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { type Aad, type Keyring, KeyringError, SealpostError } from '@sealpost/core';
import type { Shard } from '@sealpost/queue';
import { type AppRecord, type EndpointRecord, openRecord, sealRecord } from '../config-records.ts';
import type { Tally } from './rotate-master-key.ts';

/** Records written in one script end with the one that reaches this many characters, so that none blocks Redis for long. */
const WRITTEN_AT_ONCE = 1024 * 1024;
/** How often a config is read again when others change it. */
const TRIES = 200;
/** Longest pause after somebody else was faster, ms. */
const MAX_PAUSE_MS = 200;

/**
 * Writes what an app's config holds under the previous key anew: its record, its endpoints and its API keys. Each write
 * raises the app's version, so no process can write back what it has read before.
 */
export async function rekeyConfig(
  shard: Shard,
  keyring: Keyring,
  app: string,
  number: number,
  tally: Tally,
): Promise<void> {
  const config = { shard, keyring, app, number, tally };
  for (let tries = 0; !(await rekeyAsRead(config)); tries++) {
    if (tries === TRIES)
      throw new Error(`The config of app ${app} cannot be written: others do so all the time.`);
    await delay(Math.random() * Math.min(2 ** tries, MAX_PAUSE_MS));
  }
}

type Config = { shard: Shard; keyring: Keyring; app: string; number: number; tally: Tally };

/** False: somebody else changed it meanwhile, and it must be read again. */
async function rekeyAsRead({ shard, keyring, app, number, tally }: Config): Promise<boolean> {
  const stored = await shard.client.hgetall(shard.key(`cfg:${number}`));
  if (stored.app === undefined) return true;
  let version = Number(stored.v);
  for (const rekeyed of stretches(rekeyedRecords(keyring, app, stored))) {
    const set = Object.fromEntries(rekeyed.map(({ field, text }) => [field, text]));
    const change = JSON.stringify({ set, del: [], doom: {} });
    version = Number(await shard.run('write-config', [number, version, change, randomUUID()]));
    if (version === 0) return false;
    tally.records += rekeyed.length;
    tally.damaged += rekeyed.filter(({ damaged }) => damaged).length;
  }
  return true;
}

type Rekeyed = { field: string; text: string; damaged: boolean };

/** Those that need it, as they are asked for. */
function* rekeyedRecords(
  keyring: Keyring,
  app: string,
  stored: Readonly<Record<string, string>>,
): Generator<Rekeyed> {
  for (const [field, text] of Object.entries(stored)) {
    if (!isRecord(field) || !mayNeedPreviousKey(keyring, text)) continue;
    const rekeyed = rekeyedRecord(keyring, app, field, text);
    if (rekeyed.text !== text) yield rekeyed;
  }
}

function* stretches(records: Iterable<Rekeyed>): Generator<Rekeyed[]> {
  let stretch: Rekeyed[] = [];
  let size = 0;
  for (const record of records) {
    stretch.push(record);
    size += record.text.length;
    if (size < WRITTEN_AT_ONCE) continue;
    yield stretch;
    stretch = [];
    size = 0;
  }
  if (stretch.length > 0) yield stretch;
}

function isRecord(field: string): boolean {
  return field === 'app' || field.startsWith('ep_') || field.startsWith('k:');
}

/**
 * The record, or a text encrypted in it: a process may have kept that when it wrote the record under the current key. A
 * description may look like it too; written anew, such a record is the same.
 */
function mayNeedPreviousKey({ previousKeyId: previous }: Keyring, text: string): boolean {
  return text.startsWith(`${previous}.`) || text.includes(`v1.${previous}.`);
}

function rekeyedRecord(keyring: Keyring, app: string, field: string, text: string): Rekeyed {
  let record: object;
  try {
    record = openRecord<object>(keyring, app, field, text);
  } catch (error) {
    const isDamaged = error instanceof KeyringError || error instanceof SealpostError;
    if (!isDamaged) throw error;
    // Not ours, and to stay so: under the current key's id it is refused for what it is, not for a key that is gone.
    return { field, text: `${keyring.keyId}${text.slice(keyring.keyId.length)}`, damaged: true };
  }
  if (field === 'app') record = rekeyedApp(keyring, record as AppRecord);
  if (field.startsWith('ep_')) record = rekeyedEndpoint(keyring, app, record as EndpointRecord);
  return { field, text: sealRecord(keyring, app, field, record), damaged: false };
}

function rekeyedApp(keyring: Keyring, record: AppRecord): AppRecord {
  if (record.signingSecretSealed === null) return record;
  const aad = { app: record.app, record: 'app', field: 'signing_secret' };
  return { ...record, signingSecretSealed: rekeyedText(keyring, record.signingSecretSealed, aad) };
}

function rekeyedEndpoint(keyring: Keyring, app: string, record: EndpointRecord): EndpointRecord {
  const place = (field: string) => ({ app, record: record.id, field });
  return {
    ...record,
    headersSealed: Object.fromEntries(
      Object.entries(record.headersSealed).map(([name, value]) => [
        name,
        rekeyedText(keyring, value, place(`header:${name}`)),
      ]),
    ),
    secrets: record.secrets.map((secret) => ({
      ...secret,
      valueSealed: rekeyedText(keyring, secret.valueSealed, place('secret')),
    })),
  };
}

function rekeyedText(keyring: Keyring, text: string, aad: Aad): string {
  return text.startsWith(`v1.${keyring.previousKeyId}.`) ? keyring.reencrypt(text, aad) : text;
}
