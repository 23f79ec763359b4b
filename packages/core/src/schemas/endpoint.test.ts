import { describe, expect, it } from 'vitest';
import type { z } from 'zod';
import { AddressPolicy } from '../address-policy.ts';
import { appInput } from './app.ts';
import {
  endpointInput,
  endpointPatch,
  endpointPut,
  rotateInput,
  testInput,
  testPayloadField,
} from './endpoint.ts';
import { inputParser } from './parse.ts';

const parser = inputParser({ httpsOnly: false, policy: new AddressPolicy() });
const url = 'https://example.com/hook';

function errorsOf(schema: z.ZodType, value: unknown) {
  const parsed = parser.tryParse(schema, value);
  return 'errors' in parsed ? parsed.errors : [];
}

describe.each([
  ['endpointInput', endpointInput],
  ['endpointPut', endpointPut],
])('%s', (_, schema) => {
  it('fills in what does not come from the app', () => {
    expect(parser.parse(schema, { url })).toEqual({
      url,
      description: '',
      event_types: [],
      environments: [],
      headers: {},
      enabled: true,
      ordered: false,
      metadata: {},
    });
  });

  it('takes every field', () => {
    const input = {
      url,
      name: 'Büro 1',
      description: 'two\nlines',
      event_types: ['job.*', 'a.**'],
      environments: ['prod', 'eu-1.test'],
      headers: { Authorization: 'Bearer x', 'User-Agent': 'mine/1', 'X-Empty': '' },
      secret: '😀'.repeat(256),
      wire_profile: 'raw',
      enabled: false,
      timeout_seconds: 1.5,
      retry: { max_retries: 5 },
      ordered: true,
      max_concurrency: 1000,
      rate_limit: { limit: 10_000, period_seconds: 1.5, over: 'skip' },
      quiet_hours: {
        start_hour: 22,
        end_hour: 0,
        timezone: 'America/Argentina/Buenos_Aires',
        during: 'skip',
      },
      metadata: { a: 'b', n: 1.5, yes: true, none: null },
    };
    expect(parser.parse(schema, input)).toEqual(input);
  });

  it('takes null where it is shown, or means none, and no other null', () => {
    for (const field of ['name', 'max_concurrency', 'rate_limit', 'quiet_hours'])
      expect(errorsOf(schema, { url, [field]: null })).toHaveLength(0);
    for (const field of ['metadata', 'ordered'])
      expect(errorsOf(schema, { url, [field]: null })).toHaveLength(1);
  });
});

describe('a filter and a transform', () => {
  const schemas = [endpointInput, endpointPut, endpointPatch];

  it.each([{ filter: 'payload.n > 1' }, { filter: null }, { transform: 'payload' }, { transform: null }])(
    '%j is taken',
    (field) => {
      for (const schema of schemas) expect(errorsOf(schema, { url, ...field })).toEqual([]);
    },
  );

  it.each([
    [{ filter: '1 + 1' }, 'is a int, where a filter is true or false'],
    [{ filter: '' }, 'is empty: leave it out, or give null'],
    [{ filter: 5 }, 'must be a string'],
    [{ transform: 'payload.' }, 'is no valid CEL at its end: Expected IDENTIFIER, got EOF'],
  ])('%j is refused at its own path', (field, message) => {
    const path = Object.keys(field)[0]!;
    for (const schema of schemas) expect(errorsOf(schema, { url, ...field })).toEqual([{ path, message }]);
  });
});

