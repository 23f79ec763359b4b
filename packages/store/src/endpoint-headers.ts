import { type FieldError, type Keyring, REDACTED, SealpostError } from '@sealpost/core';

/** In every answer; sent back, it keeps the stored value. */
export { REDACTED };

/**
 * Encrypts an endpoint's own headers. A redacted value keeps what is stored under that name, in any case (RFC 9110
 * §5.1). @throws SealpostError validation_failed for a redacted value where none is stored; KeyringError
 */
export function sealHeaders(
  keyring: Keyring,
  place: { app: string; endpointId: string },
  headers: Readonly<Record<string, string>>,
  stored: Readonly<Record<string, string>>,
): Record<string, string> {
  const aad = (name: string) => ({ app: place.app, record: place.endpointId, field: `header:${name}` });
  const storedNames = new Map(Object.keys(stored).map((name) => [name.toLowerCase(), name]));
  const errors: FieldError[] = [];
  const result: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    const storedName = storedNames.get(name.toLowerCase());
    if (value !== REDACTED) result[name] = keyring.encrypt(value, aad(name));
    else if (storedName === undefined) {
      errors.push({ path: `headers.${name}`, message: 'is redacted, and no value is stored for it' });
    } else {
      const sealed = stored[storedName]!;
      // The name is part of what the value is bound to.
      result[name] =
        storedName === name ? sealed : keyring.encrypt(keyring.decrypt(sealed, aad(storedName)), aad(name));
    }
  }
  if (errors.length > 0) {
    throw new SealpostError('validation_failed', `${errors[0]!.path} ${errors[0]!.message}`, { errors });
  }
  return result;
}
