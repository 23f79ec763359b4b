import { Keyring, KeyringError } from '@sealpost/core';
import { expect, it } from 'vitest';
import { openRecord, sealRecord } from './config-records.ts';

const keyring = Keyring.fromMasterKeys(Buffer.alloc(32, 1));
const other = Keyring.fromMasterKeys(Buffer.alloc(32, 2));
const record = { id: 'ep_1', url: 'https://receiver.example/a.b' };

it('a record comes back as it was stored', () => {
  expect(openRecord(keyring, 'shop', 'ep_1', sealRecord(keyring, 'shop', 'ep_1', record))).toEqual(record);
});

it.each<[string, (stored: string) => string, string, string]>([
  ['was changed', (stored) => stored.replace('receiver', 'attacker'), 'shop', 'ep_1'],
  ['was moved to another app', (stored) => stored, 'other', 'ep_1'],
  ['was moved to another field', (stored) => stored, 'shop', 'ep_2'],
  ['has no MAC', (stored) => stored.slice(stored.indexOf('{')), 'shop', 'ep_1'],
  ['is empty', () => '', 'shop', 'ep_1'],
])('a record that %s is refused', (_, change, app, field) => {
  const stored = change(sealRecord(keyring, 'shop', 'ep_1', record));
  expect(() => openRecord(keyring, app, field, stored)).toThrow(
    expect.objectContaining({ code: 'config_invalid' }),
  );
});

it('a record of another master key is told apart from a changed one, and opens with the key before', () => {
  const stored = sealRecord(other, 'shop', 'ep_1', record);
  expect(() => openRecord(keyring, 'shop', 'ep_1', stored)).toThrow(KeyringError);
  const rotated = Keyring.fromMasterKeys(Buffer.alloc(32, 1), Buffer.alloc(32, 2));
  expect(openRecord(rotated, 'shop', 'ep_1', stored)).toEqual(record);
});
