import {
  DEFAULT_MAX_CONCURRENCY,
  formatQuietSpec,
  type QuietHours,
  type QuietPeriod,
  quietPeriod,
  wireProfileOf,
} from '@sealpost/core';
import type { AppRecord, EndpointRecord } from './config-records.ts';
import type { ConfigChange } from './configs.ts';
import { effectiveRateLimit } from './effective-settings.ts';

/** The fields of a lane's hash that follow from the config; absent: the default (lua/write-config.lua). */
export type LaneSettings = {
  /** Most that is admitted at once. */
  mc?: number;
  /** In order. */
  or?: 1;
  /** Rate limit: attempts in a period of ms; `rs`: what is over is skipped. */
  rl?: number;
  rp?: number;
  rs?: 1;
  /** Quiet hours as text; `qs`: what comes meanwhile is skipped; the period that is, or comes next, ms epoch. */
  qh?: string;
  qs?: 1;
  qf?: number;
  qu?: number;
  /** Paused; disabled. The script keeps since when. */
  ps?: 1;
  off?: 1;
};

/** What a change of the config does to lanes, by the endpoints' owner numbers. */
export type LaneChanges = {
  /** All settings of the lanes whose settings have changed. */
  lanes: Record<string, LaneSettings>;
  /** Lanes that are closed no more: what they failed at has changed. */
  reopen: number[];
  /** Lanes of deleted endpoints. */
  end: number[];
  /** Operational events. */
  outbox: { t: 'endpoint.disabled'; e: number; r: string }[];
};

/** The quiet hours that count for an endpoint: its own or its app's. */
export function effectiveQuietHours(app: AppRecord, endpoint: EndpointRecord): QuietHours | null {
  return endpoint.quietHours === undefined ? (app.defaults.quietHours ?? null) : endpoint.quietHours;
}

/**
 * An endpoint's lane as its app's config wants it at `now` (ms epoch).
 * @param periods quiet periods at `now` by their text: many endpoints may have the same; undefined: unknown here
 */
export function laneSettings(
  app: AppRecord,
  endpoint: EndpointRecord,
  now: number,
  periods: Map<string, QuietPeriod | undefined> = new Map(),
): LaneSettings {
  const settings = lastingSettings(app, endpoint);
  const quiet = effectiveQuietHours(app, endpoint);
  if (!quiet || settings.qh === undefined) return settings;
  if (!periods.has(settings.qh)) periods.set(settings.qh, periodAt(quiet, now));
  const period = periods.get(settings.qh);
  return period ? { ...settings, qf: period.from, qu: period.until } : settings;
}

/** Undefined: a process that knows newer time zones took these quiet hours. A worker that does tells the lane (QUIET). */
function periodAt(quiet: QuietHours, now: number): QuietPeriod | undefined {
  try {
    return quietPeriod(quiet, now);
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

/** Without the quiet period, which is another one every day. */
function lastingSettings(app: AppRecord, endpoint: EndpointRecord): LaneSettings {
  const settings: LaneSettings = {};
  const { maxConcurrency } = endpoint;
  if (maxConcurrency !== null && maxConcurrency !== DEFAULT_MAX_CONCURRENCY) settings.mc = maxConcurrency;
  if (endpoint.ordered) settings.or = 1;
  const rate = effectiveRateLimit(app, endpoint);
  if (rate) {
    settings.rl = rate.limit;
    settings.rp = Math.round(rate.period_seconds * 1000);
    if (rate.over === 'skip') settings.rs = 1;
  }
  const quiet = effectiveQuietHours(app, endpoint);
  if (quiet) {
    settings.qh = formatQuietSpec(quiet);
    if (quiet.during === 'skip') settings.qs = 1;
  }
  if (endpoint.paused) settings.ps = 1;
  if (!endpoint.enabled) settings.off = 1;
  return settings;
}

/** What a change of this config does to its lanes. A lane whose settings stay as they are is not named. */
export function laneChanges(
  config: { record: AppRecord; endpoints: ReadonlyMap<string, EndpointRecord> },
  change: ConfigChange,
  now: number,
): LaneChanges {
  const changes: LaneChanges = { lanes: {}, reopen: [...(change.reopen ?? [])], end: [], outbox: [] };
  if (change.deleteApp) {
    changes.end = [...config.endpoints.values()].map(({ number }) => number);
    return changes;
  }
  const app = { before: config.record, after: change.record ?? config.record };
  const periods = new Map<string, QuietPeriod | undefined>();
  const compare = (before: EndpointRecord | undefined, after: EndpointRecord) => {
    const was = before ? lastingSettings(app.before, before) : {};
    if (!sameJson(was, lastingSettings(app.after, after))) {
      changes.lanes[after.number] = laneSettings(app.after, after, now, periods);
    }
  };
  const changed = change.endpoints ?? {};
  for (const [id, after] of Object.entries(changed)) {
    const before = config.endpoints.get(id);
    if (after) {
      compare(before, after);
      if (before) noteTurn(changes, before, after);
    } else if (before) changes.end.push(before.number);
  }
  if (flowDefaultsDiffer(app.before, app.after)) {
    for (const endpoint of config.endpoints.values()) {
      if (!(endpoint.id in changed)) compare(endpoint, endpoint);
    }
  }
  return changes;
}

/** What an endpoint's change says beyond the settings of its lane. */
function noteTurn(changes: LaneChanges, before: EndpointRecord, after: EndpointRecord): void {
  const { number: e } = after;
  const moved = before.url !== after.url;
  const enabled = !before.enabled && after.enabled;
  if (moved || enabled) changes.reopen.push(e);
  if (before.enabled && !after.enabled && after.disabledReason !== null) {
    changes.outbox.push({ t: 'endpoint.disabled', e, r: after.disabledReason });
  }
}

/** Whether lanes may change whose endpoints do not. */
function flowDefaultsDiffer(before: AppRecord, after: AppRecord): boolean {
  return before !== after && !sameJson(flowDefaults(before), flowDefaults(after));
}

function flowDefaults({ defaults, wireProfile }: AppRecord): unknown[] {
  return [defaults.rateLimit, defaults.quietHours, wireProfileOf(wireProfile).rateLimit];
}

/** The same fields in the same order: both come out of the same code. */
function sameJson(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
