import { AppConfig, type AppRecord, type EndpointRecord } from '@sealpost/store';
import { describe, expect, it } from 'vitest';
import { PublishFilters } from './filter-events.ts';
import { matchStretch } from './match-stretch.ts';

/** An app whose endpoints all have a filter. */
function appWith(endpoints: number): AppConfig {
  const records = Array.from({ length: endpoints }, (_, i): [string, EndpointRecord] => {
    const record = { number: i + 1, eventTypes: [], environments: [], enabled: true, filter: 'true' };
    return [`ep_${i + 1}`, { ...record, id: `ep_${i + 1}` } as unknown as EndpointRecord];
  });
  const place = { app: 'shop', shard: 0, number: 9, version: 1 };
  return new AppConfig(place, { app: 'shop', defaults: {} } as AppRecord, new Map(records), new Map());
}

/** What becomes of events of an app, stretch after stretch, when a filter takes so long: events, and undecided targets. */
function stretches({ endpoints, events, ms }: { endpoints: number; events: number; ms: number }) {
  const config = appWith(endpoints);
  const drafts = Array.from({ length: events }, () => ({ input: { type: 'a', payload: 1 }, payload: '1' }));
  let left = drafts.map((_, i) => i);
  const seen: [events: number, undecided: number][] = [];
  while (left.length > 0) {
    let at = 0;
    const filters = new PublishFilters({ filterEarly: () => ({ passes: true }) }, () => (at += ms));
    const stretch = matchStretch(config, drafts, left, filters);
    const undecided = stretch.flatMap(({ targets }) => targets).filter((target) => target.undecided);
    seen.push([stretch.length, undecided.length]);
    left = left.slice(stretch.length);
  }
  return seen;
}

describe('matchStretch', () => {
  it('ends at so many deliveries', () => {
    expect(stretches({ endpoints: 100, events: 5, ms: 0 })).toEqual([
      [2, 0],
      [2, 0],
      [1, 0],
    ]);
  });

  it('ends before an event that the time for filters is not enough for, which comes first in the next', () => {
    expect(stretches({ endpoints: 2, events: 5, ms: 10 })).toEqual([
      [2, 0],
      [2, 0],
      [1, 0],
    ]);
  });

  it('leaves to the worker what is too much for a stretch of its own', () => {
    expect(stretches({ endpoints: 8, events: 2, ms: 10 })).toEqual([
      [1, 3],
      [1, 3],
    ]);
  });
});
