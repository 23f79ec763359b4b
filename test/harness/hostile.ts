import fc from 'fast-check';
import type { Operations, Schema } from './operations.ts';

/** Texts that have hurt somebody somewhere. */
export const HOSTILE_TEXTS: readonly string[] = [
  '',
  ' ',
  '.',
  '..',
  '../../etc/passwd',
  '__proto__',
  'constructor',
  'prototype',
  'hasOwnProperty',
  'toString',
  'null',
  'undefined',
  'NaN',
  '-1',
  '1e400',
  '\0',
  'a\0b',
  'a\r\nx-injected: yes',
  'a\nb',
  '\u2028\u2029\u0085',
  '\u001b[2J\u001b[31m',
  '\ud800',
  '\udc00x',
  '\u202e\u200b\ufeff',
  '{sp:0}:cfg:1',
  'sp:keys',
  '*',
  '**',
  'a.*.**',
  '%00',
  '%2e%2e%2f',
  '%',
  "' OR 1=1 --",
  '<script>alert(1)</script>',
  '{{7*7}}#{7*7}<%= 7*7 %>',
  '$(id)`id`',
  'http://127.0.0.1/',
  'javascript:alert(1)',
  'file:///etc/passwd',
  'http://[::ffff:7f00:1]/',
  'ep_000000000000',
  'evt_zzzzzzzzzzzz',
  'x'.repeat(5000),
  '\u{1f4a9}'.repeat(200),
];

/** JSON that no JavaScript value gives; each stands in a text in the place of its name. */
const RAW_JSON: Record<string, string> = {
  '@@big@@': '1e9999',
  '@@negative-big@@': '-1e9999',
  '@@long@@': `1${'0'.repeat(400)}`,
  '@@digits@@': `0.${'3'.repeat(400)}`,
  '@@negative-zero@@': '-0',
  '@@deep-list@@': '['.repeat(5000) + ']'.repeat(5000),
  '@@deep-object@@': `${'{"a":'.repeat(5000)}1${'}'.repeat(5000)}`,
  '@@many@@': `{${Array.from({ length: 3000 }, (_, i) => `"k${i}":1`).join(',')}}`,
  '@@twice@@': '{"a":1,"a":2,"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}',
};

const hostileText = fc.constantFrom(...HOSTILE_TEXTS);
const hostileValue: fc.Arbitrary<unknown> = fc.oneof(
  hostileText,
  fc.constantFrom(...Object.keys(RAW_JSON)),
  fc.constantFrom(null, true, 0, -1, 1.5, 2 ** 53, -(2 ** 31), 1e308, 5e-324, [], {}, [[]]),
  fc.jsonValue({ maxDepth: 3 }),
  fc.string({ unit: 'binary', maxLength: 60 }),
);

type Resolve = Operations['resolve'];

/** Values that the schema accepts, or nearly so: what no schema says is left to chance. */
export function sampleOf(schema: Schema, resolve: Resolve, depth = 0): fc.Arbitrary<unknown> {
  const is = resolve(schema ?? {});
  const choice: Schema[] | undefined = is.anyOf ?? is.oneOf ?? is.allOf;
  if (is.enum) return fc.constantFrom(...(is.enum as unknown[]));
  if (is.const !== undefined) return fc.constant(is.const);
  if (choice) return fc.oneof(...choice.map((one) => sampleOf(one, resolve, depth + 1)));
  if (depth > 6) return fc.constant(null);
  switch (is.type) {
    case 'object':
      return objectOf(is, resolve, depth);
    case 'array':
      return fc.array(sampleOf(is.items, resolve, depth + 1), {
        minLength: is.minItems ?? 0,
        maxLength: Math.min(is.maxItems ?? 4, Math.max(is.minItems ?? 0, 4)),
      });
    case 'string':
      return textOf(is);
    case 'integer':
      return fc.integer({ min: bounded(is.minimum, -1000), max: bounded(is.maximum, 1000) });
    case 'number':
      return fc.double({ min: bounded(is.minimum, -1000), max: bounded(is.maximum, 1000), noNaN: true });
    case 'boolean':
      return fc.boolean();
    case 'null':
      return fc.constant(null);
    default:
      return fc.jsonValue({ maxDepth: 3 });
  }
}

function bounded(bound: unknown, otherwise: number): number {
  return typeof bound === 'number' && Math.abs(bound) < 2 ** 31 ? bound : otherwise;
}

function objectOf(is: Schema, resolve: Resolve, depth: number): fc.Arbitrary<unknown> {
  const properties = Object.entries<Schema>(is.properties ?? {});
  if (properties.length === 0)
    return fc.dictionary(
      fc.string({ maxLength: 20 }),
      sampleOf(is.additionalProperties, resolve, depth + 1),
      {
        maxKeys: 4,
      },
    );
  const model = Object.fromEntries(
    properties.map(([name, schema]) => [name, sampleOf(schema, resolve, depth + 1)]),
  );
  return fc.record(model, { requiredKeys: is.required ?? [] });
}

