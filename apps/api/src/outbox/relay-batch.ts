import { type Keyring, KeyringError, SealpostError } from '@sealpost/core';
import type { Shard } from '@sealpost/queue';
import type { AppConfig, Configs, Deliveries } from '@sealpost/store';
import type { Logger } from '@sealpost/telemetry';
import type { PublishEvents } from '../ingest/publish-events.ts';
import { chooseApps } from './choose-apps.ts';
import { describeEntry, type OperationalEvent } from './describe-entry.ts';
import { lookUpApps } from './look-up-apps.ts';
import { type OutboxEntry, parseEntry } from './parse-entry.ts';

export type RelayOptions = {
  configs: Configs;
  deliveries: Deliveries;
  keyring: Keyring;
  publish: PublishEvents;
  logger: Logger;
};

/** Entries that are read, and published together. */
export const BATCH = 100;
const OUTBOX = 'outbox';
/** How much of a malformed entry is logged. */
const SHOWN = 200;

/** An entry and where it stands in the list: its very bytes, since text that is no UTF-8 would not find them again. */
type Read = { bytes: Buffer; entry: OutboxEntry };

/**
 * Publishes entries of a shard's outbox, oldest first, and takes them out of it. Any number of processes may do so at once
 * and any may die at any step: an entry is removed only after all its events are stored, and those have an own id that
 * is made of the entry, by which the publisher knows them again.
 *
 * Resolves to how many entries were read, how many of them were kept in the outbox, and the error that kept them there.
 * @param skip how many of the oldest are passed over: those that were kept before
 * @throws Redis' error: nothing was removed
 */
export async function relayBatch(
  options: RelayOptions,
  shard: Shard,
  skip: number,
): Promise<{ read: number; kept: number; failure: unknown }> {
  const all = await shard.client.lrangeBuffer(shard.key(OUTBOX), skip, skip + BATCH - 1);
  const entries = all.flatMap((bytes): Read[] => {
    const entry = parseEntry(bytes.toString());
    if (entry) return [{ bytes, entry }];
    const text = bytes.toString().slice(0, SHOWN);
    options.logger.error({ shard: shard.number, entry: text }, 'a malformed entry of the outbox was dropped');
    return [];
  });
  const { byApp, unreadable } = await eventsByApp(options, shard, entries);
  const kept = new Set(unreadable.keys());
  let failure: unknown;
  for (const [app, events] of byApp) {
    try {
      await publishTo(options, app, [...events.values()]);
    } catch (error) {
      failure ??= error;
      for (const bytes of events.keys()) kept.add(bytes);
    }
  }
  const done = all.filter((bytes) => !kept.has(bytes));
  await Promise.all(done.map((bytes) => shard.client.lrem(shard.key(OUTBOX), 1, bytes)));
  failure ??= unreadable.values().next().value;
  return { read: all.length, kept: kept.size, failure };
}

/**
 * What is to be published in which app, in the order of the outbox, by the bytes of its entry; and entries about apps that
 * need a master key which is not known here.
 */
async function eventsByApp(
  { keyring, deliveries, logger }: RelayOptions,
  shard: Shard,
  entries: Read[],
): Promise<{ byApp: Map<string, Map<Buffer, OperationalEvent>>; unreadable: Map<Buffer, KeyringError> }> {
  const dead = entries.flatMap(({ entry }) => (entry.t === 'delivery.dead' ? [entry.d] : []));
  const numbers = entries.map(({ entry }) => entry.a);
  const [apps, found] = await Promise.all([
    lookUpApps(shard, keyring, numbers, (error) =>
      logger.error({ err: error }, 'the app of an entry is lost'),
    ),
    deliveries.read(shard, [...new Set(dead)]),
  ]);
  const byNumber = new Map(found.map((delivery) => [delivery.number, delivery]));
  const byApp = new Map<string, Map<Buffer, OperationalEvent>>();
  const unreadable = new Map<Buffer, KeyringError>();
  for (const { bytes, entry } of entries) {
    const concerned = apps.get(entry.a);
    if (!concerned) continue; // deleted meanwhile: nobody is left who would want to know
    if (concerned instanceof KeyringError) {
      unreadable.set(bytes, concerned);
      continue;
    }
    const delivery = entry.t === 'delivery.dead' ? byNumber.get(entry.d) : undefined;
    const own = delivery?.record.app === entry.a ? delivery : undefined;
    const event = describeEntry(shard.number, entry, concerned.app, own);
    for (const app of chooseApps(concerned, own)) {
      const events = byApp.get(app) ?? new Map<Buffer, OperationalEvent>();
      byApp.set(app, events.set(bytes, event));
    }
  }
  return { byApp, unreadable };
}

/** Publishes those that an endpoint of the app wants: what goes to nobody is not stored. @throws as PublishEvents */
async function publishTo(options: RelayOptions, app: string, events: OperationalEvent[]): Promise<void> {
  const config = await newestConfig(options, app);
  if (!config) return;
  const drafts = events
    .filter(({ type }) => config.match(type, undefined).length > 0)
    .map(({ id, type, payload }) => ({
      input: { type, id, payload: undefined },
      payload: JSON.stringify(payload),
    }));
  if (drafts.length === 0) return;
  await options.publish.publish(app, { kind: 'sealpost' }, drafts).catch(unlessGone);
}

/**
 * The newest, since an endpoint may have been made through another process just now. Undefined: there is no such app,
 * or its config is not one that Sealpost wrote. Failure policy: that is logged and the app gets no event, rather than
 * that one broken app holds up the events of all others.
 */
async function newestConfig({ configs, logger }: RelayOptions, app: string): Promise<AppConfig | undefined> {
  try {
    return await configs.newest(app);
  } catch (error) {
    if (error instanceof SealpostError && error.code === 'config_invalid') {
      logger.error({ err: error, app }, 'an app whose config is invalid gets no operational events');
      return undefined;
    }
    return unlessGone(error);
  }
}

/** An app that is not there, or not there any more, wants nothing. */
function unlessGone(error: unknown): undefined {
  if (error instanceof SealpostError && error.code === 'app_not_found') return undefined;
  throw error;
}
