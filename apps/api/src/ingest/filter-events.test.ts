import { Expressions } from '@sealpost/sandbox';
import type { EndpointRecord } from '@sealpost/store';
import { describe, expect, it, vi } from 'vitest';
import { PublishFilters } from './filter-events.ts';

const expressions = new Expressions();
const endpoint = (filter?: string) => ({ ...(filter !== undefined && { filter }) }) as EndpointRecord;
const event = { type: 'a.b', payload: { n: 1 }, environment: 'eu', attributes: { by: 'me' } };
const JSON_TEXT = '{"n":1}';

describe('the filters of a publish', () => {
  it.each([
    [undefined, true],
    ['payload.n == 1 && type == "a.b" && environment == "eu" && attributes.by == "me"', true],
    ['correlation_id == null && timestamp > timestamp(0)', true],
    ['payload.n > 1', false],
    ['payload.missing', undefined],
    ['payload.n', undefined],
    ['sequence == 1', undefined],
    ['no expression', undefined],
  ])('%s: %s', (filter, expected) => {
    expect(new PublishFilters(expressions).of(event, JSON_TEXT)(endpoint(filter))).toBe(expected);
  });

  it('read the text where nobody has parsed it', () => {
    const passes = new PublishFilters(expressions).of({ type: 'a', payload: undefined }, '{"n":2}');
    expect(passes(endpoint('payload.n == 2'))).toBe(true);
  });

  it('leave a payload that is too large to the worker', () => {
    const large = { n: 'x'.repeat(70_000) };
    const passes = new PublishFilters(expressions).of({ type: 'a', payload: large }, JSON.stringify(large));
    expect([passes(endpoint('type == "b"')), passes(endpoint())]).toEqual([undefined, true]);
  });

  it('cost nothing where there are none', () => {
    const filterEarly = vi.fn();
    const now = vi.fn(() => 0);
    const passes = new PublishFilters({ filterEarly }, now).of(event, 'not even JSON');
    expect(passes(endpoint())).toBe(true);
    expect([filterEarly, now].map(({ mock }) => mock.calls.length)).toEqual([0, 0]);
  });

  it('leave to the worker what is over 50 ms, over all events of a stretch', () => {
    let at = 0;
    const filterEarly = () => ({ passes: false });
    const filters = new PublishFilters({ filterEarly }, () => (at += 10));
    const asked = Array.from({ length: 8 }, () => filters.of(event, JSON_TEXT)(endpoint('false')));
    expect(asked).toEqual([false, false, false, false, false, undefined, undefined, undefined]);
    expect(filters.isSpent).toBe(true);
    expect(new PublishFilters({ filterEarly }).of(event, JSON_TEXT)(endpoint('false'))).toBe(false);
  });
});
