import { eventInput, formatId, reasonNumber } from '@sealpost/core';
import type { Delivery } from '@sealpost/store';
import { describe, expect, it } from 'vitest';
import { carriedOperationalEvent, describeEntry } from './describe-entry.ts';
import type { OutboxEntry } from './parse-entry.ts';

const AT = Date.UTC(2026, 10, 22, 10, 0, 0);
const common = { i: 17, a: 2, e: 3, at: AT };
const since = AT - 90_000;
const SINCE = '2026-11-22T09:58:30.000Z';
const NOW = '2026-11-22T10:00:00.000Z';

/** As much of it as an event tells. */
const delivery = (eventId: string) => ({ eventId, event: { t: 'order.created' } }) as Delivery;

describe('describeEntry', () => {
  const cases: [OutboxEntry, object][] = [
    [
      { ...common, t: 'lane.closed', since },
      { failing_since: SINCE, closed_at: NOW },
    ],
    [
      { ...common, t: 'lane.opened', since, by: 'change' },
      { closed_since: SINCE, opened_at: NOW, by: 'change' },
    ],
    [
      { ...common, t: 'endpoint.recovered', since },
      { failing_since: SINCE, recovered_at: NOW },
    ],
    [
      { ...common, t: 'endpoint.disabled', r: 'gone' },
      { reason: 'gone', disabled_at: NOW },
    ],
    [
      { ...common, t: 'deliveries.expired', count: 42 },
      { count: 42, expired_at: NOW },
    ],
    [
      { ...common, t: 'delivery.dead', d: 99, r: reasonNumber('http_status'), n: 4 },
      {
        delivery_id: formatId('dlv', 1, 99),
        event_id: 'order-7',
        event_type: 'order.created',
        reason: 'http_status',
        attempt_count: 4,
        died_at: NOW,
      },
    ],
  ];

  it.each(cases)('tells of %o', (entry, details) => {
    const dead = entry.t === 'delivery.dead' ? delivery('order-7') : undefined;
    const event = describeEntry(1, entry, 'shop', dead);
    expect(event.type).toBe(entry.t);
    expect(event.payload).toEqual({ app_id: 'shop', endpoint_id: formatId('ep', 1, 3), ...details });
  });

  it('a webhook_url is no endpoint', () => {
    const entry: OutboxEntry = { ...common, e: 0, t: 'lane.closed', since };
    expect(describeEntry(1, entry, 'shop', undefined).payload.endpoint_id).toBeNull();
  });

  it('what is not known any more, or not yet, is null', () => {
    const entry: OutboxEntry = { ...common, t: 'delivery.dead', d: 99, r: 250, n: 4 };
    const { payload } = describeEntry(1, entry, 'shop', undefined);
    expect(payload).toMatchObject({ event_id: null, event_type: null, reason: null });
  });

  it('has an id that is made of shard and entry, and that a publisher may choose', () => {
    const entry: OutboxEntry = { ...common, t: 'lane.closed', since };
    const ids = [
      describeEntry(1, entry, 'shop', undefined).id,
      describeEntry(1, { ...entry, i: 18 }, 'shop', undefined).id,
      describeEntry(2, entry, 'shop', undefined).id,
      describeEntry(1, { ...entry, at: AT + 1 }, 'shop', undefined).id,
    ];
    expect(ids[0]).toBe(`op-1-17-${AT.toString(36)}`);
    expect(new Set(ids).size).toBe(ids.length);
    for (const id of ids) expect(eventInput.safeParse({ type: 'a', payload: 1, id }).success).toBe(true);
    const longest = { ...entry, i: Number.MAX_SAFE_INTEGER, at: 8.64e15 };
    const { id } = describeEntry(1023, longest, 'shop', undefined);
    expect(eventInput.safeParse({ type: 'a', payload: 1, id }).success).toBe(true);
  });
});

describe('carriedOperationalEvent', () => {
  it.each([
    [`op-0-1-${AT.toString(36)}`, true],
    ['order-7', false],
    ['evt_000000000001', false],
    ['op-order-7', false],
  ])('%s: %s', (id, expected) => {
    expect(carriedOperationalEvent(delivery(id))).toBe(expected);
  });

  it('what no delivery is known of: no', () => {
    expect(carriedOperationalEvent(undefined)).toBe(false);
  });
});
