import type { AppRecord, Delivery } from '@sealpost/store';
import { expect, it } from 'vitest';
import { chooseApps } from './choose-apps.ts';

const app = (name: string, operationalEvents: boolean) => ({ app: name, operationalEvents }) as AppRecord;
const dead = (eventId: string) => ({ eventId }) as Delivery;

it.each([
  ['the operators alone', app('shop', false), undefined, ['sealpost']],
  ['the app too, if it asked', app('shop', true), undefined, ['sealpost', 'shop']],
  ['both of a dead delivery', app('shop', true), dead('order-7'), ['sealpost', 'shop']],
  ['not the app of what only told it something', app('shop', true), dead('op-0-1-mabc'), ['sealpost']],
  ["nobody of the operators' app itself", app('sealpost', true), undefined, []],
] as const)('tells %s', (_what, concerned, delivery, apps) => {
  expect(chooseApps(concerned, delivery)).toEqual(apps);
});

it('a record that was written before the setting existed has not asked', () => {
  expect(chooseApps({ app: 'shop' } as AppRecord, undefined)).toEqual(['sealpost']);
});
