import { SealpostError } from '@sealpost/core';
import type { Request } from 'express';

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** @throws SealpostError unsupported_media_type, unsupported_content_encoding, payload_too_large, invalid_utf8 */
export async function readBody(request: Request, limit: number): Promise<string> {
  const length = Number(request.headers['content-length'] ?? 0);
  if (length > limit) throw tooLarge(limit);
  const encoding = request.headers['content-encoding'];
  if (encoding !== undefined && encoding !== 'identity') {
    throw new SealpostError(
      'unsupported_content_encoding',
      'Send the body as it is, without content-encoding.',
    );
  }
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > limit) throw tooLarge(limit);
    chunks.push(chunk);
  }
  if (size > 0) assertJson(request.headers['content-type']);
  try {
    return utf8.decode(chunks.length === 1 ? chunks[0] : Buffer.concat(chunks));
  } catch {
    throw new SealpostError('invalid_utf8', 'The body is not valid UTF-8.');
  }
}

/** @throws SealpostError malformed_json */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new SealpostError('malformed_json', 'The body is not valid JSON.');
  }
}

function assertJson(contentType: string | undefined): void {
  if (/^\s*application\/([\w.-]+\+)?json\s*(;\s*charset="?utf-8"?\s*)?$/i.test(contentType ?? '')) return;
  throw new SealpostError('unsupported_media_type', 'Send JSON, with the content type application/json.');
}

function tooLarge(limit: number): SealpostError {
  return new SealpostError('payload_too_large', `The body may have at most ${limit} bytes.`);
}
