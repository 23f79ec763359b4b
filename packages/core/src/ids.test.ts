import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  endpointNumber,
  formatId,
  jobId,
  looksGenerated,
  MAX_ID_NUMBER,
  MAX_SHARDS,
  parseId,
  parseJobId,
} from './ids.ts';

const shard = fc.nat(MAX_SHARDS - 1);
const number = fc.maxSafeNat().map((n) => n % MAX_ID_NUMBER);

describe('generated ids', () => {
  it('have a prefix, two characters of shard and ten of number', () => {
    expect(formatId('dlv', 0, 0)).toBe('dlv_000000000000');
    expect(formatId('evt', 33, 32)).toBe('evt_110000000010');
    expect(formatId('ep', MAX_SHARDS - 1, MAX_ID_NUMBER - 1)).toBe('ep_zzzzzzzzzzzz');
  });

  it('come back as the shard and number that they were made of', () => {
    fc.assert(
      fc.property(shard, number, (s, n) => {
        expect(parseId('dlv', formatId('dlv', s, n))).toEqual({ shard: s, number: n });
      }),
    );
  });

  it('sort as their numbers do within a shard', () => {
    fc.assert(
      fc.property(shard, number, number, (s, a, b) => {
        expect(formatId('evt', s, a) < formatId('evt', s, b)).toBe(a < b);
      }),
    );
  });

  it('of an endpoint stay, and its number follows from them, in every shard', () => {
    fc.assert(
      fc.property(shard, shard, fc.nat(2 ** 21 - 1), (born, there, n) => {
        const id = formatId('ep', born, n);
        const guest = endpointNumber(there, id)!;
        expect(formatId('ep', there, guest)).toBe(id);
        expect(guest).toBeLessThan(2 ** 32);
        expect(guest < 2 ** 31).toBe(born === there);
      }),
    );
    expect(endpointNumber(1, formatId('ep', 0, 2 ** 21))).toBeUndefined();
    expect(endpointNumber(0, formatId('ep', 0, 2 ** 21))).toBe(2 ** 21);
    expect(endpointNumber(0, 'evt_000000000001')).toBeUndefined();
  });

  it.each([
    [-1, 0],
    [MAX_SHARDS, 0],
    [0, -1],
    [0, MAX_ID_NUMBER],
    [0, 1.5],
    [Number.NaN, 0],
  ])('do not exist for shard %d, number %d', (s, n) => {
    expect(() => formatId('dlv', s, n)).toThrow(RangeError);
  });

  it.each([
    'dlv_00000000000',
    'dlv_0000000000000',
    'dlv-000000000000',
    'evt_000000000000',
    'DLV_000000000000',
    'dlv_00000000000A',
    'dlv_00000000000i',
    'dlv_00000000000l',
    'dlv_00000000000o',
    'dlv_00000000000u',
    'dlv_00000000000é',
    'dlv_00000000000\u{0}',
    '',
  ])('are read in their exact form only: %j', (text) => {
    expect(parseId('dlv', text)).toBeUndefined();
  });

  it('are told from the ids that publishers choose', () => {
    expect(looksGenerated(formatId('evt', 3, 77))).toBe(true);
    expect(looksGenerated('evt_mine')).toBe(false);
    expect(looksGenerated('evt_00000000000U')).toBe(false);
  });
});

describe('job ids', () => {
  it('come back as delivery and generation', () => {
    const deliveryId = formatId('dlv', 1, 99);
    expect(jobId(deliveryId, 12)).toBe('dlv_010000000033-12');
    expect(parseJobId(jobId(deliveryId, 12))).toEqual({ deliveryId, generation: 12 });
    expect(parseJobId(jobId(deliveryId, 0))).toEqual({ deliveryId, generation: 0 });
  });

  it.each(['dlv_010000000033', 'dlv_010000000033-', 'dlv_010000000033-01', 'evt_010000000033-1', 'x-1', '5'])(
    'are read in their exact form only: %j',
    (text) => {
      expect(parseJobId(text)).toBeUndefined();
    },
  );
});
