import { createHmac, timingSafeEqual } from 'node:crypto';

/**
 * Whether a delivery is genuine and fresh by Standard Webhooks (https://www.standardwebhooks.com): the headers
 * `webhook-id`, `webhook-timestamp` and `webhook-signature`, which Sealpost sends in every wire profile. Never throws.
 *
 * @param {string} secret As Sealpost shows it: `whsec_…`, or any other text.
 * @param {Record<string, string | string[] | undefined>} headers Names in lower case, as in `node:http`.
 * @param {Buffer} body The bytes as they arrived, before anything parsed them.
 * @param {{toleranceSeconds?: number, now?: number}} [options] How old or early it may be; the time, in seconds since 1970.
 */
export function verifyStandard(
  secret,
  headers,
  body,
  { toleranceSeconds = 300, now = Date.now() / 1000 } = {},
) {
  const id = headers['webhook-id'];
  const timestamp = headers['webhook-timestamp'];
  const signatures = headers['webhook-signature'];
  if (typeof id !== 'string' || typeof timestamp !== 'string' || typeof signatures !== 'string') return false;
  if (!/^\d{1,12}$/.test(timestamp) || Math.abs(now - Number(timestamp)) > toleranceSeconds) return false;
  const hmac = createHmac('sha256', keyOf(secret)).update(`${id}.${timestamp}.`).update(body);
  const expected = `v1,${hmac.digest('base64')}`;
  // While a secret is being rotated there are two: one of each secret.
  return signatures.split(' ').some((signature) => same(signature, expected));
}

/**
 * Whether a delivery is genuine by a header of the form `sha256=<hex>` over its body, as in `X-Flock-Signature`. Says
 * nothing about when it was sent, so prefer `verifyStandard`. Never throws.
 *
 * @param {string} secret Its text counts as it stands, `whsec_` included.
 * @param {string | string[] | undefined} signature The header's value.
 * @param {Buffer} body
 */
export function verifySha256(secret, signature, body) {
  if (typeof signature !== 'string') return false;
  return same(signature, `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`);
}

function keyOf(secret) {
  return secret.startsWith('whsec_') ? Buffer.from(secret.slice('whsec_'.length), 'base64') : secret;
}

/** Compares in a time that tells nothing of where they differ; `timingSafeEqual` alone throws at unequal lengths. */
function same(given, expected) {
  const a = Buffer.from(given);
  const b = Buffer.from(expected);
  return a.length === b.length && timingSafeEqual(a, b);
}
