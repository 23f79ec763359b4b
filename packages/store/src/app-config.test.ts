import { expect, it } from 'vitest';
import { AppConfig } from './app-config.ts';
import type { AppRecord, EndpointRecord } from './config-records.ts';

const record = {} as AppRecord;
const empty = new AppConfig({ app: 'shop', shard: 0, number: 1, version: 1 }, record, new Map(), new Map());

function named(id: string, name: string | null) {
  return { [id]: { id, name } as EndpointRecord };
}

it('knows who has a name, version by version', () => {
  const one = empty.next(2, { endpoints: named('ep_1', 'a') });
  expect(one.endpointNamed('a')?.id).toBe('ep_1');
  const two = one.next(3, { endpoints: named('ep_2', 'b') });
  expect([two.endpointNamed('a')?.id, two.endpointNamed('b')?.id]).toEqual(['ep_1', 'ep_2']);
  const swapped = two.next(4, { endpoints: { ...named('ep_1', 'b'), ...named('ep_2', 'a') } });
  expect([swapped.endpointNamed('a')?.id, swapped.endpointNamed('b')?.id]).toEqual(['ep_2', 'ep_1']);
  const gone = swapped.next(5, { endpoints: { ...named('ep_1', null), ep_2: null } });
  expect([gone.endpointNamed('a'), gone.endpointNamed('b'), gone.endpointNamed('__proto__')]).toEqual([
    undefined,
    undefined,
    undefined,
  ]);
  // A version that has been left behind still knows its own.
  expect([one.endpointNamed('a')?.id, one.endpointNamed('b')]).toEqual(['ep_1', undefined]);
  expect([two.endpointNamed('a')?.id, two.endpointNamed('b')?.id]).toEqual(['ep_1', 'ep_2']);
});
