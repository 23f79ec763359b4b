import { describe, expect, it } from 'vitest';
import type { AppRecord, EndpointRecord } from './config-records.ts';
import { beginsToWatch, IDLE_MS, type IdleFacts, isWatched, judgeIdle } from './idle-policy.ts';

const DAY = 86_400_000;
const NOW = Date.parse('2026-06-30T12:00:00Z');
const ago = (days: number) => NOW - days * DAY;

function app(fields: Partial<AppRecord> = {}): AppRecord {
  return { wireProfile: 'standard', ...fields } as AppRecord;
}

function endpoint(fields: Partial<EndpointRecord> = {}, id = 'ep_1'): EndpointRecord {
  return { id, enabled: true, paused: false, wireProfile: null, ...fields } as EndpointRecord;
}

describe('an endpoint is', () => {
  const old = { createdAt: ago(90), updatedAt: ago(60) };
  it.each<[string, boolean, Partial<IdleFacts>]>([
    ['idle 30 days after its last delivery', true, { seen: ago(30) }],
    ['not idle a moment sooner', false, { seen: ago(30) + 1 }],
    [
      'not idle when it was made less than 30 days ago',
      false,
      { endpoint: { createdAt: ago(29), updatedAt: ago(29) }, seen: 0 },
    ],
    [
      'not idle when it was changed less than 30 days ago',
      false,
      { endpoint: { ...old, updatedAt: ago(29) }, seen: ago(60) },
    ],
    ['not idle when a delivery has been seen since', false, { seen: ago(29) }],
    ['not idle when the last look did not know of a newer one', false, { seen: ago(60), newest: ago(1) }],
    ['idle though the record of its last delivery is still kept', true, { seen: ago(31), newest: ago(31) }],
    ['not idle while a delivery is open, however old', false, { seen: ago(60), newest: ago(40), open: 1 }],
    ['not idle when nobody has looked before', false, { seen: undefined }],
    [
      'not idle when nobody has looked before, and all that is known is old',
      false,
      { seen: undefined, newest: ago(40) },
    ],
  ])('%s', (_, idle, facts) => {
    expect(
      judgeIdle({ now: NOW, endpoint: old, newest: undefined, open: 0, seen: ago(60), ...facts }).idle,
    ).toBe(idle);
  });

  it.each<[string, number, Partial<IdleFacts>]>([
    ['the first look, when nothing is known', NOW, { seen: undefined }],
    ['the newest delivery', ago(1), { newest: ago(1) }],
    ['what was seen before, when its record is gone', ago(60), {}],
    ['now, while one is open', NOW, { newest: ago(1), open: 1 }],
    ['nothing older than before', ago(60), { newest: ago(70) }],
  ])('noted to have had deliveries up to %s', (_, seen, facts) => {
    expect(
      judgeIdle({ now: NOW, endpoint: old, newest: undefined, open: 0, seen: ago(60), ...facts }).seen,
    ).toBe(seen);
  });

  it('idle after 30 days', () => {
    expect(IDLE_MS).toBe(30 * DAY);
  });
});

describe('watched', () => {
  it.each<[string, boolean, Partial<AppRecord>, Partial<EndpointRecord>]>([
    ['is none by default', false, {}, {}],
    ['is each of an app that asks for it', true, { disableIdle: true }, {}],
    ['is one that has the profile of TaskFlow', true, {}, { wireProfile: 'taskflow' }],
    ['is one whose app has that profile', true, { wireProfile: 'taskflow' }, {}],
    [
      'is none with another profile in such an app',
      false,
      { wireProfile: 'taskflow' },
      { wireProfile: 'raw' },
    ],
    ['is none of an app that does not want it', false, { disableIdle: false }, { wireProfile: 'taskflow' }],
    ['is none that is paused', false, { disableIdle: true }, { paused: true }],
    ['is none that is disabled', false, { disableIdle: true }, { enabled: false }],
  ])('%s', (_, watched, record, fields) => {
    expect(isWatched(app(record), endpoint(fields))).toBe(watched);
  });
});

describe('an app begins to be watched', () => {
  const config = (record: Partial<AppRecord>, ...endpoints: EndpointRecord[]) => ({
    record: app(record),
    endpoints: new Map(endpoints.map((one) => [one.id, one])),
  });
  const one = endpoint({ wireProfile: 'taskflow' });
  it('with an endpoint that is made or changed so', () => {
    expect(beginsToWatch(config({}), { endpoints: { ep_1: one } })).toBe(true);
    expect(beginsToWatch(config({}), { endpoints: { ep_1: endpoint() } })).toBe(false);
    expect(beginsToWatch(config({}), { endpoints: { ep_1: null } })).toBe(false);
  });

  it('when it asks for it and has endpoints, of those that are left', () => {
    expect(beginsToWatch(config({}, endpoint()), { record: app({ disableIdle: true }) })).toBe(true);
    expect(beginsToWatch(config({}), { record: app({ disableIdle: true }) })).toBe(false);
    expect(beginsToWatch(config({ disableIdle: false }, one), { record: app() })).toBe(true);
    const leaving = { record: app({ disableIdle: true }), endpoints: { ep_1: null } };
    expect(beginsToWatch(config({}, endpoint()), leaving)).toBe(false);
  });

  it('by no other change', () => {
    expect(beginsToWatch(config({ disableIdle: true }, endpoint()), { keys: {} })).toBe(false);
  });
});