describe('a rate limit and quiet hours', () => {
  const fill = (field: object) => parser.parse(endpointInput, { url, ...field });

  it('hold by default, in UTC', () => {
    expect(fill({ rate_limit: { limit: 1, period_seconds: 1 } }).rate_limit).toEqual({
      limit: 1,
      period_seconds: 1,
      over: 'hold',
    });
    expect(fill({ quiet_hours: { start_hour: 0, end_hour: 23 } }).quiet_hours).toEqual({
      start_hour: 0,
      end_hour: 23,
      timezone: 'UTC',
      during: 'hold',
    });
  });

  it.each([
    ['rate_limit.limit', { rate_limit: { limit: 0, period_seconds: 1 } }],
    ['rate_limit.limit', { rate_limit: { limit: 10_001, period_seconds: 1 } }],
    ['rate_limit.limit', { rate_limit: { limit: 1.5, period_seconds: 1 } }],
    ['rate_limit.period_seconds', { rate_limit: { limit: 1, period_seconds: 0.9 } }],
    ['rate_limit.period_seconds', { rate_limit: { limit: 1, period_seconds: 31 * 86_400 + 1 } }],
    ['rate_limit.period_seconds', { rate_limit: { limit: 1 } }],
    ['rate_limit.over', { rate_limit: { limit: 1, period_seconds: 1, over: 'drop' } }],
    ['rate_limit.burst', { rate_limit: { limit: 1, period_seconds: 1, burst: 2 } }],
    ['quiet_hours.start_hour', { quiet_hours: { start_hour: 24, end_hour: 8 } }],
    ['quiet_hours.end_hour', { quiet_hours: { start_hour: 22, end_hour: 24 } }],
    ['quiet_hours.end_hour', { quiet_hours: { start_hour: 22 } }],
    ['quiet_hours.end_hour', { quiet_hours: { start_hour: 8, end_hour: 8 } }],
    ['quiet_hours.timezone', { quiet_hours: { start_hour: 1, end_hour: 2, timezone: 'Mars/Base' } }],
    ['quiet_hours.timezone', { quiet_hours: { start_hour: 1, end_hour: 2, timezone: '+01:00' } }],
    ['quiet_hours.during', { quiet_hours: { start_hour: 1, end_hour: 2, during: 'drop' } }],
    ['max_concurrency', { max_concurrency: 0 }],
    ['max_concurrency', { max_concurrency: 1001 }],
    ['max_concurrency', { max_concurrency: 1.5 }],
    ['ordered', { ordered: 'yes' }],
  ])('%s is refused in %j', (path, field) => {
    for (const schema of [endpointInput, endpointPut, endpointPatch])
      expect(errorsOf(schema, { url, ...field }).map((error) => error.path)).toEqual([path]);
  });

  it('are taken as defaults of an app, and refused there as well', () => {
    const defaults = {
      rate_limit: { limit: 5, period_seconds: 60 },
      quiet_hours: { start_hour: 1, end_hour: 2 },
    };
    expect(parser.parse(appInput, { defaults }).defaults).toMatchObject(defaults);
    expect(errorsOf(appInput, { defaults: { rate_limit: {} } })).toHaveLength(2);
    expect(errorsOf(appInput, { defaults: { quiet_hours: null } })).toHaveLength(1);
  });
});

describe('headers', () => {
  it.each([
    'Connection',
    'keep-alive',
    'Proxy-Authorization',
    'TE',
    'Trailer',
    'transfer-encoding',
    'upgrade',
    'Host',
    'Content-Length',
    'content-type',
    'Expect',
    'Webhook-Signature',
    'webhook-anything',
  ])('%s cannot be set', (name) => {
    expect(errorsOf(endpointInput, { url, headers: { [name]: 'x' } })).toEqual([
      { path: `headers.${name}`, message: 'is a header that cannot be set' },
    ]);
  });

  it.each([
    ['a header with a line break', { 'x-a': 'a\r\nb: c' }],
    ['a header with a control character', { 'x-a': 'a\0b' }],
    ['a header that is not ASCII', { 'x-a': 'ä' }],
    ['a value that is too long', { 'x-a': 'a'.repeat(4097) }],
    ['a value that is no string', { 'x-a': 1 }],
    ['a name with a space', { 'x a': 'a' }],
    ['a name with a colon', { 'x:': 'a' }],
    ['an empty name', { '': 'a' }],
    ['a name that is too long', { ['x'.repeat(129)]: 'a' }],
    ['a name twice', { 'X-A': 'a', 'x-a': 'b' }],
    ['__proto__', JSON.parse('{"__proto__":"a"}')],
    ['33 headers', Object.fromEntries(Array.from({ length: 33 }, (_, i) => [`x-${i}`, 'a']))],
    ['an array', []],
    ['a string', 'x-a: b'],
  ])('refuse %s', (_, headers) => expect(errorsOf(endpointInput, { url, headers })).toHaveLength(1));

  it('may be 32, of 128 and 4096 characters', () => {
    const headers = Object.fromEntries(
      Array.from({ length: 32 }, (_, i) => [`x-${i}-`.padEnd(128, 'y'), '~'.repeat(4096)]),
    );
    expect(errorsOf(endpointInput, { url, headers })).toEqual([]);
  });
});

