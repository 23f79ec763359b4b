import type { Keyring } from '@sealpost/core';

const COOKIE = 'sealpost_session';
const PURPOSE = 'session';
/** How long a log-in holds, seconds. */
const HOLDS_SECONDS = 12 * 3600;

/**
 * An operator's log-in: the time until which it holds, signed. Nothing is stored, so it holds in every API process;
 * another master key ends it.
 */
export function sessionCookie(keyring: Keyring, now: number, secure: boolean): string {
  const until = String(Math.floor(now / 1000) + HOLDS_SECONDS);
  const value = `${until}.${keyring.token(PURPOSE, until)}`;
  // Strict: no other site can make the browser use it.
  return `${COOKIE}=${value}; Path=/admin; HttpOnly; SameSite=Strict; Max-Age=${HOLDS_SECONDS}${secure ? '; Secure' : ''}`;
}

export function noSessionCookie(): string {
  return `${COOKIE}=; Path=/admin; HttpOnly; SameSite=Strict; Max-Age=0`;
}

export function hasSession(keyring: Keyring, cookies: string | undefined, now: number): boolean {
  const value = new RegExp(`(?:^|;\\s*)${COOKIE}=(\\d{1,12})\\.([\\w-]{1,128})(?:;|$)`).exec(cookies ?? '');
  if (!value) return false;
  const [, until, token] = value;
  return Number(until) * 1000 > now && keyring.verifyToken(PURPOSE, until!, token!);
}
