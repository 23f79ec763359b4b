/** What stands in place of a secret. */
const REDACTED = '[redacted]';
/** Names of fields that hold what must never be written: secrets, signatures, and bodies, which are not ours to show. */
const SECRET =
  /^(?:(?:proxy[-_])?authorization|(?:set-)?cookie|(?:.*[-_])?(?:api)?key|(?:.*[-_])?(?:password|token)|(?:raw_?)?(?:body|payload))$|secret|signature$/i;
/** Below this nothing is looked at, and so nothing is written. */
const DEPTH = 6;
const KNOWN_NAMES = 1000;

const known = new Map<string, boolean>();

/** Asked for every field of every line; there are few names. */
function isSecret(name: string): boolean {
  let secret = known.get(name);
  if (secret === undefined) {
    secret = SECRET.test(name);
    if (known.size < KNOWN_NAMES) known.set(name, secret);
  }
  return secret;
}

/**
 * A logged object without the fields whose names say that they are secret, at any depth. The last line of defence: nothing
 * that holds a secret should be logged at all. What has none is given back as it is.
 */
export function redact<T>(value: T, depth = DEPTH): T {
  if (!isPlain(value)) return value;
  if (depth === 0) return REDACTED as T;
  let copy: Record<string, unknown> | undefined;
  const object = value as Record<string, unknown>;
  for (const name in object) {
    const own = object[name];
    const shown =
      own != null && isSecret(name) ? REDACTED : typeof own === 'object' ? redact(own, depth - 1) : own;
    if (shown === own) continue;
    copy ??= (Array.isArray(object) ? [...object] : { ...object }) as Record<string, unknown>;
    copy[name] = shown;
  }
  return (copy ?? value) as T;
}

/** An error has a serializer of its own; of other classes only what `toJSON` says is written. */
function isPlain(value: unknown): value is object {
  if (typeof value !== 'object' || value === null) return false;
  const prototype = Object.getPrototypeOf(value) as unknown;
  return prototype === Object.prototype || prototype === null || Array.isArray(value);
}