function textOf(is: Schema): fc.Arbitrary<string> {
  const some = fc.constantFrom(
    'a.b',
    'order.created',
    'x',
    '2026-01-31T12:00:00Z',
    'https://receiver.example/hook',
  );
  if (is.pattern === undefined)
    return fc.oneof(some, fc.string({ maxLength: Math.min(is.maxLength ?? 50, 50), unit: 'binary' }));
  try {
    return fc.oneof(some, fc.stringMatching(new RegExp(is.pattern, 'u'), { size: 'small' }));
  } catch {
    return some; // the pattern has what fast-check cannot make
  }
}

/** JSON text of a value in which some places have been given something hostile, or been taken away. */
export function damaged(value: fc.Arbitrary<unknown>): fc.Arbitrary<string> {
  const damage = fc.record({
    at: fc.nat(),
    what: hostileValue,
    how: fc.constantFrom('put', 'put', 'drop', 'add'),
  });
  return fc
    .tuple(value, fc.array(damage, { minLength: 1, maxLength: 3 }))
    .map(([whole, damages]) => jsonText(damages.reduce(withDamage, whole)));
}

export function jsonText(value: unknown): string {
  const text = JSON.stringify(value) ?? 'null';
  return text.replace(/"(@@[\w-]+@@)"/g, (quoted, name: string) => RAW_JSON[name] ?? quoted);
}

type Damage = { at: number; what: unknown; how: string };

function withDamage(whole: unknown, { at, what, how }: Damage): unknown {
  const copy = structuredClone({ whole }) as Record<string, unknown>;
  const places: [holder: Record<string, unknown>, key: string][] = [];
  const walk = (holder: Record<string, unknown>) => {
    for (const key of Object.keys(holder)) {
      places.push([holder, key]);
      const value = holder[key];
      if (typeof value === 'object' && value !== null) walk(value as Record<string, unknown>);
    }
  };
  walk(copy);
  const [holder, key] = places[at % places.length]!;
  const inside = holder[key];
  if (how === 'drop' && holder !== copy) delete holder[key];
  else if (how === 'add' && typeof inside === 'object' && inside !== null) {
    const name = typeof what === 'string' ? what : '__proto__';
    Object.defineProperty(inside, name, {
      value: what,
      enumerable: true,
      configurable: true,
      writable: true,
    });
  } else holder[key] = what;
  return copy.whole;
}

/** Bodies: fit, damaged, any JSON, and no JSON at all. */
export function bodyOf(schema: Schema, resolve: Resolve): fc.Arbitrary<string | Buffer> {
  const fit = sampleOf(schema, resolve);
  return fc.oneof(
    { weight: 3, arbitrary: fit.map(jsonText) },
    { weight: 5, arbitrary: damaged(fit) },
    { weight: 1, arbitrary: hostileValue.map(jsonText) },
    {
      weight: 1,
      arbitrary: fc.oneof(
        hostileText,
        fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
      ),
    },
  );
}

/** A path segment, encoded in one way or another. */
export const hostileSegment: fc.Arbitrary<string> = fc
  .tuple(
    fc.oneof(hostileText, fc.string({ unit: 'binary', maxLength: 40 })),
    fc.constantFrom('once', 'twice', 'raw'),
  )
  .map(([text, how]) => {
    const whole = text.toWellFormed();
    if (how === 'raw') return whole.replace(/[^!-~]|[#?/\\]/g, '') || '%zz';
    return how === 'once' ? encodeURIComponent(whole) : encodeURIComponent(encodeURIComponent(whole));
  });

/** A query string, also one that is none. */
export function queryOf(names: readonly string[]): fc.Arbitrary<string> {
  const name = names.length > 0 ? fc.oneof(fc.constantFrom(...names), hostileText) : hostileText;
  const value = fc.oneof(
    hostileText,
    fc.constantFrom(
      '1',
      '100',
      'dead',
      'a.b',
      '2026-01-31T12:00:00Z',
      'pending,dead',
      '99999999999999999999',
    ),
  );
  const encoded = (text: string) => encodeURIComponent(text.toWellFormed());
  const pairs = fc.array(fc.tuple(name, value), { maxLength: 4 });
  const tidy = pairs.map((all) => all.map(([n, v]) => `${encoded(n)}=${encoded(v)}`).join('&'));
  return fc.oneof(
    { weight: 8, arbitrary: fc.constant('') },
    { weight: 3, arbitrary: tidy },
    {
      weight: 1,
      arbitrary: fc.constantFrom(
        '%zz',
        '&&==',
        'a[b]=c&a[b][c]=d',
        'limit[]=1',
        '=',
        '%00',
        '__proto__[x]=1',
      ),
    },
  );
}

const headerText = fc.oneof(
  fc.constantFrom(
    '',
    ' ',
    '*/*',
    'wait=0',
    'wait=-1',
    'wait=1e9',
    'wait=99999999999',
    'respond-async; wait',
    'x'.repeat(5000),
  ),
  fc.string({
    unit: fc.integer({ min: 0x20, max: 0xff }).map((code) => String.fromCharCode(code)),
    maxLength: 40,
  }),
);

export const hostileHeaders: fc.Arbitrary<Record<string, string>> = fc.dictionary(
  fc.constantFrom(
    'idempotency-key',
    'prefer',
    'accept',
    'accept-encoding',
    'if-match',
    'range',
    'cookie',
    'sealpost-app',
    'x-forwarded-for',
    'x-http-method-override',
    'content-encoding',
    'origin',
  ),
  headerText,
  { maxKeys: 3 },
);
