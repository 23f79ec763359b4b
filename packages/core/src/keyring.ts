import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createSecretKey,
  hkdfSync,
  type KeyObject,
  randomBytes,
  timingSafeEqual,
} from 'node:crypto';

/**
 * What a delivery is sealed over. `recordHash` is the hash of the event record, a character a byte: a buffer for each would
 * cost as much as the hash.
 */
export type SealFields = {
  app: string;
  delivery: string;
  event: string;
  endpoint: string;
  contentType: string;
  recordHash: string;
};

/** What an encrypted text is bound to: moved elsewhere, it does not decrypt. */
export type Aad = { app: string; record: string; field: string };

export type Verification = 'valid' | 'invalid' | 'unknown_key';

/** `unknown_key`: made under a master key that this process does not have; `tampered`: anything else is wrong. */
export class KeyringError extends Error {
  override readonly name = 'KeyringError';
  readonly code: 'unknown_key' | 'tampered';

  constructor(code: 'unknown_key' | 'tampered', message: string, options?: { cause: unknown }) {
    super(message, options);
    this.code = code;
  }
}

export const MASTER_KEY_BYTES = 32;

/** The form of every key id: what looks otherwise was written by no master key. */
const KEY_ID = /^[0-9a-f]{8}$/;
const SEAL_BYTES = 20;
const IV_BYTES = 12;
const TAG_BYTES = 16;

type Keys = {
  id: string;
  seal: KeyObject;
  record: KeyObject;
  encryption: KeyObject;
  apiKey: KeyObject;
  token: KeyObject;
};

/**
 * All keys that protect what is stored, derived from `SEALPOST_MASTER_KEY`. Everything is made under the current
 * key; what the previous one made is still read.
 */
export class Keyring {
  readonly keyId: string;
  readonly #current: Keys;
  readonly #all: Keys[];
  /** What hashed API keys under master keys that are gone, by their ids. */
  readonly #formerApiKeys = new Map<string, KeyObject>();

  private constructor(current: Keys, previous: Keys | undefined) {
    this.keyId = current.id;
    this.#current = current;
    this.#all = previous === undefined || previous.id === current.id ? [current] : [current, previous];
  }

  /** From master keys of 32 bytes each; throws a `RangeError` for other lengths. */
  static fromMasterKeys(current: Buffer, previous?: Buffer): Keyring {
    return new Keyring(deriveKeys(current), previous && deriveKeys(previous));
  }

  /** Whether what was made under the key with this id can be checked and read. */
  knows(keyId: string): boolean {
    return this.#find(keyId) !== undefined;
  }

  /** The id of the key before the current one, while that is still read. */
  get previousKeyId(): string | undefined {
    return this.#all[1]?.id;
  }

