import { createHmac } from 'node:crypto';
import type { SignatureTemplate } from './wire-profile.ts';

/** `sha256=` and hex over the body: what the four systems and GitHub have. */
export const SHA256_HEX: SignatureTemplate = {
  encoding: 'hex',
  content: '{body}',
  value: 'sha256={signature}',
};

/** Base64 alone over the body, as Shopify has it. */
export const SHA256_BASE64: SignatureTemplate = {
  encoding: 'base64',
  content: '{body}',
  value: '{signature}',
};

export type OwnSignatureInput = {
  eventId: string;
  /** The time of the attempt, in whole seconds since the epoch. */
  timestampSeconds: number;
  body: Buffer | string;
  /** The present secret first, then those that still count; at least one. */
  secrets: readonly string[];
};

/** The value of a profile's own signature header. */
export type SignOwn = (input: OwnSignatureInput) => string;

/** Compiles a signature template, once. */
export function compileSignature(template: SignatureTemplate): SignOwn {
  const [before = '', after = ''] = template.content.split('{body}');
  const { encoding, value, former } = template;
  const signWith = (secret: string, input: OwnSignatureInput) => {
    const hmac = createHmac('sha256', secret);
    if (before !== '') hmac.update(fill(before, input, ''));
    hmac.update(input.body);
    if (after !== '') hmac.update(fill(after, input, ''));
    return hmac.digest(encoding);
  };
  return (input) => {
    let header = fill(value, input, signWith(input.secrets[0]!, input));
    if (former === undefined) return header;
    for (const secret of input.secrets.slice(1)) header += fill(former, input, signWith(secret, input));
    return header;
  };
}

function fill(text: string, { eventId, timestampSeconds }: OwnSignatureInput, signature: string): string {
  return text.replace(/\{(?:id|timestamp|signature)\}/g, (placeholder) => {
    if (placeholder === '{id}') return eventId;
    return placeholder === '{timestamp}' ? String(timestampSeconds) : signature;
  });
}
