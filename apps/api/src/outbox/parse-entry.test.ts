import { describe, expect, it } from 'vitest';
import { parseEntry } from './parse-entry.ts';

const AT = 1_790_000_000_000;
const dead = { i: 1, t: 'delivery.dead', a: 2, e: 3, at: AT, d: 4, r: 1, n: 5 };

describe('parseEntry', () => {
  it.each([
    dead,
    { ...dead, e: 0 },
    { i: 1, t: 'lane.closed', a: 2, e: 3, at: AT, since: AT - 5000 },
    { i: 1, t: 'lane.opened', a: 2, e: 3, at: AT, since: AT - 5000, by: 'change' },
    { i: 1, t: 'lane.opened', a: 2, e: 3, at: AT, since: AT - 5000, by: 'answer' },
    { i: 1, t: 'lane.opened', a: 2, e: 3, at: AT, since: AT - 5000, by: 'success' },
    { i: 1, t: 'endpoint.recovered', a: 2, e: 3, at: AT, since: AT - 5000 },
    { i: 1, t: 'endpoint.disabled', a: 2, e: 3, at: AT, r: 'gone' },
    { i: 1, t: 'deliveries.expired', a: 2, e: 3, at: AT, count: 100 },
  ])('takes $t as the scripts write it', (entry) => {
    expect(parseEntry(JSON.stringify(entry))).toEqual(entry);
  });

  it('leaves out what a newer script adds', () => {
    expect(parseEntry(JSON.stringify({ ...dead, more: 1 }))).toEqual(dead);
  });

  it.each([
    ['no JSON', '{"i":1'],
    ['no object', '7'],
    ['an empty text', ''],
    ['another type', JSON.stringify({ ...dead, t: 'order.created' })],
    ['no number of the entry', JSON.stringify({ ...dead, i: undefined })],
    ['no app', JSON.stringify({ ...dead, a: 0 })],
    ['a number that has no id', JSON.stringify({ ...dead, d: 32 ** 10 })],
    ['a fraction', JSON.stringify({ ...dead, e: 1.5 })],
    ['a time that no date holds', JSON.stringify({ ...dead, at: 8.65e15 })],
    ['a text where a number belongs', JSON.stringify({ ...dead, n: '5' })],
    [
      'a reason that is no name',
      JSON.stringify({ i: 1, t: 'endpoint.disabled', a: 2, e: 3, at: AT, r: 'see http://x' }),
    ],
  ])('refuses %s', (_what, text) => {
    expect(parseEntry(text)).toBeUndefined();
  });
});
