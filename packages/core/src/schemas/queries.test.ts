import { describe, expect, it } from 'vitest';
import { parseQuery } from './parse.ts';
import { deliveriesQuery, endpointDeliveriesQuery, listQuery } from './queries.ts';

describe('listQuery', () => {
  it('gives 20 entries by default', () => expect(parseQuery(listQuery, {})).toEqual({ limit: 20 }));

  it('reads numbers', () =>
    expect(parseQuery(listQuery, { page: '2', limit: '100' })).toEqual({ page: 2, limit: 100 }));

  it.each([
    { page: '0' },
    { page: '-1' },
    { page: '1.5' },
    { page: '' },
    { page: ' 1' },
    { page: '1e2' },
    { page: '0x1' },
    { page: ['1', '2'] },
    { page: '9'.repeat(30) },
    { limit: '0' },
    { limit: '101' },
    { cursor: '' },
    { cursor: 'a b' },
    { cursor: 'abc', page: '1' },
    { status: 'dead' },
  ])('refuses %j', (query) =>
    expect(() => parseQuery(listQuery, query)).toThrow(expect.objectContaining({ code: 'invalid_query' })),
  );
});

describe('deliveriesQuery', () => {
  it('reads every filter', () => {
    const query = {
      cursor: 'abc_-.1',
      status: 'dead,retrying',
      event_type: 'a.b',
      since: '2026-01-01T00:00:00Z',
      until: '2026-01-01T02:00:00.500+02:00',
      endpoint_id: 'ep_000000000001',
      event_id: 'mine-1',
      correlation_id: 'Nr. 5',
    };
    expect(parseQuery(deliveriesQuery, query)).toEqual({
      ...query,
      limit: 20,
      status: ['dead', 'retrying'],
      since: Date.UTC(2026, 0, 1),
      until: Date.UTC(2026, 0, 1) + 500,
    });
  });

  it('takes a status more than once', () =>
    expect(parseQuery(endpointDeliveriesQuery, { status: ['dead', 'pending'] }).status).toEqual([
      'dead',
      'pending',
    ]));

  it.each([
    { status: '' },
    { status: 'gone' },
    { status: 'dead,' },
    { since: '2026-01-01' },
    { until: 'yesterday' },
    { until: '2026-02-30T00:00:00Z' },
    { event_type: 'a.*' },
    { event_id: 'a b' },
    { endpoint_id: '' },
  ])('refuses %j', (query) =>
    expect(() => parseQuery(deliveriesQuery, query)).toThrow(
      expect.objectContaining({ code: 'invalid_query' }),
    ),
  );
});
