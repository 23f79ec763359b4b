import { z } from 'zod';
import { MAX_URL_LENGTH } from '../address-policy.ts';
import { checkPattern, EVENT_TYPE, MAX_EVENT_TYPE_LENGTH } from '../event-types.ts';
import { checkSecret } from '../secrets.ts';

/** Fields that more than one resource has. */

const APP_ID = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/;
const OWN_EVENT_ID = /^[A-Za-z0-9_-]{1,64}$/;
const ENVIRONMENT = /^[A-Za-z0-9_.-]{1,64}$/;
/** No control characters, line separators or halves of a surrogate pair; without \p, which few tools' regexes know. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: it refuses them
const PRINTABLE = /^[^\u0000-\u001f\u007f-\u009f\u2028\u2029\ud800-\udfff]*$/u;

/** A string of a length that a pattern must match; `expected` completes "must be …". */
export function text(max: number, pattern: RegExp, expected: string) {
  return z
    .string()
    .min(1)
    .max(max)
    .regex(pattern, { error: `must be ${expected}` });
}

export const appId = text(64, APP_ID, 'letters, digits, _ and -, beginning with a letter or digit').describe(
  'The id of an app.',
);

export const eventId = text(64, OWN_EVENT_ID, 'letters, digits, _ and -').describe('The id of an event.');

export const eventType = text(
  MAX_EVENT_TYPE_LENGTH,
  EVENT_TYPE,
  'segments of letters, digits, _ or -, joined by dots',
).describe('What happened: segments of letters, digits, `_` and `-`, joined by dots.');

export const eventTypePattern = z
  .string()
  .min(1)
  .max(MAX_EVENT_TYPE_LENGTH)
  .check(problemCheck(checkPattern))
  .describe('An event type in which `*` stands for one segment, and `**` at the end for one or more.');

export const environment = text(64, ENVIRONMENT, 'letters, digits, _, . and -').describe(
  'An environment, such as `production`.',
);

export const name = text(128, PRINTABLE, 'printable characters');

export const description = z.string().max(1024);

export const correlationId = text(256, PRINTABLE, 'printable characters').describe(
  'Joins the events of one process; they are numbered by `sequence`.',
);

/** Only the form: what a URL may point to depends on the deployment, and `inputParser` checks it. */
export const url = z
  .string()
  .min(1)
  .max(MAX_URL_LENGTH)
  .meta({ format: 'uri', pattern: '^[Hh][Tt][Tt][Pp][Ss]?://[^#]+$' });

/** `checkSecret` counts characters, where Zod would count UTF-16 units. */
export const secret = z.string().check(problemCheck(checkSecret)).meta({
  description: '1–256 characters; with the prefix `whsec_` or `whsk_` (ed25519), well-formed base64.',
  minLength: 1,
  maxLength: 256,
});

export const timeoutSeconds = z
  .number()
  .min(1)
  .max(300)
  .describe('How long an attempt may take in all, in seconds.');

/** RFC 3339, read as milliseconds since the epoch. */
export const time = z.iso
  .datetime({ offset: true, error: 'must be a time as in RFC 3339, such as 2026-01-31T12:00:00Z' })
  .transform((text) => Date.parse(text));

/** A check of a string by a function that answers what is wrong with it. */
function problemCheck(problemOf: (text: string) => string | undefined): z.core.CheckFn<string> {
  return (ctx) => {
    // Lengths are reported by their own checks; a text that is too long is not looked into.
    if (ctx.issues.length > 0) return;
    const message = problemOf(ctx.value);
    if (message !== undefined) ctx.issues.push({ code: 'custom', input: ctx.value, message });
  };
}