  /** The seal of a delivery under the current key: 20 bytes of HMAC-SHA256 (truncated as RFC 2104 §5 allows). */
  seal(fields: SealFields): Buffer {
    return sealUnder(this.#current, fields);
  }

  verifySeal(keyId: string, fields: SealFields, seal: Buffer): Verification {
    const keys = this.#find(keyId);
    if (keys === undefined) return 'unknown_key';
    return sameBytes(sealUnder(keys, fields), seal) ? 'valid' : 'invalid';
  }

  /**
   * AES-256-GCM (NIST SP 800-38D) as `v1.{keyId}.{base64url of iv, tag and ciphertext}`. The key is derived for each
   * place that a text may stand in, so random 96-bit ivs stay far from their limit of 2^32 uses of one key however
   * many texts Sealpost encrypts.
   */
  encrypt(plain: string, aad: Aad): string {
    const iv = randomBytes(IV_BYTES);
    const place = join([aad.app, aad.record, aad.field]);
    const cipher = createCipheriv('aes-256-gcm', placeKey(this.#current, place), iv);
    cipher.setAAD(Buffer.from(place));
    const start = cipher.update(plain, 'utf8');
    const end = cipher.final();
    const sealed = Buffer.concat([iv, cipher.getAuthTag(), start, end]).toString('base64url');
    return `v1.${this.keyId}.${sealed}`;
  }

  /** What `encrypt` was given for the same place. Throws a `KeyringError`. */
  decrypt(text: string, aad: Aad): string {
    const [version, keyId, encoded, ...rest] = text.split('.');
    if (version !== 'v1' || keyId === undefined || encoded === undefined || rest.length > 0) {
      throw new KeyringError('tampered', 'not an encrypted text');
    }
    const keys = this.#find(keyId);
    if (keys === undefined) throw new KeyringError('unknown_key', `no key has the id ${keyId.slice(0, 8)}`);
    const sealed = Buffer.from(encoded, 'base64url');
    const place = join([aad.app, aad.record, aad.field]);
    try {
      const iv = sealed.subarray(0, IV_BYTES);
      const options = { authTagLength: TAG_BYTES };
      const decipher = createDecipheriv('aes-256-gcm', placeKey(keys, place), iv, options);
      decipher.setAAD(Buffer.from(place));
      decipher.setAuthTag(sealed.subarray(IV_BYTES, IV_BYTES + TAG_BYTES));
      return (
        decipher.update(sealed.subarray(IV_BYTES + TAG_BYTES), undefined, 'utf8') + decipher.final('utf8')
      );
    } catch (cause) {
      throw new KeyringError('tampered', 'the encrypted text was changed or moved', { cause });
    }
  }

  /** The same text for the same place, under the current key. Throws a `KeyringError`. */
  reencrypt(text: string, aad: Aad): string {
    return this.encrypt(this.decrypt(text, aad), aad);
  }

  /** `{keyId}.{base64url}`: HMAC-SHA256 of a stored record's text, bound to its id and app. */
  mac(recordId: string, app: string, text: string): string {
    return `${this.keyId}.${hmac(this.#current.record, join([recordId, app, text])).toString('base64url')}`;
  }

  verifyMac(mac: string, recordId: string, app: string, text: string): Verification {
    const dot = mac.indexOf('.');
    if (!KEY_ID.test(mac.slice(0, dot))) return 'invalid';
    const keys = this.#find(mac.slice(0, dot));
    if (keys === undefined) return 'unknown_key';
    const expected = hmac(keys.record, join([recordId, app, text]));
    return sameBytes(expected, Buffer.from(mac.slice(dot + 1), 'base64url')) ? 'valid' : 'invalid';
  }

  /** What is stored in place of an API key: base64url of HMAC-SHA256 under the current key. */
  hashApiKey(key: string): string {
    return createHmac('sha256', this.#current.apiKey).update(key).digest('base64url');
  }

  /** What an API key may be stored as: under the current key first, then under the previous and former ones. */
  hashesOfApiKey(key: string): string[] {
    const former = [...this.#formerApiKeys].filter(([keyId]) => !this.knows(keyId)).map(([, hash]) => hash);
    return [...this.#all.map(({ apiKey }) => apiKey), ...former].map((hash) =>
      hmac(hash, key).toString('base64url'),
    );
  }

  /**
   * What hashes API keys under each master key that is not the current one, by its id, encrypted under the current one:
   * a key's text is not stored, so its hash cannot be made anew (docs/decisions/006-master-key-rotation.md).
   */
  sealFormerApiKeys(): Record<string, string> {
    const former = new Map(this.#formerApiKeys);
    for (const { id, apiKey } of this.#all) former.set(id, apiKey);
    former.delete(this.keyId);
    return Object.fromEntries(
      [...former].map(([id, hash]) => [
        id,
        this.encrypt(hash.export().toString('base64url'), formerApiKeysAad(id)),
      ]),
    );
  }

  /** Takes what `sealFormerApiKeys` gave. Throws a `KeyringError`. */
  adoptFormerApiKeys(keyId: string, sealed: string): void {
    const hash = Buffer.from(this.decrypt(sealed, formerApiKeysAad(keyId)), 'base64url');
    this.#formerApiKeys.set(keyId, createSecretKey(hash));
  }

  /** Base64url of HMAC-SHA256 of a text for one purpose, for cookies and derived ids (43 characters). */
  token(purpose: string, text: string): string {
    return hmac(this.#current.token, join([purpose, text])).toString('base64url');
  }

  /** Whether `token` was made for this purpose and text, under the current or the previous key. */
  verifyToken(purpose: string, text: string, token: string): boolean {
    const given = Buffer.from(token, 'base64url');
    const message = join([purpose, text]);
    return this.#all.some((keys) => sameBytes(hmac(keys.token, message), given));
  }

  #find(keyId: string): Keys | undefined {
    return this.#all.find((keys) => keys.id === keyId);
  }
}

function formerApiKeysAad(keyId: string): Aad {
  return { app: '', record: 'former api keys', field: keyId };
}

/** One key per use (RFC 5869 §3.2), so that a value made for one use is nothing in another. */
function deriveKeys(master: Buffer): Keys {
  if (master.length !== MASTER_KEY_BYTES) throw new RangeError('a master key has 32 bytes');
  const derive = (use: string, bytes: number) =>
    Buffer.from(hkdfSync('sha256', master, Buffer.alloc(0), `sealpost/1/${use}`, bytes));
  const key = (use: string) => createSecretKey(derive(use, 32));
  return {
    id: derive('key id', 4).toString('hex'),
    seal: key('seal'),
    record: key('record'),
    encryption: key('encryption'),
    apiKey: key('api key'),
    token: key('token'),
  };
}

function sealUnder(keys: Keys, fields: SealFields): Buffer {
  const { app, delivery, event, endpoint, contentType, recordHash } = fields;
  const message = join([keys.id, app, delivery, event, endpoint, contentType]);
  const digest = createHmac('sha256', keys.seal)
    .update(message)
    .update(recordHash, 'latin1')
    .digest('latin1');
  return Buffer.from(digest.slice(0, SEAL_BYTES), 'latin1');
}

function placeKey(keys: Keys, place: string): Buffer {
  return hmac(keys.encryption, place);
}

function hmac(key: KeyObject, message: string): Buffer {
  return createHmac('sha256', key).update(message).digest();
}

/** Each part with its length before it, so that no two lists of parts make the same text. */
function join(parts: readonly string[]): string {
  let text = '';
  for (const part of parts) text += `${part.length}:${part}`;
  return text;
}

function sameBytes(expected: Buffer, given: Buffer): boolean {
  return expected.length === given.length && timingSafeEqual(expected, given);
}
