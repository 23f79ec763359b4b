import { describe, expect, it } from 'vitest';
import { AddressPolicy } from '../address-policy.ts';
import { appInput } from './app.ts';
import { endpointInput, endpointPatch } from './endpoint.ts';
import { eventInput } from './event.ts';
import { inputParser } from './parse.ts';

const parser = inputParser({ httpsOnly: false, policy: new AddressPolicy() });
const SIGNATURE = { encoding: 'hex', content: '{timestamp}.{body}', value: 't={timestamp},v1={signature}' };

function errorsOf(wire_profile: unknown) {
  const parsed = parser.tryParse(endpointInput, { url: 'https://a.example/', wire_profile });
  return 'errors' in parsed ? parsed.errors : [];
}

describe('a wire profile', () => {
  it.each([
    'standard',
    'raw',
    'flock',
    'taskflow',
    'aifai',
    'flagship',
    {},
    { headers: {} },
    { envelope: 'payload' },
    { signature: 'standard' },
    { headers: { signature: 'X-Sig' } },
    { headers: { event: 'X-Event', delivery: 'X-Delivery', timestamp: 'X-Time', id: 'X-Id' } },
    {
      headers: { signature: 'Authorization' },
      signature: 'sha256-base64',
      user_agent: 'Acme Hooks/1 (a; b)',
    },
    { headers: { signature: 'S' }, signature: SIGNATURE },
    { headers: { signature: 'S' }, signature: { ...SIGNATURE, former: ',v1={signature}' } },
    {
      headers: { signature: 'S' },
      signature: { encoding: 'base64', content: 'v0:{id}:{body}', value: '{signature}' },
    },
  ])('%j is taken as it is, by apps, endpoints and events', (wire_profile) => {
    expect(errorsOf(wire_profile)).toEqual([]);
    expect(parser.parse(appInput, { wire_profile }).wire_profile).toEqual(wire_profile);
    expect(parser.parse(endpointPatch, { wire_profile }).wire_profile).toEqual(wire_profile);
    expect(parser.parse(eventInput, { type: 'a', payload: 1, wire_profile }).wire_profile).toEqual(
      wire_profile,
    );
  });

  const name = 'must be one of standard, raw, flock, taskflow, aifai, flagship, or an object';
  const notAllowed = 'is a header that cannot be set';
  const characters = 'must be of characters that HTTP allows in header names';
  const visible = 'must be visible ASCII characters and spaces in between';
  const signature = (fields: object) => ({
    headers: { signature: 'S' },
    signature: { ...SIGNATURE, ...fields },
  });

  it.each<[unknown, string, string]>([
    ['x', '', name],
    ['constructor', '', name],
    [null, '', name],
    [[], '', name],
    [1, '', name],
    [{ extra: 1 }, 'extra', 'is not a known field'],
    [JSON.parse('{"headers":{"__proto__":"X"}}'), 'headers.__proto__', 'is not a known field'],
    [{ headers: [] }, 'headers', 'must be an object'],
    [{ headers: { sig: 'X-S' } }, 'headers.sig', 'is not a known field'],
    [{ headers: { event: '' } }, 'headers.event', 'must have at least 1 character'],
    [{ headers: { event: 1 } }, 'headers.event', 'must be a string'],
    [{ headers: { event: 'x'.repeat(129) } }, 'headers.event', 'must have at most 128 characters'],
    [{ headers: { event: 'X A' } }, 'headers.event', characters],
    [{ headers: { event: 'X:A' } }, 'headers.event', characters],
    [{ headers: { event: 'X\r\nY' } }, 'headers.event', characters],
    [{ headers: { event: 'Content-Length' } }, 'headers.event', notAllowed],
    [{ headers: { event: 'HOST' } }, 'headers.event', notAllowed],
    [{ headers: { event: 'Proxy-Authorization' } }, 'headers.event', notAllowed],
    [{ headers: { id: 'Webhook-Id' } }, 'headers.id', notAllowed],
    [{ headers: { event: 'User-Agent' } }, 'headers.event', notAllowed],
    [{ headers: { event: 'accept-encoding' } }, 'headers.event', notAllowed],
    [{ headers: { event: '__proto__' } }, 'headers.event', notAllowed],
    [{ headers: { event: 'X-A', id: 'x-a' } }, 'headers.id', 'must be another name than the ones before it'],
    [
      { signature: 'sha1-hex' },
      'signature',
      'must be one of sha256-hex, sha256-base64, standard, or an object',
    ],
    [{ signature: 'sha256-hex' }, 'headers.signature', 'is required with this signature'],
    [{ signature: SIGNATURE }, 'headers.signature', 'is required with this signature'],
    [signature({ encoding: 'base32' }), 'signature.encoding', 'must be one of hex, base64'],
    [signature({ extra: 1 }), 'signature.extra', 'is not a known field'],
    [signature({ content: undefined }), 'signature.content', 'is required'],
    [signature({ content: '{timestamp}' }), 'signature.content', 'must have {body} once'],
    [signature({ content: '{body}{body}' }), 'signature.content', 'must have {body} once'],
    [
      signature({ content: '{body}{url}' }),
      'signature.content',
      'must have no other braces than {body}, {timestamp}, {id}',
    ],
    [signature({ content: '{body}\n' }), 'signature.content', visible],
    [
      signature({ content: `${'x'.repeat(256)}{body}` }),
      'signature.content',
      'must have at most 256 characters',
    ],
    [signature({ value: 'x' }), 'signature.value', 'must have {signature} once'],
    [signature({ value: '{signature}\r\nX: y' }), 'signature.value', visible],
    [signature({ value: ' {signature}' }), 'signature.value', visible],
    [
      signature({ value: '{{signature}}' }),
      'signature.value',
      'must have no other braces than {signature}, {timestamp}, {id}',
    ],
    [
      signature({ value: '{body}{signature}' }),
      'signature.value',
      'must have no other braces than {signature}, {timestamp}, {id}',
    ],
    [signature({ former: ',v1=' }), 'signature.former', 'must have {signature} once'],
    [{ user_agent: '' }, 'user_agent', 'must have at least 1 character'],
    [{ user_agent: 'a\r\nb' }, 'user_agent', visible],
    [{ user_agent: 'ä' }, 'user_agent', visible],
    [{ user_agent: 'x'.repeat(257) }, 'user_agent', 'must have at most 256 characters'],
    [{ envelope: 'raw' }, 'envelope', 'must be one of standard, payload'],
  ])('%j is refused, by one message', (profile, path, message) => {
    const full = path === '' ? 'wire_profile' : `wire_profile.${path}`;
    expect(errorsOf(profile)).toEqual([{ path: full, message }]);
  });

  it('has a message for each of its bad fields', () => {
    const errors = errorsOf({ headers: { id: 'host' }, user_agent: '', envelope: 1 });
    expect(errors.map(({ path }) => path)).toEqual([
      'wire_profile.headers.id',
      'wire_profile.user_agent',
      'wire_profile.envelope',
    ]);
  });
});
