import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { formatId, type Keyring, SealpostError } from '@sealpost/core';
import { type Barrier, DIRECTORY, type Shards } from '@sealpost/queue';
import { LRUCache } from 'lru-cache';
import { AppConfig, type AppPlace, type Moves } from './app-config.ts';
import { assertHeld } from './assert-held.ts';
import {
  type AppRecord,
  type EndpointRecord,
  type KeyRecord,
  openRecord,
  sealRecord,
} from './config-records.ts';
import { forgetEntry, replaceEntry } from './forget-entry.ts';
import { beginsToWatch } from './idle-policy.ts';
import { laneChanges } from './lane-settings.ts';
import { deleteElsewhere, followHome } from './move/follow-home.ts';
import { formatPlace, parsePlace, readMoves, samePlace, writeMoves } from './move/move-fields.ts';

/** Apps whose config a process keeps in memory. */
const CACHED_APPS = 5000;
/** How often a change is tried again when other processes change the same app. */
const TRIES = 20;
/** Longest pause before a change is tried again, ms. */
const MAX_PAUSE_MS = 50;

/** What a change does. What it means for the lanes follows from the records before and after it. */
export type ConfigChange = {
  record?: AppRecord;
  /** null deletes. */
  endpoints?: Record<string, EndpointRecord | null>;
  keys?: Record<string, KeyRecord | null>;
  /** Owner numbers of endpoints whose lanes close no more, beside those that follow from the records. */
  reopen?: number[];
  deleteApp?: true;
  /** What changes of its moves. */
  moves?: Moves;
  /** Owner numbers of endpoints whose lanes wait for those in the shard that the app comes from. */
  hold?: number[];
  /** The app is about to come to this shard; has left it. */
  comes?: true;
  /** The version is to be higher than this one. */
  above?: number;
  leaves?: true;
};

export type ConfigsOptions = {
  shards: Shards;
  keyring: Keyring;
  shardsForNewApps: number;
  /** Where the directory may lie at another server than an app's shard. */
  barrier?: Barrier | undefined;
  now?: () => number;
};

type Place = { app: string; shard: number; number: number };

/** Moves from one place to the next that a process follows. */
const MOST_MOVES = 100;

/**
 * The configs of all apps. Redis holds the truth; a process keeps what it has read, with its version, and ACCEPT and
 * CLAIM tell it when that is no longer the newest. Every change raises the version in the same step.
 */
export class Configs {
  readonly #shards: Shards;
  readonly #keyring: Keyring;
  readonly #shardsForNew: number;
  readonly #barrier: Barrier | undefined;
  readonly #now: () => number;
  readonly #cache = new LRUCache<string, AppConfig>({ max: CACHED_APPS });
  /** The last change of each app that this process is making. */
  readonly #turns = new Map<string, Promise<unknown>>();

  constructor(options: ConfigsOptions) {
    this.#shards = options.shards;
    this.#keyring = options.keyring;
    this.#shardsForNew = options.shardsForNewApps;
    this.#barrier = options.barrier;
    this.#now = options.now ?? Date.now;
  }

  /** The config as this process knows it: for publishing, where ACCEPT notices if it is old. */
  async known(app: string): Promise<AppConfig | undefined> {
    return this.#cache.get(app) ?? this.load(app);
  }

  /** The newest config. @throws SealpostError app_not_found */
  async newest(app: string): Promise<AppConfig> {
    const cached = this.#cache.get(app);
    if (cached) {
      const key = this.#shards.get(cached.shard).key(`cfg:${cached.number}`);
      const [version, gone] = await this.#shards.client.hmget(key, 'v', 'gone');
      if (gone === null && Number(version) === cached.version) return cached;
    }
    const config = await this.load(app);
    if (!config) throw appNotFound(app);
    return config;
  }

  /** Reads the whole config. Undefined: there is no such app. */
  async load(app: string): Promise<AppConfig | undefined> {
    const config = await this.#home(app);
    if (config) this.#cache.set(app, config);
    else this.#cache.delete(app);
    return config;
  }

  /**
   * Where the app is, if it is not where the directory says: the place that it has left tells where it has gone, in the step
   * in which it leaves. The directory is mended.
   */
  async #home(app: string): Promise<AppConfig | undefined> {
    const listed = await this.#find(app);
    let config = listed && (await this.readAt(app, listed));
    for (let moves = 0; config?.moves.movedTo && moves < MOST_MOVES; moves++) {
      config = await this.readAt(app, config.moves.movedTo);
      if (config) config = await this.#settle(config);
    }
    if (listed && config && !samePlace(listed, config)) {
      const entry = [formatPlace(listed), formatPlace(config)] as const;
      await replaceEntry(this.#shards.client, DIRECTORY.apps, app, ...entry);
    }
    return config;
  }

