import type { Keyring } from '@sealpost/core';

const COOKIE = 'sealpost_session';
const PURPOSE = 'session';
/** How long a log-in holds, seconds. */
const HOLDS_SECONDS = 12 * 3600;

/**
 * An operator's log-in: the time until which it holds, signed for the key that was used. Nothing is stored, so it
 * holds in every API process; it ends when that key or the master key is replaced.
 * @param operator hash of the key
 */
export function sessionCookie(keyring: Keyring, operator: string, now: number, secure: boolean): string {
  const until = String(Math.floor(now / 1000) + HOLDS_SECONDS);
  const value = `${until}.${keyring.token(PURPOSE, `${until} ${operator}`)}`;
  // Strict: no other site can make the browser use it.
  return `${COOKIE}=${value}; Path=/admin; HttpOnly; SameSite=Strict; Max-Age=${HOLDS_SECONDS}${secure ? '; Secure' : ''}`;
}

export function noSessionCookie(): string {
  return `${COOKIE}=; Path=/admin; HttpOnly; SameSite=Strict; Max-Age=0`;
}

/** @param operators hashes of the keys that count now */
export function hasSession(
  keyring: Keyring,
  operators: readonly string[],
  cookies: string | undefined,
  now: number,
): boolean {
  const value = new RegExp(`(?:^|;\\s*)${COOKIE}=(\\d{1,12})\\.([\\w-]{1,128})(?:;|$)`).exec(cookies ?? '');
  if (!value) return false;
  const [, until, token] = value;
  if (Number(until) * 1000 <= now) return false;
  return operators.some((operator) => keyring.verifyToken(PURPOSE, `${until} ${operator}`, token!));
}
