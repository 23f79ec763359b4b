import { endpointNumber, formatId, SealpostError } from '@sealpost/core';
import type { AppConfig, AppPlace } from '../app-config.ts';
import type { EndpointRecord } from '../config-records.ts';
import type { ConfigChange, Configs } from '../configs.ts';
import { samePlace } from './move-fields.ts';

/**
 * What is left of an app in a shard that it has moved away from is delivered there, with the app's settings and to its
 * endpoints: so what is changed at home is changed there too, before the change is answered.
 */

type Places = Pick<Configs, 'readAt' | 'writeAt'>;

/** How often one is written again while others do so. */
const TRIES = 20;

/**
 * Brings all former places to the home's config.
 * @param reopen owner numbers, at home, of endpoints whose lanes are closed no more
 * @throws SealpostError config_conflict
 */
export async function followHome(configs: Places, home: AppConfig, reopen: number[] = []): Promise<void> {
  const ids = reopen.map((number) => formatId('ep', home.shard, number));
  for (const place of home.moves.former ?? []) await follow(configs, home, place, ids);
}

/** True: there was something to do. */
export async function follow(
  configs: Places,
  home: AppConfig,
  place: AppPlace,
  reopen: readonly string[] = [],
): Promise<boolean> {
  for (let i = 0; i < TRIES; i++) {
    const present = await configs.readAt(home.app, place);
    // Deleted, or ahead of us: another process has seen a newer config of the home.
    if (!present) return false;
    const { movedTo, next } = present.moves;
    if (!movedTo) {
      const isPart = next && home.parts.some((part) => samePlace(part, next));
      if (!isPart) return false;
      await configs.writeAt(present, leaving(next, home.version));
      continue;
    }
    const behind = (present.moves.follows ?? 0) < home.version;
    if (!behind && reopen.length === 0) return false;
    const reopened = reopen.filter((id) => present.endpoints.has(id));
    const change: ConfigChange = {
      ...(behind &&
        difference(
          present,
          home.at(place, (id) => present.endpoints.has(id)),
        )),
      reopen: reopened.map((id) => endpointNumber(place.shard, id)!),
      moves: { follows: Math.max(home.version, present.moves.follows ?? 0) },
    };
    if (await configs.writeAt(present, change)) return true;
  }
  throw new SealpostError('config_conflict', `App ${home.app} is being changed by many at once; try again.`);
}

/**
 * The step after which an app is elsewhere. Taken again where it is seen to be lost: a replica that took over for a shard without
 * it would go on accepting for whoever has not heard of the move.
 * @param at ms epoch, or later
 */
export function leaving(next: AppPlace, at: number): ConfigChange {
  return { moves: { movedTo: next, next: undefined, leftAt: at, follows: 0 }, leaves: true };
}

/** Deletes an app in all shards but the one in which it is at home. */
export async function deleteElsewhere(configs: Places, home: AppConfig): Promise<void> {
  const { former = [], next } = home.moves;
  for (const place of next ? [...former, next] : former) await deleteAt(configs, home.app, place);
}

/** Deletes what one shard has of an app. */
export async function deleteAt(configs: Places, app: string, place: AppPlace): Promise<void> {
  for (let i = 0; i < TRIES; i++) {
    const present = await configs.readAt(app, place);
    if (!present || (await configs.writeAt(present, { deleteApp: true }))) return;
  }
  throw new SealpostError('config_conflict', `App ${app} is being changed by many at once; try again.`);
}

/** What makes one config of an app that of another, under the same numbers. */
export function difference(present: AppConfig, wanted: AppConfig): ConfigChange {
  const endpoints: Record<string, EndpointRecord | null> = {};
  for (const id of present.endpoints.keys()) if (!wanted.endpoints.has(id)) endpoints[id] = null;
  for (const [id, endpoint] of wanted.endpoints) {
    const before = present.endpoints.get(id);
    if (!before || !sameRecord(before, endpoint)) endpoints[id] = endpoint;
  }
  const keys: NonNullable<ConfigChange['keys']> = {};
  for (const hash of present.keys.keys()) if (!wanted.keys.has(hash)) keys[hash] = null;
  for (const [hash, key] of wanted.keys) if (!present.keys.has(hash)) keys[hash] = key;
  const record = sameRecord(present.record, wanted.record) ? {} : { record: wanted.record };
  return { ...record, endpoints, keys };
}

/** Both were read from JSON, or come from one that was: their fields have the same order. */
function sameRecord(a: object, b: object): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
