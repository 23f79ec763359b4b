import { z } from 'zod';
import { parseCidr } from './address-policy.ts';
import { MASTER_KEY_BYTES } from './keyring.ts';

export type SettingProblem = { name: string; message: string };

/** Names every missing or malformed environment variable at once. Values are never repeated: some are secrets. */
export class SettingsError extends Error {
  override readonly name = 'SettingsError';
  readonly problems: SettingProblem[];

  constructor(problems: SettingProblem[]) {
    const lines = problems.map(({ name, message }) => `  ${name} ${message}`);
    super(`These settings must be corrected:\n${lines.join('\n')}`);
    this.problems = problems;
  }
}

/**
 * Reads the environment variables that `schema` names; others are ignored, and an empty one counts as not set.
 * Give a field a `.default(…)` or `.optional()` unless it is required. Throws a `SettingsError`.
 */
export function readSettings<Schema extends z.ZodObject>(
  schema: Schema,
  env: Readonly<Record<string, string | undefined>>,
): z.output<Schema> {
  const given: Record<string, string> = {};
  for (const name of Object.keys(schema.shape)) {
    const value = env[name]?.trim();
    if (value) given[name] = value;
  }
  const result = schema.safeParse(given);
  if (result.success) return result.data;
  throw new SettingsError(problemsOf(result.error, given));
}

function problemsOf(error: z.ZodError, given: Record<string, string>): SettingProblem[] {
  return error.issues.map(({ path, message }) => {
    const name = String(path[0] ?? 'the environment');
    const isMissing = path.length > 0 && !(name in given);
    return { name, message: isMissing ? `is missing; it ${message}` : message };
  });
}

/**
 * A setting with its reading: `read` gives undefined for a malformed text. `expected` continues "NAME …", and is the
 * setting's type in docs/configuration.md.
 */
export function setting<Value>(expected: string, read: (text: string) => Value | undefined) {
  const schema = z.string(expected).transform((text, context): Value => {
    const value = read(text);
    if (value !== undefined) return value;
    context.issues.push({ code: 'custom', message: expected, input: text });
    return z.NEVER;
  });
  return schema.meta({ expected });
}

/** One of these words. */
export function oneOf<const Values extends readonly string[]>(values: Values) {
  return setting<Values[number]>(`must be one of ${values.join(', ')}`, (text) =>
    values.find((value) => value === text),
  );
}

function integer(expected: string, least: number, most: number) {
  return setting(expected, (text) => {
    const number = /^[0-9]{1,16}$/.test(text) ? Number(text) : Number.NaN;
    return number >= least && number <= most ? number : undefined;
  });
}

/** The entries of a comma-separated list, or undefined if one does not pass; an empty one must not. */
function listOf(text: string, passes: (entry: string) => boolean): string[] | undefined {
  const entries = text.split(',').map((entry) => entry.trim());
  return entries.every(passes) ? entries : undefined;
}

/** `redis://` or `rediss://`; several, separated by commas, are nodes of one Cluster → the URLs. */
export const redisUrl = setting(
  'must be a redis:// or rediss:// URL, or several separated by commas for a Cluster (all of one scheme, database 0)',
  (text) => {
    const urls = listOf(text, isRedisUrl);
    if (urls === undefined || urls.length === 1) return urls;
    const parsed = urls.map((url) => new URL(url));
    const agree = parsed.every(({ protocol, pathname }) => {
      return protocol === parsed[0]!.protocol && /^(?:\/0?)?$/.test(pathname);
    });
    return agree ? urls : undefined;
  },
);

/** 32 bytes in base64 → a Buffer. */
export const masterKey = setting(
  'must be 32 bytes in base64, as `openssl rand -base64 32` makes them',
  (text) => {
    const bytes = Buffer.from(text, 'base64');
    return bytes.length === MASTER_KEY_BYTES && bytes.toString('base64') === text ? bytes : undefined;
  },
);

/** 0 lets the system choose. */
export const port = integer('must be a port, 0 to 65535', 0, 65_535);

export const positiveInt = integer('must be a whole number from 1', 1, Number.MAX_SAFE_INTEGER);

/** How many processes one parent runs: more than any machine has cores is a slip of the keyboard. */
export const processes = integer('must be a whole number from 1 to 1024', 1, 1024);

