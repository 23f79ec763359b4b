import { type EventInput, Keyring } from '@sealpost/core';
import { AppConfig, type AppRecord } from '@sealpost/store';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import type { Target } from './match-endpoints.ts';
import { prepareEvent } from './prepare-event.ts';

const NOW = Date.parse('2026-06-01T12:00:00Z');
const keyring = Keyring.fromMasterKeys(Buffer.alloc(32, 1));
const place = { app: 'shop', shard: 0, number: 9, version: 1 };
const config = new AppConfig(place, {} as AppRecord, new Map(), new Map());
const endpoint: Target = { endpoint: 5, endpointId: 'ep_000000000005', skip: undefined };

beforeAll(() => {
  vi.useFakeTimers({ now: NOW, toFake: ['Date'] });
});
afterAll(() => {
  vi.useRealTimers();
});

function prepared(fields: Partial<EventInput>, targets: Target[] = [endpoint]) {
  const draft = { input: { type: 'a.b', payload: 1, ...fields }, payload: '1' };
  return prepareEvent(keyring, config, draft, 100, targets, false);
}

it('an event for later says so, and its deliveries are due then', () => {
  const { record, recordText, deliveries } = prepared({ deliver_at: NOW + 60_000 });
  expect(record).toMatchObject({ at: NOW, da: NOW + 60_000 });
  expect(JSON.parse(recordText)).toEqual(record);
  expect(deliveries.map(({ createdAt, dueAt }) => [createdAt, dueAt])).toEqual([[NOW, NOW + 60_000]]);
});

it('a delivery that is skipped has ended now, not when the event would have gone out', () => {
  const { deliveries } = prepared({ deliver_at: NOW + 60_000 }, [
    { ...endpoint, skip: 'quiet_hours' },
    endpoint,
  ]);
  expect(deliveries.map(({ status, reason, dueAt }) => [status, reason, dueAt])).toEqual([
    ['skipped', 'quiet_hours', NOW],
    ['pending', 'none', NOW + 60_000],
  ]);
});

it.each([undefined, NOW, NOW - 1])('an event with a deliver_at of %s goes out at once', (deliver_at) => {
  const { record, deliveries } = prepared(deliver_at === undefined ? {} : { deliver_at });
  expect(record).not.toHaveProperty('da');
  expect(deliveries[0]!.dueAt).toBe(NOW);
});

it('a webhook_url has the lane of its origin', () => {
  const lane = (webhook_url: string) => prepared({ webhook_url }).record.l;
  // printf https://receiver.example | sha256sum
  expect(lane('https://receiver.example/a?b=c')).toBe('8587e45ddd48');
  expect(lane('https://RECEIVER.example:443/other')).toBe(lane('https://receiver.example/'));
  expect(lane('http://receiver.example/')).not.toBe(lane('https://receiver.example/'));
  expect(lane('https://receiver.example:8443/')).not.toBe(lane('https://receiver.example/'));
  expect(prepared({}).record).not.toHaveProperty('l');
});
