import type { EventInput } from '@sealpost/core';
import { AppConfig, type AppRecord, type EndpointRecord } from '@sealpost/store';
import { describe, expect, it, vi } from 'vitest';
import { matchEndpoints } from './match-endpoints.ts';

const NIGHT = { start_hour: 22, end_hour: 8, timezone: 'Europe/Berlin', during: 'skip' } as const;
const [EVENING, DAY] = ['2026-06-01T21:00:00Z', '2026-06-01T10:00:00Z'].map((text) => Date.parse(text));

function config(defaults: AppRecord['defaults'], ...endpoints: Partial<EndpointRecord>[]): AppConfig {
  const records = endpoints.map((fields, i): [string, EndpointRecord] => {
    const base = { id: `ep_${i + 1}`, number: i + 1, eventTypes: [], environments: [], enabled: true };
    return [`ep_${i + 1}`, { ...base, ...fields } as unknown as EndpointRecord];
  });
  const place = { app: 'shop', shard: 0, number: 9, version: 1 };
  return new AppConfig(place, { app: 'shop', defaults } as AppRecord, new Map(records), new Map());
}

function skips(of: AppConfig, now: number, event: Partial<EventInput> = {}) {
  return matchEndpoints(of, { type: 'a.b', payload: 1, ...event }, () => true, now).map(({ skip }) => skip);
}

describe('matchEndpoints', () => {
  it('skips endpoints in quiet hours that skip, and leaves those that hold to their lane', () => {
    const shop = config({}, { quietHours: NIGHT }, { quietHours: { ...NIGHT, during: 'hold' } }, {});
    expect(skips(shop, EVENING!)).toEqual(['quiet_hours', undefined, undefined]);
    expect(skips(shop, DAY!)).toEqual([undefined, undefined, undefined]);
  });

  it("takes the app's quiet hours for endpoints that say nothing", () => {
    const shop = config({ quietHours: NIGHT }, {}, { quietHours: null }, { enabled: false });
    expect(skips(shop, EVENING!)).toEqual(['quiet_hours', undefined, 'endpoint_disabled']);
  });

  it('asks the clock each time: over the end of a period, into the next one, and back', () => {
    const shop = config({}, { quietHours: NIGHT });
    const end = Date.parse('2026-06-02T06:00:00Z');
    const start = Date.parse('2026-06-02T20:00:00Z');
    const at = [EVENING!, end - 1, end, start - 1, start, DAY!, EVENING!];
    const quiet = at.map((now) => skips(shop, now)[0] === 'quiet_hours');
    expect(quiet).toEqual([true, true, false, false, true, false, true]);
  });

  it('looks at the time at which an event is to go out, where that is later', () => {
    const shop = config({}, { quietHours: NIGHT });
    expect(skips(shop, EVENING!, { deliver_at: EVENING! + 10 * 3_600_000 })).toEqual([undefined]);
    expect(skips(shop, DAY!, { deliver_at: EVENING! })).toEqual(['quiet_hours']);
    expect(skips(shop, EVENING!, { deliver_at: DAY! })).toEqual(['quiet_hours']);
  });

  it('leaves out whose filter says no, and marks those that are left to the worker', () => {
    const shop = config({}, { filter: 'no' }, { filter: 'open' }, {}, { filter: 'no', enabled: false });
    const passes = ({ filter }: EndpointRecord) =>
      filter === 'no' ? false : filter === 'open' ? undefined : true;
    const event = { type: 'a.b', payload: 1, webhook_url: 'https://example.com/' };
    expect(matchEndpoints(shop, event, passes)).toEqual([
      { endpoint: 2, endpointId: 'ep_2', skip: undefined, undecided: true },
      { endpoint: 3, endpointId: 'ep_3', skip: undefined },
      { endpoint: 0, endpointId: null, skip: undefined },
    ]);
  });

  it('goes on where this process does not know the time zone', () => {
    const shop = config({}, { quietHours: { ...NIGHT, timezone: 'Mars/Base' } });
    expect(skips(shop, EVENING!)).toEqual([undefined]);
    expect(skips(shop, EVENING!)).toEqual([undefined]);
  });

  it.each<[string, AppRecord['defaults'], Partial<EndpointRecord>]>([
    ["inherit their app's", { quietHours: { ...NIGHT, start_hour: 20 } }, {}],
    ['each say the same', {}, { quietHours: { ...NIGHT, start_hour: 21 } }],
  ])('looks quiet hours up once for many endpoints that %s, now or later', (_, defaults, fields) => {
    const shop = config(defaults, ...Array.from({ length: 1000 }, () => structuredClone(fields)));
    const asked = vi.spyOn(Temporal.Instant, 'fromEpochMilliseconds');
    for (const event of [{}, { deliver_at: EVENING! + 1 }]) {
      expect(new Set(skips(shop, EVENING!, event))).toEqual(new Set(['quiet_hours']));
      expect(asked.mock.calls.length).toBeGreaterThan(0);
      expect(asked.mock.calls.length).toBeLessThan(100);
      asked.mockClear();
    }
    asked.mockRestore();
  });

  it('never skips a webhook_url', () => {
    const shop = config({ quietHours: NIGHT }, {});
    const url = { webhook_url: 'https://receiver.example/' };
    expect(skips(shop, EVENING!, url)).toEqual(['quiet_hours', undefined]);
  });
});