  /**
   * Before anybody changes or uses the config of a new home, it is made one: what has prepared it, and does not know yet that
   * it has become one, can change it no more.
   */
  async #settle(home: AppConfig): Promise<AppConfig | undefined> {
    let config: AppConfig | undefined = home;
    while (config?.moves.follows !== undefined && !config.moves.movedTo) {
      config =
        (await this.writeAt(config, { moves: { follows: undefined } })) ??
        (await this.readAt(home.app, config));
    }
    return config;
  }

  /**
   * Changes an app's config. `decide` gets the newest one and is asked again when somebody else was faster; what it
   * throws ends the change. @throws SealpostError app_not_found, config_conflict
   */
  change(app: string, decide: (config: AppConfig) => ConfigChange | undefined): Promise<AppConfig> {
    return this.#untilWritten(app, async () => {
      const config = await this.newest(app);
      const change = decide(config);
      return change ? this.#writeAll(config, change) : config;
    });
  }

  /** Creates the app, or changes its record. `decide` gets the present record and config, if there is one. */
  put(
    app: string,
    decide: (present: AppRecord | undefined, config: AppConfig | undefined) => AppRecord,
  ): Promise<[AppConfig, 'created' | 'changed']> {
    return this.#untilWritten(app, async () => {
      const present = await this.load(app);
      if (present) {
        const changed = await this.#writeAll(present, { record: decide(present.record, present) });
        return changed && [changed, 'changed'];
      }
      const record = decide(undefined, undefined);
      const place = await this.#register(app);
      const empty = new AppConfig({ ...place, version: 0 }, record, new Map(), new Map());
      const created = await this.#write(empty, { record });
      return created && [created, 'created'];
    });
  }

  /**
   * Waits until the directory's entries of an app are held as durably as events. They may lie at another master than the
   * app's shard: without them, events that outlive that master's death would be nobody's, and no worker would look for them.
   * @throws SealpostError not_durable: the app is there, and should be put again
   */
  async confirm({ app, shard, number }: AppConfig): Promise<void> {
    if (!this.#barrier) return;
    assertHeld(await this.#barrier.confirmEntry(DIRECTORY.shards, String(shard)));
    assertHeld(await this.#barrier.confirmEntry(DIRECTORY.apps, app, `${shard}:${number}`));
  }

  /**
   * Tries until nobody else was faster. Changes of one app from this process wait for each other, or all but one of
   * many at once would fail at every try; so only other processes are left to collide with.
   */
  async #untilWritten<T>(app: string, attempt: () => Promise<T | undefined>): Promise<T> {
    const before = this.#turns.get(app);
    const turn = (async () => {
      await before?.catch(() => {});
      for (let i = 0; i < TRIES; i++) {
        const result = await attempt();
        if (result !== undefined) return result;
        await delay(Math.random() * Math.min(2 ** i, MAX_PAUSE_MS));
      }
      throw new SealpostError('config_conflict', `App ${app} is being changed by many at once; try again.`);
    })();
    this.#turns.set(app, turn);
    try {
      return await turn;
    } finally {
      if (this.#turns.get(app) === turn) this.#turns.delete(app);
    }
  }

  /** A number for a new endpoint of this app, and the id that goes with it. */
  async newEndpoint(config: AppConfig): Promise<{ id: string; number: number }> {
    const shard = this.#shards.get(config.shard);
    const number = await this.#shards.client.incr(shard.key('own'));
    return { id: formatId('ep', config.shard, number), number };
  }

  /** Takes a deleted app out of the directory, unless it has been made anew. */
  async unregister(config: AppConfig): Promise<void> {
    await this.#forget(config);
    this.#cache.delete(config.app);
  }

  /** Removes this entry of the directory and no other that took its place meanwhile. */
  async #forget(place: Place): Promise<void> {
    await forgetEntry(this.#shards.client, DIRECTORY.apps, place.app, formatPlace(place));
  }

  async #find(app: string): Promise<Place | undefined> {
    const entry = await this.#shards.client.hget(DIRECTORY.apps, app);
    if (entry === null) return undefined;
    return { app, ...parsePlace(entry) };
  }

  /** Gives a new app its shard and number. An entry whose config is gone is a deleted app's: replaced. */
  async #register(app: string): Promise<Place> {
    const present = await this.#find(app);
    if (present && !(await this.isGone(present))) return present;
    const shard = this.#pickShard(app);
    const number = await this.#shards.client.incr(this.#shards.get(shard).key('own'));
    await this.#shards.add([shard]);
    if (present) await this.#forget(present);
    await this.#shards.client.hsetnx(DIRECTORY.apps, app, formatPlace({ shard, number }));
    return (await this.#find(app)) ?? { app, shard, number };
  }

  /** Whether an app was there, or further on, and has been deleted. */
  async isGone(place: AppPlace, moves = 0): Promise<boolean> {
    const key = this.#shards.get(place.shard).key(`cfg:${place.number}`);
    const [gone, to] = await this.#shards.client.hmget(key, 'gone', 'to');
    if (to && moves < MOST_MOVES) return this.isGone(parsePlace(to), moves + 1);
    return gone !== null;
  }

  /** Spread by name: stable, and even enough; an app stays where it was made, whatever the setting says later. */
  #pickShard(app: string): number {
    let hash = 0;
    for (const char of app) hash = (Math.imul(hash, 31) + char.charCodeAt(0)) >>> 0;
    return hash % this.#shardsForNew;
  }

  /** The app's config as one of its shards has it, be it at home there or not. */
  async readAt(app: string, at: AppPlace): Promise<AppConfig | undefined> {
    const place: Place = { app, shard: at.shard, number: at.number };
    const key = this.#shards.get(place.shard).key(`cfg:${place.number}`);
    const fields = await this.#shards.client.hgetall(key);
    if (fields.app === undefined) return undefined;
    const endpoints = new Map<string, EndpointRecord>();
    const keys = new Map<string, KeyRecord>();
    // Redis keeps no order: ids ascend as endpoints are made, so deliveries have one order in all processes.
    for (const field of Object.keys(fields).sort()) {
      const stored = fields[field]!;
      if (field.startsWith('ep_')) endpoints.set(field, openRecord(this.#keyring, place.app, field, stored));
      else if (field.startsWith('k:'))
        keys.set(field.slice(2), openRecord(this.#keyring, place.app, field, stored));
    }
    const record = openRecord<AppRecord>(this.#keyring, place.app, 'app', fields.app);
    const version = Number(fields.v);
    return new AppConfig({ ...place, version }, record, endpoints, keys, readMoves(fields));
  }

  /** At home, and in the shards where records of the app are left. Undefined when somebody else was faster. */
  async #writeAll(config: AppConfig, change: ConfigChange): Promise<AppConfig | undefined> {
    // Last at home, where it says what else there is.
    if (change.deleteApp) await deleteElsewhere(this, config);
    const changed = await this.#write(config, change);
    // First at home: should this process die before the others follow, a worker sees that they have yet to.
    if (changed && !change.deleteApp) await followHome(this, changed, change.reopen);
    return changed;
  }

  async #write(config: AppConfig, change: ConfigChange): Promise<AppConfig | undefined> {
    const changed = await this.writeAt(config, change);
    if (changed && !change.deleteApp) this.#cache.set(config.app, changed);
    else this.#cache.delete(config.app);
    return changed;
  }

  /** Changes what one shard has of the app, and no more. Undefined when somebody else was faster. */
  async writeAt(config: AppConfig, change: ConfigChange): Promise<AppConfig | undefined> {
    const shard = this.#shards.get(config.shard);
    const version = Number(
      await shard.run('write-config', [
        config.number,
        config.version,
        this.#script(config, change),
        randomUUID(),
      ]),
    );
    return version === 0 ? undefined : config.next(version, change);
  }

  /** The change as lua/write-config.lua takes it. */
  #script(config: AppConfig, change: ConfigChange): string {
    const lanes = laneChanges(config, change, this.#now());
    if (change.deleteApp) {
      return JSON.stringify({ ...lanes, tombstone: true, doom: { [config.number]: 'app' } });
    }
    // Home tells what happens to the app: neither where it was nor where it is to go.
    if (config.moves.movedTo || config.moves.follows !== undefined) lanes.outbox = [];
    const set: Record<string, string> = {};
    const del: string[] = [];
    const put = (field: string, record: object | null) => {
      if (record === null) del.push(field);
      else set[field] = sealRecord(this.#keyring, config.app, field, record);
    };
    if (change.record) put('app', change.record);
    for (const [id, endpoint] of Object.entries(change.endpoints ?? {})) put(id, endpoint);
    for (const [hash, key] of Object.entries(change.keys ?? {})) put(`k:${hash}`, key);
    const doom = Object.fromEntries(lanes.end.map((number) => [number, 'endpoint']));
    if (change.moves) writeMoves(change.moves, set, del);
    const moving = {
      above: change.above,
      hold: change.hold,
      came: change.comes && config.app,
      left: change.leaves && config.app,
      idle: !config.moves.movedTo && beginsToWatch(config, change) ? config.app : undefined,
    };
    return JSON.stringify({ ...lanes, ...moving, set, del, doom });
  }
}

export function appNotFound(app: string): SealpostError {
  return new SealpostError('app_not_found', `There is no app ${app}.`);
}
