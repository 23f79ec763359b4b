import { createHmac, sign } from 'node:crypto';
import { type SigningKey, signingKeyOf } from './secrets.ts';

export type SignInput = {
  /** The `webhook-id`; free of full stops, since they delimit what is signed. */
  id: string;
  /** The time of the attempt, in whole seconds since the epoch. */
  timestampSeconds: number;
  body: Buffer | string;
  /** The present secret first, then those that still count during a rotation's overlap. */
  secrets: readonly string[];
};

/**
 * The value of `webhook-signature`: one signature per secret, `v1,{base64}` (HMAC-SHA256) or `v1a,{base64}`
 * (ed25519) over `{id}.{timestamp}.{body}`, separated by spaces (Standard Webhooks, "Signature scheme" and "Webhook
 * headers"). Text is signed as UTF-8. Throws a `TypeError` for a secret that `checkSecret` refuses.
 */
export function signStandard({ id, timestampSeconds, body, secrets }: SignInput): string {
  const prefix = `${id}.${timestampSeconds}.`;
  let header = '';
  for (const secret of secrets) {
    const signature = signWith(keyOf(secret), prefix, body);
    header = header === '' ? signature : `${header} ${signature}`;
  }
  return header;
}

function signWith({ version, key }: SigningKey, prefix: string, body: Buffer | string): string {
  if (version === 'v1') return `v1,${createHmac('sha256', key).update(prefix).update(body).digest('base64')}`;
  const message = Buffer.concat([Buffer.from(prefix), typeof body === 'string' ? Buffer.from(body) : body]);
  return `v1a,${sign(null, message, key).toString('base64')}`;
}

/** Importing an ed25519 key costs about as much as signing with it, so the latest ones are kept. */
const importedKeys = new Map<string, SigningKey>();
const MAX_IMPORTED_KEYS = 1_000;

function keyOf(secret: string): SigningKey {
  if (!secret.startsWith('whsk_')) return signingKeyOf(secret);
  let key = importedKeys.get(secret);
  if (key === undefined) {
    key = signingKeyOf(secret);
    if (importedKeys.size >= MAX_IMPORTED_KEYS) importedKeys.delete(importedKeys.keys().next().value!);
    importedKeys.set(secret, key);
  }
  return key;
}
