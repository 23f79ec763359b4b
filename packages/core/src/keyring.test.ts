import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { Keyring, KeyringError, type SealFields } from './keyring.ts';

const OLD = Buffer.alloc(32, 1);
const NEW = Buffer.alloc(32, 2);
const old = Keyring.fromMasterKeys(OLD);
const rotated = Keyring.fromMasterKeys(NEW, OLD);
const stranger = Keyring.fromMasterKeys(Buffer.alloc(32, 3));

const FIELDS: SealFields = {
  app: 'default',
  delivery: 'dlv_000000000001',
  event: 'evt_000000000001',
  endpoint: 'ep_000000000001',
  contentType: 'application/json',
  recordHash: '\x09'.repeat(32),
};
const PLACE = { app: 'default', record: 'ep_000000000001', field: 'secret' };

const codeOf = (action: () => unknown) => {
  try {
    action();
  } catch (error) {
    return error instanceof KeyringError ? error.code : error;
  }
  return 'nothing thrown';
};

describe('a keyring', () => {
  it('has an id of 8 hex digits for each master key, the same in every process', () => {
    expect(old.keyId).toMatch(/^[0-9a-f]{8}$/);
    expect(Keyring.fromMasterKeys(OLD).keyId).toBe(old.keyId);
    expect(rotated.keyId).not.toBe(old.keyId);
  });

  it('knows the current and the previous key', () => {
    expect([rotated.knows(rotated.keyId), rotated.knows(old.keyId), old.knows(rotated.keyId)]).toEqual([
      true,
      true,
      false,
    ]);
  });

  it('refuses master keys of another length', () => {
    expect(() => Keyring.fromMasterKeys(Buffer.alloc(31))).toThrow(RangeError);
    expect(() => Keyring.fromMasterKeys(OLD, Buffer.alloc(33))).toThrow(RangeError);
  });

  it('shows no key when it is printed', () => {
    const printed = inspect(rotated, { depth: 9, showHidden: true });
    expect(printed).toBe(`Keyring { keyId: '${rotated.keyId}', [previousKeyId]: [Getter] }`);
  });
});

describe('a seal', () => {
  const seal = old.seal(FIELDS);

  it('has 20 bytes and is valid for its fields, also after a rotation', () => {
    expect(seal).toHaveLength(20);
    expect(old.verifySeal(old.keyId, FIELDS, seal)).toBe('valid');
    expect(rotated.verifySeal(old.keyId, FIELDS, seal)).toBe('valid');
  });

  it.each([
    ['app', 'other'],
    ['delivery', 'dlv_000000000002'],
    ['event', 'evt_000000000002'],
    ['endpoint', 'ep_000000000002'],
    ['contentType', 'text/plain'],
    ['recordHash', '\x08'.repeat(32)],
  ])('is invalid for another %s', (field, value) => {
    expect(old.verifySeal(old.keyId, { ...FIELDS, [field]: value }, seal)).toBe('invalid');
  });

  it('is invalid when text moves from one field to the next', () => {
    const moved = { ...FIELDS, app: 'defaul', delivery: 'tdlv_000000000001' };
    expect(old.verifySeal(old.keyId, moved, seal)).toBe('invalid');
  });

  it.each([
    ['cut short', seal.subarray(0, 19)],
    ['empty', Buffer.alloc(0)],
    ['lengthened', Buffer.concat([seal, Buffer.alloc(1)])],
    ['changed in one bit', Buffer.from(seal.map((byte, i) => (i === 19 ? byte ^ 1 : byte)))],
  ])('is invalid when %s', (_, changed) => {
    expect(old.verifySeal(old.keyId, FIELDS, changed)).toBe('invalid');
  });

  it('is invalid under the id of another known key', () => {
    expect(rotated.verifySeal(rotated.keyId, FIELDS, seal)).toBe('invalid');
  });

  it('is neither valid nor invalid where its key is not known', () => {
    expect(stranger.verifySeal(old.keyId, FIELDS, seal)).toBe('unknown_key');
  });
});

describe('an encrypted text', () => {
  const text = old.encrypt('whsec_ä🔑', PLACE);

  it('comes back in its place, also after a rotation', () => {
    expect(text).toMatch(new RegExp(`^v1\\.${old.keyId}\\.[A-Za-z0-9_-]+$`));
    expect(old.decrypt(text, PLACE)).toBe('whsec_ä🔑');
    expect(rotated.decrypt(text, PLACE)).toBe('whsec_ä🔑');
    expect(old.decrypt(old.encrypt('', PLACE), PLACE)).toBe('');
  });

  it('is another one each time', () => {
    expect(old.encrypt('whsec_ä🔑', PLACE)).not.toBe(text);
  });

  it.each([{ app: 'other' }, { record: 'ep_000000000002' }, { field: 'headers' }])(
    'does not come back in another place: %j',
    (other) => {
      expect(codeOf(() => old.decrypt(text, { ...PLACE, ...other }))).toBe('tampered');
    },
  );

  it('does not come back when any of it is changed', () => {
    const sealed = Buffer.from(text.split('.')[2]!, 'base64url');
    for (const at of sealed.keys()) {
      const changed = Buffer.from(sealed);
      changed[at]! ^= 1;
      const forged = `v1.${old.keyId}.${changed.toString('base64url')}`;
      expect(codeOf(() => old.decrypt(forged, PLACE))).toBe('tampered');
    }
  });

  it.each([
    '',
    'v1',
    `v1.${old.keyId}`,
    `v1.${old.keyId}.`,
    `v1.${old.keyId}.AAAA`,
    `v2.${text.slice(3)}`,
    `${text}.x`,
  ])('is not read from %j', (forged) => {
    expect(codeOf(() => old.decrypt(forged, PLACE))).toBe('tampered');
  });

  it('does not come back under another known key', () => {
    const relabelled = text.replace(old.keyId, rotated.keyId);
    expect(codeOf(() => rotated.decrypt(relabelled, PLACE))).toBe('tampered');
  });

  it('names an unknown key as such', () => {
    expect(codeOf(() => stranger.decrypt(text, PLACE))).toBe('unknown_key');
  });
});

