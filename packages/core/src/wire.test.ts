import { Webhook } from 'standardwebhooks';
import { describe, expect, it } from 'vitest';
import { generateSecret } from './secrets.ts';
import { buildRequest, isJsonContentType, signatureHeaders } from './wire.ts';
import { wireProfileOf } from './wire-profiles/index.ts';

const EVENT = {
  eventId: 'evt_000000000001',
  eventType: 'invoice.paid',
  createdAt: Date.UTC(2026, 0, 2, 3, 4, 5, 6),
  contentType: 'application/json',
};

describe('the body', () => {
  it('is type, timestamp and data under standard, with the payload digit for digit', () => {
    const payload = '{"id":12345678901234567890, "price":1.10}';
    const request = buildRequest({ ...EVENT, profile: wireProfileOf('standard'), payload });
    expect(request).toEqual({
      body: `{"type":"invoice.paid","timestamp":"2026-01-02T03:04:05.006Z","data":${payload}}`,
      contentType: 'application/json',
    });
    expect(
      buildRequest({ ...EVENT, profile: wireProfileOf('standard'), payload: Buffer.from(payload) }),
    ).toEqual(request);
  });

  it('stays JSON under standard whatever the content type of the payload', () => {
    const request = buildRequest({
      ...EVENT,
      profile: wireProfileOf('standard'),
      payload: '"<a/>"',
      contentType: 'text/xml',
    });
    expect(request.contentType).toBe('application/json');
    expect(JSON.parse(request.body)).toMatchObject({ data: '<a/>' });
  });

  it('is the payload alone under raw, verbatim', () => {
    const payload = ' {"a": 1.0}\n';
    const request = buildRequest({ ...EVENT, profile: wireProfileOf('raw'), payload: Buffer.from(payload) });
    expect(request).toEqual({ body: payload, contentType: 'application/json' });
  });

  it('is the text of a string payload under raw where the content type is not JSON', () => {
    const payload = JSON.stringify('<ä>\n"x"</ä>');
    const contentType = 'application/xml; charset=utf-8';
    expect(buildRequest({ ...EVENT, profile: wireProfileOf('raw'), payload, contentType })).toEqual({
      body: '<ä>\n"x"</ä>',
      contentType,
    });
    expect(
      buildRequest({ ...EVENT, profile: wireProfileOf('raw'), payload: ` ${payload}`, contentType }).body[0],
    ).toBe('<');
  });

  it('is JSON text under raw where the payload is no string or the content type is JSON', () => {
    const other = { ...EVENT, profile: wireProfileOf('raw'), contentType: 'text/plain' };
    expect(buildRequest({ ...other, payload: '{"a":1}' }).body).toBe('{"a":1}');
    expect(buildRequest({ ...other, payload: '"a"', contentType: 'application/ld+json' }).body).toBe('"a"');
  });
});

describe('a content type', () => {
  it.each([
    'application/json',
    'Application/JSON',
    'application/json; charset=utf-8',
    'text/json',
    'a/b+json',
  ])('%s is JSON', (contentType) => expect(isJsonContentType(contentType)).toBe(true));

  it.each(['text/plain', 'application/jsonl', 'application/x-ndjson', 'text/plain;x=a+json', ''])(
    '%s is not JSON',
    (contentType) => expect(isJsonContentType(contentType)).toBe(false),
  );
});

describe('the signature headers', () => {
  it('pass a verifier', () => {
    const secret = generateSecret();
    const body = '{"a":1}';
    const timestampSeconds = Math.floor(Date.now() / 1000);
    const headers = signatureHeaders({ eventId: EVENT.eventId, timestampSeconds, body, secrets: [secret] });
    expect(headers).toMatchObject({
      'webhook-id': EVENT.eventId,
      'webhook-timestamp': `${timestampSeconds}`,
    });
    expect(new Webhook(secret).verify(body, { ...headers })).toEqual({ a: 1 });
  });

  it('have no signature without a secret', () => {
    const headers = signatureHeaders({ eventId: 'evt_1', timestampSeconds: 7, body: '', secrets: [] });
    expect(headers).toEqual({ 'webhook-id': 'evt_1', 'webhook-timestamp': '7' });
  });
});
