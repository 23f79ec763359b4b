import type { z } from 'zod';
import { checkUrl, type UrlRule } from '../address-policy.ts';
import { type ErrorCode, type FieldError, SealpostError } from '../errors.ts';

/** Fields that hold the URL of a receiver. */
const URL_FIELDS = ['url', 'webhook_url'] as const;

/** A client learns nothing from more, and a body of bad fields must not be answered by a larger one. */
const MAX_ERRORS = 50;
const MAX_PATH_LENGTH = 200;

export type Parsed<T> = { data: T } | { errors: FieldError[] };

export type InputParser = {
  /** The parsed input, or throws `SealpostError` `validation_failed` with every bad field. */
  parse<S extends z.ZodType>(schema: S, value: unknown): z.output<S>;
  /** The same without throwing, for the items of a batch. */
  tryParse<S extends z.ZodType>(schema: S, value: unknown): Parsed<z.output<S>>;
};

/**
 * Parses request bodies. It is made once with the deployment's rule for URLs, so that no route can forget to check
 * where a `url` or `webhook_url` points.
 */
export function inputParser(rule: UrlRule): InputParser {
  const tryParse = <S extends z.ZodType>(schema: S, value: unknown): Parsed<z.output<S>> => {
    const result = schema.safeParse(value, { error: issueMessage });
    const errors = result.success ? [] : issuesToFieldErrors(result.error);
    for (const error of urlErrors(value, rule)) {
      if (!errors.some(({ path }) => path === error.path)) errors.push(error);
    }
    return result.success && errors.length === 0 ? { data: result.data } : { errors };
  };
  return { tryParse, parse: (schema, value) => orThrow(tryParse(schema, value), 'validation_failed') };
}

/** Parses a query string's parameters. Throws `SealpostError` `invalid_query` with every bad one. */
export function parseQuery<S extends z.ZodType>(schema: S, query: unknown): z.output<S> {
  const result = schema.safeParse(query, { error: issueMessage });
  const parsed = result.success ? { data: result.data } : { errors: issuesToFieldErrors(result.error) };
  return orThrow(parsed, 'invalid_query');
}

function orThrow<T>(parsed: Parsed<T>, code: ErrorCode): T {
  if ('data' in parsed) return parsed.data;
  const [first] = parsed.errors;
  const detail = first ? `${first.path === '' ? 'the input' : first.path} ${first.message}` : 'bad input';
  const more = parsed.errors.length > 1 ? ` (and ${parsed.errors.length - 1} more)` : '';
  throw new SealpostError(code, detail + more, { errors: parsed.errors });
}

function urlErrors(value: unknown, rule: UrlRule): FieldError[] {
  if (typeof value !== 'object' || value === null) return [];
  const errors: FieldError[] = [];
  for (const path of URL_FIELDS) {
    const text: unknown = Object.hasOwn(value, path) ? Reflect.get(value, path) : undefined;
    if (typeof text !== 'string') continue;
    const checked = checkUrl(text, rule);
    if ('problem' in checked) errors.push({ path, message: checked.problem });
  }
  return errors;
}

/** The issues of a Zod error as fields of the problem details: an entry for each field, also each unknown one. */
export function issuesToFieldErrors(error: z.ZodError): FieldError[] {
  const messages = new Map<string, string>();
  for (const issue of error.issues) {
    const unknown = issue.code === 'unrecognized_keys' ? issue.keys.slice(0, MAX_ERRORS) : [];
    for (const key of unknown) {
      messages.set(formatPath([...issue.path, key]), 'is not a known field');
    }
    const path = formatPath(issue.path);
    if (unknown.length === 0 && !messages.has(path)) messages.set(path, issue.message);
    if (messages.size >= MAX_ERRORS) break;
  }
  return [...messages].slice(0, MAX_ERRORS).map(([path, message]) => ({ path, message }));
}

function formatPath(path: readonly PropertyKey[]): string {
  let text = '';
  for (const part of path) {
    if (typeof part === 'number') text += `[${part}]`;
    else text += text === '' ? String(part) : `.${String(part)}`;
  }
  return text.length > MAX_PATH_LENGTH ? `${text.slice(0, MAX_PATH_LENGTH)}…` : text;
}

const TYPE_NAMES: Record<string, string> = {
  array: 'an array',
  boolean: 'true or false',
  int: 'a whole number',
  object: 'an object',
};

const SIZE_UNITS: Record<string, string> = { string: ' characters', array: ' entries' };

/** What is wrong with a field, to be read after its path. Zod asks where a schema brings no message of its own. */
export function issueMessage(issue: z.core.$ZodRawIssue): string | undefined {
  if (issue.code === 'custom') return issue.message;
  if (issue.input === undefined) return 'is required';
  switch (issue.code) {
    case 'invalid_type':
      return `must be ${TYPE_NAMES[issue.expected] ?? `a ${issue.expected}`}`;
    case 'invalid_value':
      return `must be ${issue.values.length > 1 ? 'one of ' : ''}${issue.values.join(', ')}`;
    case 'too_big':
      return sizeMessage(issue.origin, 'at most', issue.maximum);
    case 'too_small':
      return sizeMessage(issue.origin, 'at least', issue.minimum);
    default:
      return undefined;
  }
}

function sizeMessage(origin: string, bound: string, size: number | bigint): string {
  const unit = SIZE_UNITS[origin];
  if (unit === undefined) return `must be ${bound} ${size}`;
  return `must have ${bound} ${size}${size === 1 ? unit.replace(/ies$/, 'y').replace(/s$/, '') : unit}`;
}