describe('the MAC of a record', () => {
  const mac = old.mac('ep_1', 'default', '{"url":"https://a.example"}');
  const check = (keyring: Keyring, ...args: [string, string, string]) => keyring.verifyMac(mac, ...args);

  it('is valid for its record, app and text alone', () => {
    expect(check(old, 'ep_1', 'default', '{"url":"https://a.example"}')).toBe('valid');
    expect(check(rotated, 'ep_1', 'default', '{"url":"https://a.example"}')).toBe('valid');
    expect(check(old, 'ep_2', 'default', '{"url":"https://a.example"}')).toBe('invalid');
    expect(check(old, 'ep_1', 'other', '{"url":"https://a.example"}')).toBe('invalid');
    expect(check(old, 'ep_1', 'default', '{"url":"https://b.example"}')).toBe('invalid');
    expect(check(stranger, 'ep_1', 'default', '{"url":"https://a.example"}')).toBe('unknown_key');
  });

  it.each(['', 'x', `${old.keyId}.`, `${old.keyId}.AAAA`])('is invalid when malformed: %j', (forged) => {
    expect(old.verifyMac(forged, 'ep_1', 'default', '{}')).toBe('invalid');
  });
});

describe('hashes and tokens', () => {
  it('find an API key that was stored before the rotation', () => {
    expect(rotated.hashesOfApiKey('sk_1')).toEqual([rotated.hashApiKey('sk_1'), old.hashApiKey('sk_1')]);
    expect(Keyring.fromMasterKeys(OLD, OLD).hashesOfApiKey('sk_1')).toEqual([old.hashApiKey('sk_1')]);
  });

  it('verify a token for its purpose and text alone', () => {
    const token = old.token('cookie', 'operator');
    expect(token).toMatch(/^[A-Za-z0-9_-]{43}$/);
    expect(rotated.verifyToken('cookie', 'operator', token)).toBe(true);
    expect(old.verifyToken('cookieo', 'perator', token)).toBe(false);
    expect(old.verifyToken('cookie', 'operators', token)).toBe(false);
    expect(old.verifyToken('cookie', 'operator', '')).toBe(false);
    expect(stranger.verifyToken('cookie', 'operator', token)).toBe(false);
  });

  it('seal as they always have: what is stored is to be checked', () => {
    const seal = old.seal({ ...FIELDS, recordHash: '\xe9'.repeat(32) }).toString('hex');
    expect(seal).toBe('58f8b93dcd4c0d51bae168d8e22784616f549edd');
  });

  it('of one use are nothing in another', () => {
    // Each value is an HMAC; but for their keys, those that are compared would be over the same text
    expect(old.hashApiKey('1:a1:b')).not.toBe(old.token('a', 'b'));
    expect(old.hashApiKey('1:a1:b1:c')).not.toBe(old.mac('a', 'b', 'c').slice(9));
    const seal = old.seal({ ...FIELDS, recordHash: '' }).toString('base64url');
    const { app, delivery, event, endpoint, contentType } = FIELDS;
    const parts = [old.keyId, app, delivery, event, endpoint, contentType];
    const sealed = parts.map((part) => `${part.length}:${part}`).join('');
    expect(old.hashApiKey(sealed).startsWith(seal.slice(0, 26))).toBe(false);
  });
});

describe('when the master key before is given up', () => {
  const key = 'sk_0123456789';

  it('API keys hashed under it are still found, once what hashed them is adopted', () => {
    const alone = Keyring.fromMasterKeys(NEW);
    const stored = old.hashApiKey(key);
    expect(alone.hashesOfApiKey(key)).not.toContain(stored);
    const sealed = rotated.sealFormerApiKeys();
    expect(Object.keys(sealed)).toEqual([old.keyId]);
    alone.adoptFormerApiKeys(old.keyId, sealed[old.keyId]!);
    expect(alone.hashesOfApiKey(key)).toEqual([alone.hashApiKey(key), stored]);
  });

  it('nothing but API keys is known of it, and nobody else can adopt it', () => {
    const alone = Keyring.fromMasterKeys(NEW);
    const sealed = rotated.sealFormerApiKeys()[old.keyId]!;
    alone.adoptFormerApiKeys(old.keyId, sealed);
    expect(alone.knows(old.keyId)).toBe(false);
    expect(codeOf(() => alone.adoptFormerApiKeys('00000000', sealed))).toBe('tampered');
    expect(codeOf(() => stranger.adoptFormerApiKeys(old.keyId, sealed))).toBe('unknown_key');
  });

  it('a text is encrypted anew for the same place only', () => {
    const sealed = old.encrypt('secret', PLACE);
    const again = rotated.reencrypt(sealed, PLACE);
    expect(Keyring.fromMasterKeys(NEW).decrypt(again, PLACE)).toBe('secret');
    expect(codeOf(() => rotated.reencrypt(sealed, { ...PLACE, field: 'other' }))).toBe('tampered');
  });
});
