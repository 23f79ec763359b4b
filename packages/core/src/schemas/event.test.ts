import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { AddressPolicy } from '../address-policy.ts';
import { formatId } from '../ids.ts';
import { batchInput, eventInput } from './event.ts';
import { inputParser } from './parse.ts';
import '../schemas.ts';

const parser = inputParser({ httpsOnly: false, policy: new AddressPolicy() });
const event = { type: 'order.created', payload: { n: 1 } };

function errorsOf(schema: z.ZodType, value: unknown) {
  const parsed = parser.tryParse(schema, value);
  return 'errors' in parsed ? parsed.errors : [];
}

describe('eventInput', () => {
  it.each([null, false, 0, '', [], {}])('takes the payload %j', (payload) =>
    expect(parser.parse(eventInput, { ...event, payload })).toEqual({ ...event, payload }),
  );

  it('asks for a payload', () =>
    expect(errorsOf(eventInput, { type: 'a' })).toEqual([{ path: 'payload', message: 'is required' }]));

  it('takes every field', () => {
    const input = {
      ...event,
      content_type: 'text/plain; charset="utf-8"',
      id: 'order-1_x',
      correlation_id: 'Auftrag Nr. 5 / ä',
      environment: 'prod',
      attributes: { tenant: 'a', tags: ['critical', 1, true, null], none: [] },
      webhook_url: 'https://example.com/once',
      webhook_secret: 'secret',
      wire_profile: { headers: { event: 'X-Event' }, envelope: 'payload' },
      retry: { strategy: 'schedule', schedule_seconds: [0.5, 1] },
    };
    expect(parser.parse(eventInput, input)).toEqual(input);
  });

  it.each([
    { type: '' },
    { type: 'a b' },
    { type: 'a.*' },
    { id: '' },
    { id: 'a.b' },
    { id: 'i'.repeat(65) },
    { id: formatId('evt', 0, 1) },
    { correlation_id: '' },
    { correlation_id: 'a\nb' },
    { correlation_id: '\ud800' },
    { correlation_id: 'c'.repeat(257) },
    { environment: 'a/b' },
    { attributes: { a: {} } },
    { attributes: { a: [[]] } },
    { attributes: { a: [1, {}] } },
    { attributes: { a: Array.from({ length: 51 }, () => 1) } },
    { attributes: { a: ['x'.repeat(1025)] } },
    { attributes: { a: ['\ud800'] } },
    { wire_profile: 'x' },
    { wire_profile: { signature: 'x' } },
    { content_type: 'text' },
    { content_type: 'text/plain\r\nx: y' },
    { content_type: 'text/plain; charset' },
    { webhook_secret: 'secret' },
    { webhook_url: 'http://localhost/' },
    { retry: { schedule_seconds: [1] } },
    { unknown: 1 },
  ])('refuses %j', (field) => expect(errorsOf(eventInput, { ...event, ...field })).toHaveLength(1));

  it.each([
    ['2026-01-01T00:00:00Z', Date.UTC(2026, 0, 1)],
    ['2026-01-01T00:00:00.5+05:45', Date.UTC(2025, 11, 31, 18, 15, 0, 500)],
  ])('reads a deliver_at of %s, also a past one', (deliver_at, ms) =>
    expect(parser.parse(eventInput, { ...event, deliver_at }).deliver_at).toBe(ms),
  );

  it('takes a deliver_at up to 30 days ahead', () => {
    const ahead = (seconds: number) => new Date(Date.now() + 30 * 86_400_000 + seconds * 1000).toISOString();
    expect(errorsOf(eventInput, { ...event, deliver_at: ahead(0) })).toEqual([]);
    expect(errorsOf(eventInput, { ...event, deliver_at: ahead(10) })).toEqual([
      { path: 'deliver_at', message: 'must be at most 30 days ahead' },
    ]);
  });

  it.each(['tomorrow', '2026-01-01', '2026-02-30T00:00:00Z', 1_767_225_600_000, null])(
    'refuses a deliver_at of %j',
    (deliver_at) => expect(errorsOf(eventInput, { ...event, deliver_at })).toHaveLength(1),
  );
});

describe('batchInput', () => {
  it('leaves each event to be parsed by itself', () => {
    const input = { events: [event, 'bad', null] };
    expect(parser.parse(batchInput, input)).toEqual(input);
  });

  it.each([{}, { events: [] }, { events: {} }, { events: Array.from({ length: 1001 }, () => event) }])(
    'refuses a batch of no events or too many (case %#)',
    (input) => expect(errorsOf(batchInput, input)).toHaveLength(1),
  );
});

describe('the OpenAPI components', () => {
  it('can be made of every schema that has an id', () => {
    const { schemas } = z.toJSONSchema(z.globalRegistry, {
      io: 'input',
      uri: (id) => `#/components/schemas/${id}`,
    });
    expect(Object.keys(schemas).sort()).toEqual([
      'AppInput',
      'Attributes',
      'BatchInput',
      'EndpointInput',
      'EndpointPatch',
      'EndpointPut',
      'EventInput',
      'Headers',
      'KeyInput',
      'Metadata',
      'QuietHoursInput',
      'RateLimitInput',
      'ReplayInput',
      'RetryPolicyInput',
      'RotateInput',
      'TestInput',
      'WireProfile',
    ]);
    expect(schemas.EventInput).toMatchObject({ required: ['type', 'payload'], additionalProperties: false });
  });
});
