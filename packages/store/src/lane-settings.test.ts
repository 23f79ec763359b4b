import { describe, expect, it } from 'vitest';
import type { AppRecord, EndpointRecord } from './config-records.ts';
import { laneChanges, laneSettings } from './lane-settings.ts';

const NOW = Date.parse('2026-06-01T23:00:00Z');
const NIGHT = { start_hour: 22, end_hour: 8, timezone: 'UTC', during: 'hold' } as const;
const PERIOD = { qf: Date.parse('2026-06-01T22:00:00Z'), qu: Date.parse('2026-06-02T08:00:00Z') };
const LIMIT = { limit: 100, period_seconds: 1.5, over: 'hold' } as const;

function app(defaults: AppRecord['defaults'] = {}): AppRecord {
  return {
    app: 'shop',
    name: null,
    wireProfile: 'standard',
    signingSecretSealed: null,
    defaults,
    maxEndpoints: null,
    operationalEvents: false,
    metadata: {},
    createdAt: 0,
    updatedAt: 0,
  };
}

function endpoint(fields: Partial<EndpointRecord> = {}, number = 1): EndpointRecord {
  return {
    id: `ep_${number}`,
    number,
    name: null,
    url: 'https://receiver.example/',
    description: null,
    eventTypes: [],
    environments: [],
    headersSealed: {},
    secrets: [],
    wireProfile: null,
    enabled: true,
    disabledReason: null,
    retry: null,
    timeoutSeconds: null,
    maxConcurrency: null,
    ordered: false,
    paused: false,
    metadata: {},
    createdAt: 0,
    updatedAt: 0,
    ...fields,
  };
}

function config(record: AppRecord, ...endpoints: EndpointRecord[]) {
  return { record, endpoints: new Map(endpoints.map((one) => [one.id, one])) };
}

describe('the settings of a lane', () => {
  it.each<[string, AppRecord['defaults'], Partial<EndpointRecord>, object]>([
    ['none, by default', {}, {}, {}],
    ['none for the built-in concurrency', {}, { maxConcurrency: 32 }, {}],
    ['its own concurrency', {}, { maxConcurrency: 5 }, { mc: 5 }],
    ['in order', {}, { ordered: true }, { or: 1 }],
    ['paused and disabled', {}, { paused: true, enabled: false }, { ps: 1, off: 1 }],
    ['its own limit', {}, { rateLimit: LIMIT }, { rl: 100, rp: 1500 }],
    ['a limit that skips', {}, { rateLimit: { ...LIMIT, over: 'skip' } }, { rl: 100, rp: 1500, rs: 1 }],
    ["its app's limit", { rateLimit: LIMIT }, {}, { rl: 100, rp: 1500 }],
    [
      "its own limit over its app's",
      { rateLimit: LIMIT },
      { rateLimit: { ...LIMIT, limit: 7 } },
      { rl: 7, rp: 1500 },
    ],
    ["no limit, whatever its app's", { rateLimit: LIMIT }, { rateLimit: null }, {}],
    ["its wire profile's limit", {}, { wireProfile: 'taskflow' }, { rl: 1000, rp: 3_600_000 }],
    [
      "its app's limit over its wire profile's",
      { rateLimit: LIMIT },
      { wireProfile: 'taskflow' },
      { rl: 100, rp: 1500 },
    ],
    ["no limit, whatever its wire profile's", {}, { wireProfile: 'taskflow', rateLimit: null }, {}],
    ['its own quiet hours', {}, { quietHours: NIGHT }, { qh: '22-8 UTC', ...PERIOD }],
    [
      'quiet hours that skip',
      {},
      { quietHours: { ...NIGHT, during: 'skip' } },
      { qh: '22-8 UTC', qs: 1, ...PERIOD },
    ],
    ["its app's quiet hours", { quietHours: NIGHT }, {}, { qh: '22-8 UTC', ...PERIOD }],
    ["no quiet hours, whatever its app's", { quietHours: NIGHT }, { quietHours: null }, {}],
    [
      'quiet hours of a time zone that this process does not know, which a worker that does is to look up',
      { quietHours: { ...NIGHT, timezone: 'Mars/Base' } },
      {},
      { qh: '22-8 Mars/Base' },
    ],
  ])('%s', (_, defaults, fields, expected) => {
    expect(laneSettings(app(defaults), endpoint(fields), NOW)).toEqual(expected);
  });
});

