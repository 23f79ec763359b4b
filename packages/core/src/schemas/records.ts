import { z } from 'zod';

/**
 * Objects whose keys the client chooses. They are checked by hand, not by `z.record`, which looks at every entry of
 * an object of any size before it counts them, and drops a `__proto__` key in silence.
 */

export type Scalar = string | number | boolean | null;
export type Metadata = Record<string, Scalar>;
export type Attributes = Record<string, Scalar | Scalar[]>;
export type EndpointHeaders = Record<string, string>;

const MAX_METADATA_KEYS = 50;
const MAX_METADATA_KEY_LENGTH = 128;
const MAX_METADATA_BYTES = 1024;
const MAX_LIST_LENGTH = 50;

const MAX_HEADERS = 32;
const MAX_HEADER_NAME_LENGTH = 128;
const MAX_HEADER_VALUE_LENGTH = 4096;

/** RFC 9110 §5.6.2. */
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** RFC 9110 §5.5, without obs-text. */
const FIELD_VALUE = /^[\t\x20-\x7e]*$/;

/** Hop-by-hop headers, and those that say what Sealpost itself knows: framing, target, type and signature. */
const FORBIDDEN_HEADERS = new Set([
  'connection',
  'content-length',
  'content-type',
  'expect',
  'host',
  'keep-alive',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);
const FORBIDDEN_PREFIXES = ['proxy-', 'webhook-'];

const scalarSchema = {
  type: ['string' as const, 'number' as const, 'boolean' as const, 'null' as const],
  maxLength: MAX_METADATA_BYTES,
};

export const metadata = recordOf<Scalar>(MAX_METADATA_KEYS, metadataProblem).meta({
  id: 'Metadata',
  type: 'object',
  description: `Up to ${MAX_METADATA_KEYS} entries of your own, strings of up to 1 KiB, numbers, booleans or null.`,
  maxProperties: MAX_METADATA_KEYS,
  propertyNames: { minLength: 1, maxLength: MAX_METADATA_KEY_LENGTH },
  additionalProperties: scalarSchema,
});

export const attributes = recordOf<Scalar | Scalar[]>(MAX_METADATA_KEYS, attributeProblem).meta({
  id: 'Attributes',
  type: 'object',
  description:
    `Up to ${MAX_METADATA_KEYS} entries of your own beside the payload: strings of up to 1 KiB, numbers, booleans or ` +
    `null, or lists of up to ${MAX_LIST_LENGTH} of them.`,
  maxProperties: MAX_METADATA_KEYS,
  propertyNames: { minLength: 1, maxLength: MAX_METADATA_KEY_LENGTH },
  additionalProperties: {
    anyOf: [scalarSchema, { type: 'array', maxItems: MAX_LIST_LENGTH, items: scalarSchema }],
  },
});

export const headers = recordOf<string>(MAX_HEADERS, headerProblem, sameHeaderProblem).meta({
  id: 'Headers',
  type: 'object',
  description:
    'Headers added to every delivery. Hop-by-hop headers, `host`, `expect`, `content-*` of the framing and ' +
    '`webhook-*` are refused. Values are stored encrypted and shown redacted.',
  maxProperties: MAX_HEADERS,
  propertyNames: { pattern: TOKEN.source, maxLength: MAX_HEADER_NAME_LENGTH },
  additionalProperties: { type: 'string', pattern: FIELD_VALUE.source, maxLength: MAX_HEADER_VALUE_LENGTH },
});

type EntryProblem = (key: string, value: unknown) => string | undefined;

/** An object of at most `max` entries, each without a problem; `problemOf` sees the keys that are fine alone. */
function recordOf<V>(max: number, entryProblem: EntryProblem, keysProblem?: typeof sameHeaderProblem) {
  const schema = z.unknown().check((ctx) => {
    const { value, issues } = ctx;
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      issues.push({ code: 'invalid_type', expected: 'object', input: value });
      return;
    }
    const keys = Object.keys(value);
    if (keys.length > max) {
      issues.push({ code: 'custom', input: value, message: `must have at most ${max} entries` });
      return;
    }
    for (const key of keys) {
      const message =
        key === '__proto__' ? 'is not a usable name' : entryProblem(key, Reflect.get(value, key));
      if (message !== undefined) issues.push({ code: 'custom', path: [key], input: value, message });
    }
    const twice = keysProblem?.(keys);
    if (twice) issues.push({ code: 'custom', path: [twice.key], input: value, message: twice.message });
  });
  return schema as unknown as z.ZodType<Record<string, V>>;
}

function metadataProblem(key: string, value: unknown): string | undefined {
  return keyProblem(key) ?? scalarProblem(value);
}

function attributeProblem(key: string, value: unknown): string | undefined {
  const problem = keyProblem(key);
  if (problem !== undefined || !Array.isArray(value)) {
    return problem ?? scalarProblem(value, ', or a list of them');
  }
  if (value.length > MAX_LIST_LENGTH) return `must have at most ${MAX_LIST_LENGTH} entries`;
  for (const entry of value) {
    const entryProblem = scalarProblem(entry);
    if (entryProblem !== undefined) return `has an entry that ${entryProblem}`;
  }
  return undefined;
}

function keyProblem(key: string): string | undefined {
  if (key.length === 0 || key.length > MAX_METADATA_KEY_LENGTH)
    return `must have a name of 1–${MAX_METADATA_KEY_LENGTH} characters`;
  // Half a surrogate pair is no text: other parsers of what is stored refuse it.
  return key.isWellFormed() ? undefined : 'must have a name that is valid Unicode';
}

/** @param or what else it may be */
function scalarProblem(value: unknown, or = ''): string | undefined {
  if (typeof value === 'string') {
    if (!value.isWellFormed()) return 'must be valid Unicode';
    return Buffer.byteLength(value) > MAX_METADATA_BYTES
      ? `must have at most ${MAX_METADATA_BYTES} bytes`
      : undefined;
  }
  // JSON.parse makes Infinity of a number such as 1e999, which JSON cannot express again.
  if (typeof value === 'number' && Number.isFinite(value)) return undefined;
  if (typeof value === 'boolean' || value === null) return undefined;
  return `must be a string, a number, a boolean or null${or}`;
}

/** What is wrong with a header's name, or undefined. */
export function headerNameProblem(name: string): string | undefined {
  if (name.length > MAX_HEADER_NAME_LENGTH || !TOKEN.test(name))
    return `must have a name of 1–${MAX_HEADER_NAME_LENGTH} characters that HTTP allows in header names`;
  const lower = name.toLowerCase();
  const forbidden =
    FORBIDDEN_HEADERS.has(lower) || FORBIDDEN_PREFIXES.some((prefix) => lower.startsWith(prefix));
  return forbidden ? 'is a header that cannot be set' : undefined;
}

function headerProblem(name: string, value: unknown): string | undefined {
  const problem = headerNameProblem(name);
  if (problem !== undefined) return problem;
  if (typeof value !== 'string') return 'must be a string';
  if (value.length > MAX_HEADER_VALUE_LENGTH)
    return `must have at most ${MAX_HEADER_VALUE_LENGTH} characters`;
  return FIELD_VALUE.test(value) ? undefined : 'must be visible ASCII characters, spaces and tabs';
}

/** Header names are case-insensitive, so `X-Key` and `x-key` would be one header with two values. */
function sameHeaderProblem(names: string[]): { key: string; message: string } | undefined {
  const seen = new Set<string>();
  for (const key of names) {
    const lower = key.toLowerCase();
    if (seen.has(lower)) return { key, message: 'is given twice' };
    seen.add(lower);
  }
  return undefined;
}
