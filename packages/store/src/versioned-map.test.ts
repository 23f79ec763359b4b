import fc from 'fast-check';
import { expect, it } from 'vitest';
import { VersionedMap } from './versioned-map.ts';

it('is in every version what a copied map would be, also after later changes', () => {
  const key = fc.integer({ min: 0, max: 150 }).map((n) => `k${n}`);
  const change = fc.dictionary(key, fc.option(fc.record({ n: fc.nat() })), { maxKeys: 5 });
  fc.assert(
    fc.property(fc.array(change, { maxLength: 150 }), (changes) => {
      let map = new VersionedMap<{ n: number }>();
      let copy = new Map<string, { n: number }>();
      const versions: [VersionedMap<{ n: number }>, Map<string, { n: number }>][] = [];
      for (const one of changes) {
        map = map.with(one);
        copy = new Map(copy);
        for (const [k, value] of Object.entries(one)) {
          if (value === null) copy.delete(k);
          else copy.set(k, value);
        }
        versions.push([map, copy]);
      }
      for (const [actual, expected] of versions) {
        expect(actual.size).toBe(expected.size);
        expect(Object.fromEntries(actual)).toEqual(Object.fromEntries(expected));
        expect([...actual.keys()].sort()).toEqual([...expected.keys()].sort());
        for (let n = 0; n <= 150; n++) {
          expect(actual.get(`k${n}`)).toBe(expected.get(`k${n}`));
          expect(actual.has(`k${n}`)).toBe(expected.has(`k${n}`));
        }
      }
    }),
    { numRuns: 30 },
  );
});

it('keeps the order of its entries, whatever is changed among them, and puts new ones last', () => {
  let map = new VersionedMap<{ n: number }>(new Map([1, 2, 3].map((n) => [`k${n}`, { n }])));
  map = map
    .with({ k4: { n: 4 } })
    .with({ k2: { n: 5 } })
    .with({ k1: null });
  expect([...map.values()].map(({ n }) => n)).toEqual([5, 3, 4]);
  const seen: string[] = [];
  map.forEach((_, key) => {
    seen.push(key);
  });
  expect(seen).toEqual(['k2', 'k3', 'k4']);
});