/** Hours, fractions allowed → ms. */
export const hours = setting('must be a number of hours above 0, up to 100000', (text) => {
  const number = /^[0-9]{1,6}(?:\.[0-9]{1,6})?$/.test(text) ? Number(text) : Number.NaN;
  return number > 0 && number <= 100_000 ? Math.ceil(number * 3_600_000) : undefined;
});

/** A part of a whole: above 0, up to 1. */
export const share = setting('must be a number above 0, up to 1', (text) => {
  const number = /^[0-9]{0,3}(?:\.[0-9]{1,6})?$/.test(text) ? Number(text) : Number.NaN;
  return number > 0 && number <= 1 ? number : undefined;
});

const TRUTHS = new Map([
  ['true', true],
  ['1', true],
  ['false', false],
  ['0', false],
]);

export const bool = setting('must be true or false', (text) => TRUTHS.get(text));

/** Networks such as `10.0.0.0/8, fd00::/8` → their texts. */
export const cidrs = setting('must be CIDR networks such as 10.0.0.0/8, separated by commas', (text) =>
  listOf(text, (entry) => parseCidr(entry) === undefined),
);

/** Keys that fit into an `Authorization: Bearer` header (RFC 6750 §2.1) → the keys. */
export const apiKeys = setting(
  'must be one or more keys separated by commas, of letters, digits and - . _ ~ + / =',
  (text) => listOf(text, (entry) => /^[A-Za-z0-9._~+/-]+=*$/.test(entry)),
);

export const logLevel = oneOf(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']);

/** How hard Redis must hold an event before it is answered with 202. */
export const durability = oneOf(['process', 'disk', 'replica']);

function isRedisUrl(text: string): boolean {
  if (!/^rediss?:\/\//.test(text) || !URL.canParse(text)) return false;
  const { hostname, pathname, hash } = new URL(text);
  return hostname !== '' && hash === '' && /^(?:\/[0-9]{0,4})?$/.test(pathname);
}

const DAY_MS = 86_400_000;

/** How long what has ended is kept; the same variables for every process, since all of them drop it. */
export const retentionSettings = {
  SEALPOST_RETENTION_DAYS: positiveInt
    .default(7)
    .describe('Days that the record of a delivery, with its attempts, is kept after it has ended.'),
  SEALPOST_BODY_RETENTION_DAYS: positiveInt
    .default(3)
    .describe(
      'Days that an event’s payload is kept after its last delivery has ended; until then it can be replayed. At most SEALPOST_RETENTION_DAYS.',
    ),
};

/** What API and worker both read; each schema begins with these. */
export const sharedSettings = {
  REDIS_URL: redisUrl.describe(
    'The Redis (6.2 or newer, or Valkey) that holds everything; it must have `maxmemory-policy noeviction` and should have AOF.',
  ),
  SEALPOST_MASTER_KEY: masterKey.describe(
    'The key from which all others are derived: seals, encryption of secrets, hashes of API keys. The same for all processes; without it, what Redis holds cannot be read.',
  ),
  SEALPOST_MASTER_KEY_PREVIOUS: masterKey
    .optional()
    .describe('The master key before a rotation, still accepted for reading.'),
  HOST: z
    .string()
    .default('127.0.0.1')
    .describe('The address that the process listens at. The image sets 0.0.0.0, the container’s own.'),
  SEALPOST_ALLOW_SUBNETS: cidrs
    .default([])
    .describe('Networks that deliveries may reach although their addresses are private or reserved.'),
  SEALPOST_HTTPS_ONLY: bool.default(false).describe('Refuse `http:` endpoints.'),
  ...retentionSettings,
  LOG_LEVEL: logLevel.default('info').describe('The least level that is logged.'),
};

/** In ms. @throws SettingsError when bodies would be kept longer than what refers to them */
export function retentionOf(settings: {
  SEALPOST_RETENTION_DAYS: number;
  SEALPOST_BODY_RETENTION_DAYS: number;
}): {
  recordsMs: number;
  bodiesMs: number;
} {
  const { SEALPOST_RETENTION_DAYS: records, SEALPOST_BODY_RETENTION_DAYS: bodies } = settings;
  if (bodies > records) {
    const message = `must be at most SEALPOST_RETENTION_DAYS, which is ${records}`;
    throw new SettingsError([{ name: 'SEALPOST_BODY_RETENTION_DAYS', message }]);
  }
  return { recordsMs: records * DAY_MS, bodiesMs: bodies * DAY_MS };
}
