import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { checkSecret, generateSecret, publicKeyOf, signingKeyOf } from './secrets.ts';

// The key pair of the Svix server's test `test_asymmetric_key_signing`
const PAIR = 'whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==';
const SEED = 'whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbc=';

const symmetric = (bytes: number) => `whsec_${randomBytes(bytes).toString('base64')}`;

describe('a generated secret', () => {
  it('is a symmetric one of 32 bytes, another each time', () => {
    const secret = generateSecret();
    expect(checkSecret(secret)).toBeUndefined();
    expect(signingKeyOf(secret)).toMatchObject({ version: 'v1', key: { length: 32 } });
    expect(generateSecret()).not.toBe(secret);
  });
});

describe('a chosen secret', () => {
  it.each([
    ['of one character', 'x'],
    ['of 256 characters', 'x'.repeat(256)],
    ['of 256 characters outside the basic plane', '🔑'.repeat(256)],
    ['with spaces and quotes', ' a "secret" '],
    ['of 24 bytes', symmetric(24)],
    ['of 64 bytes', symmetric(64)],
    ['that is an ed25519 seed', SEED],
    ['that is an ed25519 key pair', PAIR],
  ])('%s is taken', (_, secret) => {
    expect(checkSecret(secret)).toBeUndefined();
    expect(() => signingKeyOf(secret)).not.toThrow();
  });

  it.each([
    ['is empty', '', 'must have 1 to 256 characters'],
    ['has 257 characters', 'x'.repeat(257), 'must have 1 to 256 characters'],
    ['has a lone surrogate', 'a\ud800', 'must be well-formed Unicode'],
    ['holds 23 bytes', symmetric(23), 'must hold 24 to 64 bytes after whsec_, not 23'],
    ['holds 65 bytes', symmetric(65), 'must hold 24 to 64 bytes after whsec_, not 65'],
    ['holds nothing', 'whsec_', 'must hold 24 to 64 bytes after whsec_, not 0'],
    ['is not base64', `whsec_${'!'.repeat(40)}`, 'must be base64'],
    ['lacks its padding', symmetric(32).slice(0, -1), 'must be base64'],
    ['is in the URL alphabet', `whsec_${'_'.repeat(32)}`, 'must be base64'],
    ['has a line feed', `${symmetric(24)}\n`, 'must be base64'],
    ['has the wrong size for ed25519', `whsk_${randomBytes(33).toString('base64')}`, 'an ed25519 seed of 32'],
    ['has a foreign public key', PAIR.replace('fVKIDi', 'fVKIDj'), 'a public key that belongs to its seed'],
  ])('that %s is refused with the reason', (_, secret, problem) => {
    const message = checkSecret(secret) ?? '';
    expect(message.replace('an ed25519 public', 'a public')).toContain(problem);
    if (secret.length > 6) expect(message).not.toContain(secret.slice(6));
  });
});

describe('the public key', () => {
  it('is the same for seed and key pair', () => {
    expect(publicKeyOf(PAIR)).toBe('whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=');
    expect(publicKeyOf(SEED)).toBe(publicKeyOf(PAIR));
  });

  it('exists for whsk_ secrets alone', () => {
    expect(() => publicKeyOf(generateSecret())).toThrow(TypeError);
    expect(() => publicKeyOf('whsk_AAAA')).toThrow(TypeError);
  });
});
