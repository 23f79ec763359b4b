import { z } from 'zod';
import { WIRE_PROFILE_NAMES, type WireProfileSetting } from '../wire-profiles/wire-profile.ts';
import { issueMessage } from './parse.ts';
import { headerNameProblem } from './records.ts';

/** A wire profile as clients give it: a name, or an object for a format that has none. */

const MAX_HEADER_NAME_LENGTH = 128;
const MAX_TEXT_LENGTH = 256;

/** RFC 9110 §5.5, without obs-text: visible ASCII with spaces in between, so that nothing ends the header. */
const HEADER_TEXT = /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/;
const SIGNED_TEXT = /^[\x20-\x7e]*$/;

/**
 * What Sealpost or its HTTP client says of the request itself, beside what no endpoint may set; and the one name under
 * which an object keeps nothing, so that it would not be sent.
 */
const TAKEN_HEADERS = new Set(['accept-encoding', 'content-encoding', 'user-agent', '__proto__']);

const headerName = z
  .string()
  .min(1)
  .max(MAX_HEADER_NAME_LENGTH)
  .check((ctx) => {
    if (ctx.issues.length > 0) return;
    const message = TAKEN_HEADERS.has(ctx.value.toLowerCase())
      ? 'is a header that cannot be set'
      : nameProblem(ctx.value);
    if (message !== undefined) ctx.issues.push({ code: 'custom', input: ctx.value, message });
  });

function nameProblem(name: string): string | undefined {
  const problem = headerNameProblem(name);
  return problem?.startsWith('must') ? 'must be of characters that HTTP allows in header names' : problem;
}

const headers = z
  .strictObject({
    signature: headerName.exactOptional().describe('Carries `signature`.'),
    event: headerName.exactOptional().describe("The event's type."),
    delivery: headerName.exactOptional().describe("The delivery's id, the same at every attempt."),
    timestamp: headerName.exactOptional().describe('Time of the attempt, seconds since 1970.'),
    id: headerName.exactOptional().describe("The event's id, as `webhook-id`."),
  })
  .check(({ value, issues }) => {
    const seen = new Set<string>();
    for (const [header, name] of Object.entries(value)) {
      const lower = name.toLowerCase();
      const message = 'must be another name than the ones before it';
      if (seen.has(lower)) issues.push({ code: 'custom', path: [header], input: value, message });
      seen.add(lower);
    }
  })
  .describe('Names of its own headers, beside those of Standard Webhooks.');

/** A text with `required` once and any of `allowed` any number of times; no other braces. */
function template(characters: RegExp, required: string, allowed: readonly string[]) {
  const known = [required, ...allowed];
  return z
    .string()
    .min(1)
    .max(MAX_TEXT_LENGTH)
    .check((ctx) => {
      if (ctx.issues.length > 0) return;
      const { value, issues } = ctx;
      const say = (message: string) => issues.push({ code: 'custom', input: value, message });
      if (!characters.test(value)) return void say('must be visible ASCII characters and spaces in between');
      const bare = known.reduce((text, placeholder) => text.replaceAll(placeholder, ''), value);
      if (/[{}]/.test(bare)) return void say(`must have no other braces than ${known.join(', ')}`);
      if (value.split(required).length !== 2) say(`must have ${required} once`);
    });
}

const PLACES = ['{timestamp}', '{id}'] as const;

const signatureTemplate = z
  .strictObject({
    encoding: z.enum(['hex', 'base64']),
    content: template(SIGNED_TEXT, '{body}', PLACES).describe(
      'What is signed with HMAC-SHA256: `{body}` once, `{timestamp}` (of the attempt, seconds), `{id}` (of the event).',
    ),
    value: template(HEADER_TEXT, '{signature}', PLACES).describe('The header: `{signature}` once.'),
    former: template(HEADER_TEXT, '{signature}', PLACES)
      .exactOptional()
      .describe('Put behind it for each former secret while a rotated one overlaps.'),
  })
  .describe('Another signature: how it is made, and written.');

const SCHEMES = ['sha256-hex', 'sha256-base64', 'standard'] as const;

const custom = z
  .strictObject({
    headers: headers.exactOptional(),
    signature: either(SCHEMES, signatureTemplate)
      .exactOptional()
      .describe(
        'Of the header `headers.signature`: `sha256=` and hex over the body (`sha256-hex`, the default), base64 over the ' +
          'body (`sha256-base64`), as `webhook-signature` (`standard`), or an object.',
      ),
    user_agent: z
      .string()
      .min(1)
      .max(MAX_TEXT_LENGTH)
      .regex(HEADER_TEXT, { error: 'must be visible ASCII characters and spaces in between' })
      .exactOptional(),
    envelope: z
      .enum(['standard', 'payload'])
      .exactOptional()
      .describe('`payload`: the payload alone, as `raw` has it.'),
  })
  .check(({ value, issues }) => {
    const { signature = 'standard', headers } = value;
    if (signature === 'standard' || headers?.signature !== undefined) return;
    const message = 'is required with this signature';
    issues.push({ code: 'custom', path: ['headers', 'signature'], input: value, message });
  });

export const wireProfile = either(WIRE_PROFILE_NAMES, custom).meta({
  id: 'WireProfile',
  description:
    'How a delivery looks to the receiver: a name, or an object that says it. Every profile also carries the headers ' +
    'of Standard Webhooks.',
}) as z.ZodType<WireProfileSetting>;

/**
 * One of the names, or what `object` takes. Not `z.union`, which would say of a bad field no more than that neither
 * fits: whoever gives an object means that one.
 */
function either<const N extends readonly string[], O extends z.ZodType>(names: N, object: O) {
  const schema = z.unknown().check(({ value, issues }) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      if (names.includes(value as string)) return;
      const message =
        value === undefined ? 'is required' : `must be one of ${names.join(', ')}, or an object`;
      issues.push({ code: 'custom', input: value, message });
      return;
    }
    const { error } = object.safeParse(value, { error: issueMessage });
    for (const issue of error?.issues ?? []) issues.push({ ...issue, input: value } as z.core.$ZodRawIssue);
  });
  const { $schema: _, ...shape } = z.toJSONSchema(object, { io: 'input' });
  return schema.meta({ anyOf: [{ enum: [...names] }, shape] }) as unknown as z.ZodType<
    N[number] | z.infer<O>
  >;
}
