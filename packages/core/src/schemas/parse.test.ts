import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { AddressPolicy } from '../address-policy.ts';
import { SealpostError } from '../errors.ts';
import { endpointInput } from './endpoint.ts';
import { eventInput } from './event.ts';
import { inputParser, issuesToFieldErrors, parseQuery } from './parse.ts';
import { listQuery } from './queries.ts';

const parser = inputParser({ httpsOnly: false, policy: new AddressPolicy() });

function errorsOf(schema: z.ZodType, value: unknown) {
  const parsed = parser.tryParse(schema, value);
  return 'errors' in parsed ? parsed.errors : [];
}

function thrownBy(action: () => unknown): SealpostError {
  try {
    action();
  } catch (error) {
    if (error instanceof SealpostError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

describe('inputParser', () => {
  it('names every bad field by its path', () => {
    const input = {
      url: 'ftp://example.com',
      event_types: ['ok', 'a b', 3],
      retry: { max_retries: 51, jitter: 'x', nonsense: 1 },
      metadata: { a: [] },
      enabled: 'yes',
      surprise: 1,
    };
    expect(errorsOf(endpointInput, input)).toEqual([
      {
        path: 'event_types[1]',
        message:
          'must be segments of letters, digits, _ or -, joined by dots; a segment may be *, the last one **',
      },
      { path: 'event_types[2]', message: 'must be a string' },
      { path: 'enabled', message: 'must be true or false' },
      { path: 'retry.max_retries', message: 'must be at most 50' },
      { path: 'retry.jitter', message: 'must be a number' },
      { path: 'retry.nonsense', message: 'is not a known field' },
      { path: 'metadata.a', message: 'must be a string, a number, a boolean or null' },
      { path: 'surprise', message: 'is not a known field' },
      { path: 'url', message: 'must be an absolute http or https URL' },
    ]);
  });

  it.each([
    [undefined, { path: '', message: 'is required' }],
    [null, { path: '', message: 'must be an object' }],
    [[], { path: '', message: 'must be an object' }],
    ['x', { path: '', message: 'must be an object' }],
    [{}, { path: 'url', message: 'is required' }],
    [{ url: 3 }, { path: 'url', message: 'must be a string' }],
    [{ url: '' }, { path: 'url', message: 'must have at least 1 character' }],
    [
      { url: 'http://10.0.0.1/' },
      { path: 'url', message: 'must not name a private, local or reserved address' },
    ],
  ])('refuses %j', (value, error) => expect(errorsOf(endpointInput, value)).toEqual([error]));

  it('checks where a webhook_url points', () => {
    const event = { type: 'a', payload: 1, webhook_url: 'http://169.254.169.254/latest' };
    expect(errorsOf(eventInput, event)).toEqual([
      { path: 'webhook_url', message: 'must not name a private, local or reserved address' },
    ]);
  });

  it('throws validation_failed with all fields, the first one in its detail', () => {
    const error = thrownBy(() => parser.parse(eventInput, { type: 'a b', payload: 1, x: 1 }));
    expect(error).toMatchObject({ code: 'validation_failed', status: 422 });
    expect(error.message).toBe(
      'type must be segments of letters, digits, _ or -, joined by dots (and 1 more)',
    );
    expect(error.errors).toHaveLength(2);
  });

  it('answers the first problem of a field', () => {
    expect(errorsOf(eventInput, { type: '', payload: 1 })).toEqual([
      { path: 'type', message: 'must have at least 1 character' },
    ]);
  });

  it('takes __proto__ and constructor as unknown fields', () => {
    const value: unknown = JSON.parse('{"type":"a","payload":1,"__proto__":{"id":"x"},"constructor":{}}');
    expect(errorsOf(eventInput, value)).toEqual([
      { path: '__proto__', message: 'is not a known field' },
      { path: 'constructor', message: 'is not a known field' },
    ]);
  });

  it('answers at most 50 errors, with short paths', () => {
    const many = Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [`k${i}`, 1]));
    expect(errorsOf(eventInput, many)).toHaveLength(50);
    const [error] = errorsOf(eventInput, { type: 'a', payload: 1, ['x'.repeat(100_000)]: 1 });
    expect(error?.path).toHaveLength(201);
  });
});

describe('issuesToFieldErrors', () => {
  it('also reads an error of a plain parse', () => {
    const result = z.strictObject({ list: z.array(z.number()) }).safeParse({ list: [1, 'x'], y: 1 });
    expect(issuesToFieldErrors(result.error!)).toEqual([
      { path: 'list[1]', message: 'Invalid input: expected number, received string' },
      { path: 'y', message: 'is not a known field' },
    ]);
  });
});

describe('parseQuery', () => {
  it('throws invalid_query', () => {
    const error = thrownBy(() => parseQuery(listQuery, { page: '0' }));
    expect(error).toMatchObject({ code: 'invalid_query', message: 'page must be at least 1' });
  });
});
