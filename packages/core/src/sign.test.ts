import { createPublicKey, verify } from 'node:crypto';
import { Webhook as StandardWebhook } from 'standardwebhooks';
import { Webhook as SvixWebhook } from 'svix';
import { describe, expect, it } from 'vitest';
import { generateSecret, publicKeyOf } from './secrets.ts';
import { signStandard } from './sign.ts';

// The vectors of the Standard Webhooks reference libraries and of the Svix server, for one message
const MESSAGE = {
  id: 'msg_p5jXN8AQM9LWM0D4loKWxJek',
  timestampSeconds: 1614265330,
  body: '{"test": 2432232314}',
};
const SYMMETRIC = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
const V1 = 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=';
const ASYMMETRIC =
  'whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==';
const V1A = 'v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg==';

describe('the Standard Webhooks signature', () => {
  it('is the published one for a symmetric secret', () => {
    expect(signStandard({ ...MESSAGE, secrets: [SYMMETRIC] })).toBe(V1);
  });

  it('is the published one for an ed25519 secret, each time', () => {
    expect(signStandard({ ...MESSAGE, secrets: [ASYMMETRIC] })).toBe(V1A);
    expect(signStandard({ ...MESSAGE, secrets: [ASYMMETRIC] })).toBe(V1A);
  });

  it('is the same for the bytes of a body as for its text', () => {
    const body = '{"name":"Zoë 🔑"}';
    const secrets = [SYMMETRIC, ASYMMETRIC];
    const ofText = signStandard({ ...MESSAGE, body, secrets });
    expect(signStandard({ ...MESSAGE, body: Buffer.from(body), secrets })).toBe(ofText);
  });

  it('is made with every secret of a rotation, in their order', () => {
    expect(signStandard({ ...MESSAGE, secrets: [SYMMETRIC, ASYMMETRIC] })).toBe(`${V1} ${V1A}`);
    expect(signStandard({ ...MESSAGE, secrets: [ASYMMETRIC, SYMMETRIC] })).toBe(`${V1A} ${V1}`);
    expect(signStandard({ ...MESSAGE, secrets: [] })).toBe('');
  });

  it('is not made with a malformed secret', () => {
    expect(() => signStandard({ ...MESSAGE, secrets: ['whsec_!'] })).toThrow(TypeError);
    expect(() => signStandard({ ...MESSAGE, secrets: ['whsk_AAAA'] })).toThrow(TypeError);
    expect(() => signStandard({ ...MESSAGE, secrets: [''] })).toThrow(TypeError);
  });

  const now = { id: 'evt_000000000001', timestampSeconds: Math.floor(Date.now() / 1000), body: '{"a":"ä"}' };
  const headersFor = (secrets: string[]) => ({
    'webhook-id': now.id,
    'webhook-timestamp': String(now.timestampSeconds),
    'webhook-signature': signStandard({ ...now, secrets }),
  });

  it.each([
    ['standardwebhooks', StandardWebhook],
    ['svix', SvixWebhook],
  ])('passes the verifier of the npm package %s, under both secrets of a rotation', (_, Webhook) => {
    const secrets = [generateSecret(), generateSecret()];
    const headers = headersFor(secrets);
    for (const secret of secrets) {
      expect(() => new Webhook(secret).verify(now.body, headers)).not.toThrow();
      expect(() => new Webhook(secret).verify('{"a":"b"}', headers)).toThrow('No matching signature');
    }
    expect(() => new Webhook(generateSecret()).verify(now.body, headers)).toThrow('No matching signature');
  });

  it("is made with the text's bytes where a secret has no prefix", () => {
    const headers = headersFor(['just a text']);
    const verifier = new StandardWebhook('just a text', { format: 'raw' });
    expect(verifier.verify(now.body, headers)).toEqual({ a: 'ä' });
  });

  it('is verified by the public key alone where it is asymmetric', () => {
    const x = Buffer.from(publicKeyOf(ASYMMETRIC).slice(5), 'base64').toString('base64url');
    const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' });
    const signature = Buffer.from(signStandard({ ...now, secrets: [ASYMMETRIC] }).slice(4), 'base64');
    const message = Buffer.from(`${now.id}.${now.timestampSeconds}.${now.body}`);
    expect(verify(null, message, key, signature)).toBe(true);
  });
});
