import { randomBytes } from 'node:crypto';

/**
 * Ids for events that bring none: a random part for each client and a count. 96 random bits, so that no two clients share
 * them; not of the form of Sealpost's own ids, which the API would refuse.
 */
export function eventIds(): () => string {
  const prefix = `c-${randomBytes(12).toString('base64url')}-`;
  let count = 0;
  return () => prefix + (count++).toString(36);
}