describe('metadata', () => {
  it.each([
    ['51 entries', Object.fromEntries(Array.from({ length: 51 }, (_, i) => [`k${i}`, 1]))],
    ['a long key', { ['k'.repeat(129)]: 1 }],
    ['an empty key', { '': 1 }],
    ['1025 bytes', { k: 'ä'.repeat(513) }],
    ['an object', { k: {} }],
    ['a number that JSON cannot express', JSON.parse('{"k":1e999}')],
    ['__proto__', JSON.parse('{"__proto__":1}')],
  ])('refuses %s', (_, metadata) => expect(errorsOf(endpointInput, { url, metadata })).toHaveLength(1));

  it('takes a key called constructor', () => {
    const metadata = { constructor: 'x', toString: null };
    expect(parser.parse(endpointInput, { url, metadata }).metadata).toEqual(metadata);
  });
});

describe('other limits', () => {
  it.each([
    { name: '' },
    { name: 'a\u0000b' },
    { name: 'n'.repeat(129) },
    { description: 'd'.repeat(1025) },
    { event_types: Array.from({ length: 257 }, () => 'a') },
    { environments: ['a b'] },
    { environments: ['e'.repeat(65)] },
    { secret: '' },
    { secret: 's'.repeat(257) },
    { secret: '😀'.repeat(257) },
    { secret: 'whsec_short' },
    { timeout_seconds: 0.5 },
    { timeout_seconds: 301 },
    { timeout_seconds: '30' },
    { retry: { max_retries: 1.5 } },
    { retry: { base_seconds: -1 } },
    { retry: { strategy: 'never' } },
  ])('%j is refused', (field) => expect(errorsOf(endpointInput, { url, ...field })).toHaveLength(1));
});

describe('endpointPatch', () => {
  it('takes a single field and adds no default', () => {
    expect(parser.parse(endpointPatch, { enabled: false })).toEqual({ enabled: false });
    expect(parser.parse(endpointPatch, {})).toEqual({});
  });

  it('takes null where a field has a default', () => {
    const fields = ['name', 'description', 'event_types', 'environments', 'headers', 'secret'];
    const more = ['wire_profile', 'timeout_seconds', 'retry', 'metadata'];
    const flow = ['max_concurrency', 'rate_limit', 'quiet_hours'];
    const input = Object.fromEntries([...fields, ...more, ...flow].map((field) => [field, null]));
    expect(parser.parse(endpointPatch, input)).toEqual(input);
  });

  it.each([{ url: null }, { enabled: null }, { ordered: null }, { url: 'http://127.0.0.1' }])(
    'refuses %j',
    (input) => expect(errorsOf(endpointPatch, input)).toHaveLength(1),
  );
});

describe('rotateInput', () => {
  it('overlaps for a day by default', () =>
    expect(parser.parse(rotateInput, {})).toEqual({ overlap_seconds: 86_400 }));

  it.each([{ overlap_seconds: -1 }, { overlap_seconds: 2_592_001 }, { secret: 'whsec_x' }, { other: 1 }])(
    'refuses %j',
    (input) => expect(errorsOf(rotateInput, input)).toHaveLength(1),
  );
});

describe('testInput', () => {
  it.each([
    [{ event_type: 'a.b', payload: null }, 'payload'],
    [{ event_type: 'a.b', sample_data: { x: 1 } }, 'sample_data'],
  ])('reads %j', (input, field) => expect(testPayloadField(parser.parse(testInput, input))).toBe(field));

  it.each([{ event_type: 'a' }, { event_type: 'a', payload: 1, sample_data: 1 }])('refuses %j', (input) =>
    expect(errorsOf(testInput, input)).toEqual([
      { path: 'payload', message: 'is required, as payload or as sample_data, not both' },
    ]),
  );
});
