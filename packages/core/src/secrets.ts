import { createPrivateKey, createPublicKey, type KeyObject, randomBytes } from 'node:crypto';

/**
 * Signing secrets of endpoints, in the serialization of Standard Webhooks ("Signature scheme"): `whsec_` + base64
 * is a symmetric key, `whsk_` + base64 an ed25519 secret key, whose public half is `whpk_` + base64. Any other text
 * is taken as it is.
 */
const SYMMETRIC = 'whsec_';
const ASYMMETRIC = 'whsk_';
const PUBLIC = 'whpk_';

const MAX_CHARACTERS = 256;
const MIN_BYTES = 24;
const MAX_BYTES = 64;
/** RFC 2104 §3 discourages keys shorter than the hash's output. */
const GENERATED_BYTES = 32;
const ED25519_BYTES = 32;
/** What precedes the 32 bytes of an ed25519 seed in PKCS #8 DER (RFC 8410 §7). */
const PKCS8_ED25519 = Buffer.from('302e020100300506032b657004220420', 'hex');

export type SigningKey = { version: 'v1'; key: Buffer } | { version: 'v1a'; key: KeyObject };

/** A new symmetric secret: `whsec_` + base64 of 32 random bytes. */
export function generateSecret(): string {
  return SYMMETRIC + randomBytes(GENERATED_BYTES).toString('base64');
}

/**
 * What is wrong with a secret that a client chose, or undefined. The message does not repeat the secret.
 *
 * A `whsk_` secret holds a seed of 32 bytes, or the 64 bytes of seed and public key as the Svix server, libsodium
 * and Go keep it.
 */
export function checkSecret(text: string): string | undefined {
  // Two UTF-16 units at most make a character, which bounds the work before anything is counted.
  if (text.length === 0 || text.length > 2 * MAX_CHARACTERS || [...text].length > MAX_CHARACTERS) {
    return `must have 1 to ${MAX_CHARACTERS} characters`;
  }
  if (!text.isWellFormed()) return 'must be well-formed Unicode';
  if (text.startsWith(SYMMETRIC)) return checkBytes(SYMMETRIC, decodeBase64(text, SYMMETRIC));
  if (text.startsWith(ASYMMETRIC)) return checkKeyPair(decodeBase64(text, ASYMMETRIC));
  return undefined;
}

/** The `whpk_` public key that verifies what a `whsk_` secret signs. Throws a `TypeError` for any other secret. */
export function publicKeyOf(secret: string): string {
  const bytes = secret.startsWith(ASYMMETRIC) ? decodeBase64(secret, ASYMMETRIC) : undefined;
  if (!bytes || checkKeyPair(bytes) !== undefined) throw new TypeError('not a well-formed whsk_ secret');
  return PUBLIC + publicBytes(bytes).toString('base64');
}

/**
 * The key with which Standard Webhooks signatures are made, for a secret that `checkSecret` accepts. Throws a
 * `TypeError` for others.
 */
export function signingKeyOf(secret: string): SigningKey {
  if (secret.startsWith(ASYMMETRIC)) {
    const bytes = decodeBase64(secret, ASYMMETRIC);
    if (bytes?.length !== ED25519_BYTES && bytes?.length !== 2 * ED25519_BYTES) {
      throw new TypeError('not a well-formed whsk_ secret');
    }
    return { version: 'v1a', key: privateKey(bytes) };
  }
  const key = secret.startsWith(SYMMETRIC) ? decodeBase64(secret, SYMMETRIC) : Buffer.from(secret, 'utf8');
  if (key === undefined || key.length === 0) throw new TypeError('not a well-formed signing secret');
  return { version: 'v1', key };
}

function checkBytes(prefix: string, bytes: Buffer | undefined): string | undefined {
  if (bytes === undefined) return `must be base64 with its padding (RFC 4648 §4) after ${prefix}`;
  if (bytes.length >= MIN_BYTES && bytes.length <= MAX_BYTES) return undefined;
  return `must hold ${MIN_BYTES} to ${MAX_BYTES} bytes after ${prefix}, not ${bytes.length}`;
}

function checkKeyPair(bytes: Buffer | undefined): string | undefined {
  const problem = checkBytes(ASYMMETRIC, bytes);
  if (problem !== undefined || bytes === undefined) return problem;
  if (bytes.length === ED25519_BYTES) return undefined;
  if (bytes.length !== 2 * ED25519_BYTES) {
    return 'must hold an ed25519 seed of 32 bytes, or seed and public key in 64 bytes, after whsk_';
  }
  if (publicBytes(bytes).equals(bytes.subarray(ED25519_BYTES))) return undefined;
  return 'must hold an ed25519 public key that belongs to its seed';
}

/** Undefined unless canonical: receivers' libraries differ in what else they take, and in what they make of it. */
function decodeBase64(text: string, prefix: string): Buffer | undefined {
  const encoded = text.slice(prefix.length);
  const bytes = Buffer.from(encoded, 'base64');
  return bytes.toString('base64') === encoded ? bytes : undefined;
}

function privateKey(bytes: Buffer): KeyObject {
  const der = Buffer.concat([PKCS8_ED25519, bytes.subarray(0, ED25519_BYTES)]);
  return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
}

function publicBytes(bytes: Buffer): Buffer {
  const { x } = createPublicKey(privateKey(bytes)).export({ format: 'jwk' });
  return Buffer.from(x!, 'base64url');
}