describe('what a change does to lanes', () => {
  const nothing = { lanes: {}, reopen: [], end: [], outbox: [] };
  const patched = (before: Partial<EndpointRecord>, after: Partial<EndpointRecord>) =>
    laneChanges(config(app(), endpoint(before)), { endpoints: { ep_1: endpoint(after) } }, NOW);

  it('nothing, for settings that are none of theirs', () => {
    expect(patched({}, { description: 'new', eventTypes: ['a'], timeoutSeconds: 3 })).toEqual(nothing);
    expect(
      patched({ quietHours: NIGHT, paused: true }, { quietHours: NIGHT, paused: true, name: 'a' }),
    ).toEqual(nothing);
    expect(laneChanges(config(app(), endpoint()), { keys: {} }, NOW)).toEqual(nothing);
  });

  it('nothing, for a new endpoint with default settings', () =>
    expect(laneChanges(config(app()), { endpoints: { ep_1: endpoint() } }, NOW)).toEqual(nothing));

  it('all its settings, for a new endpoint with others', () => {
    const endpoints = { ep_1: endpoint({ ordered: true, enabled: false, disabledReason: null }) };
    expect(laneChanges(config(app()), { endpoints }, NOW)).toEqual({
      ...nothing,
      lanes: { 1: { or: 1, off: 1 } },
    });
    const inheriting = laneChanges(
      config(app({ rateLimit: LIMIT })),
      { endpoints: { ep_1: endpoint() } },
      NOW,
    );
    expect(inheriting.lanes).toEqual({ 1: { rl: 100, rp: 1500 } });
  });

  it('all settings, when one changes; none, when all are default again', () => {
    expect(patched({ quietHours: NIGHT }, { quietHours: NIGHT, maxConcurrency: 3 }).lanes).toEqual({
      1: { mc: 3, qh: '22-8 UTC', ...PERIOD },
    });
    expect(patched({ maxConcurrency: 3 }, {}).lanes).toEqual({ 1: {} });
  });

  it.each<[string, Partial<EndpointRecord>, Partial<EndpointRecord>, object]>([
    ['another URL', {}, { url: 'https://other.example/' }, { lanes: {} }],
    ['enabled', { enabled: false }, {}, { lanes: { 1: {} } }],
  ])('%s: it closes no more', (_, before, after, expected) =>
    expect(patched(before, after)).toEqual({ ...nothing, reopen: [1], ...expected }),
  );

  it('what a change says itself: a lane that closes no more, whether it was paused or not', () => {
    const resumed = { endpoints: { ep_1: endpoint() }, reopen: [1] };
    expect(laneChanges(config(app(), endpoint({ paused: true })), resumed, NOW)).toEqual({
      ...nothing,
      lanes: { 1: {} },
      reopen: [1],
    });
    expect(laneChanges(config(app(), endpoint()), { reopen: [1] }, NOW)).toEqual({ ...nothing, reopen: [1] });
  });

  it('an operational event, when Sealpost disables the endpoint, but not when a client does', () => {
    expect(patched({}, { enabled: false, disabledReason: 'gone' })).toEqual({
      ...nothing,
      lanes: { 1: { off: 1 } },
      outbox: [{ t: 'endpoint.disabled', e: 1, r: 'gone' }],
    });
    expect(patched({}, { enabled: false }).outbox).toEqual([]);
    const still = { enabled: false, disabledReason: 'gone' };
    expect(patched(still, { ...still, name: 'a' })).toEqual(nothing);
  });

  it('the end of a deleted endpoint’s lane, and of all with the app', () => {
    const before = config(app(), endpoint(), endpoint({ paused: true }, 2));
    expect(laneChanges(before, { endpoints: { ep_2: null } }, NOW)).toEqual({ ...nothing, end: [2] });
    expect(laneChanges(before, { deleteApp: true }, NOW)).toEqual({ ...nothing, end: [1, 2] });
  });

  it("other defaults of the app: the lanes that have the app's settings", () => {
    const own = { ...LIMIT, limit: 7 };
    const before = config(
      app({ rateLimit: LIMIT }),
      endpoint({ ordered: true }),
      endpoint({ rateLimit: own }, 2),
      endpoint({ rateLimit: null }, 3),
    );
    const after = laneChanges(before, { record: app({ rateLimit: { ...LIMIT, limit: 9 } }) }, NOW);
    expect(after).toEqual({ ...nothing, lanes: { 1: { or: 1, rl: 9, rp: 1500 } } });
    expect(laneChanges(before, { record: app() }, NOW).lanes).toEqual({ 1: { or: 1 } });
    const unrelated = app({ rateLimit: { ...LIMIT }, timeoutSeconds: 5 });
    expect(laneChanges(before, { record: unrelated }, NOW)).toEqual(nothing);
  });

  it("another wire profile of the app: the lanes that have that profile's limit", () => {
    const before = config(
      app(),
      endpoint(),
      endpoint({ rateLimit: null }, 2),
      endpoint({ rateLimit: LIMIT }, 3),
      endpoint({ wireProfile: 'raw' }, 4),
      endpoint({ wireProfile: 'taskflow' }, 5),
    );
    const record: AppRecord = { ...app(), wireProfile: 'taskflow' };
    const taskflow = { rl: 1000, rp: 3_600_000 };
    expect(laneChanges(before, { record }, NOW)).toEqual({ ...nothing, lanes: { 1: taskflow } });
    const after = { ...before, record };
    expect(laneChanges(after, { record: app() }, NOW)).toEqual({ ...nothing, lanes: { 1: {} } });
    expect(laneChanges(before, { record: { ...app(), wireProfile: 'flock' } }, NOW)).toEqual(nothing);
    const limited: AppRecord = { ...app({ rateLimit: LIMIT }), wireProfile: 'taskflow' };
    expect(laneChanges(after, { record: limited }, NOW).lanes).toEqual({
      1: { rl: 100, rp: 1500 },
      4: { rl: 100, rp: 1500 },
      5: { rl: 100, rp: 1500 },
    });
  });

  it("another wire profile of the endpoint: that profile's limit", () => {
    expect(patched({}, { wireProfile: 'taskflow' }).lanes).toEqual({ 1: { rl: 1000, rp: 3_600_000 } });
    expect(patched({ wireProfile: 'taskflow' }, { wireProfile: {} }).lanes).toEqual({ 1: {} });
    expect(patched({ wireProfile: 'flock' }, { wireProfile: 'aifai' })).toEqual(nothing);
  });

  it('other defaults and another endpoint at once: each by what is there afterwards', () => {
    const before = config(app({ rateLimit: LIMIT }), endpoint(), endpoint({}, 2));
    const change = { record: app(), endpoints: { ep_1: endpoint({ maxConcurrency: 2 }), ep_2: null } };
    expect(laneChanges(before, change, NOW)).toEqual({ ...nothing, lanes: { 1: { mc: 2 } }, end: [2] });
  });
});
