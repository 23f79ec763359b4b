import { SealpostError } from '@sealpost/core';
import type { Request } from 'express';

/** A body must arrive within this, ms: who sends slower holds a connection for nothing. */
const ARRIVES_MS = 60_000;

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * A request's JSON text; '' when there is no body.
 * @param arrivesMs within which it must have arrived
 * @throws SealpostError unsupported_media_type, unsupported_content_encoding, payload_too_large,
 * request_timeout, invalid_utf8
 */
export async function readBody(request: Request, limit: number, arrivesMs = ARRIVES_MS): Promise<string> {
  const length = Number(request.headers['content-length'] ?? 0);
  if (length > limit) throw tooLarge(limit);
  const encoding = request.headers['content-encoding'];
  if (encoding !== undefined && encoding !== 'identity') {
    throw new SealpostError(
      'unsupported_content_encoding',
      'Send the body as it is, without content-encoding.',
    );
  }
  const bytes = takeWhole(request, length) ?? (await arrival(request, limit, arrivesMs));
  request.body = bytes; // it has been read, whatever is made of it
  if (bytes.length === 0) return '';
  assertJson(request.headers['content-type']);
  try {
    return utf8.decode(bytes);
  } catch {
    throw new SealpostError('invalid_utf8', 'The body is not valid UTF-8.');
  }
}

/** Most bodies come with their headers, and are there by now: then nothing is to be waited for. */
function takeWhole(request: Request, length: number): Buffer | undefined {
  if (length === 0 || request.readableLength !== length || request.destroyed) return undefined;
  const bytes = request.read() as Buffer;
  request.resume(); // to its end, which is yet to be told
  return bytes;
}

function arrival(request: Request, limit: number, arrivesMs: number): Promise<Buffer> {
  if (request.destroyed) return Promise.reject(brokeOff());
  const chunks: Buffer[] = [];
  let size = 0;
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => done(tooSlow(arrivesMs)), arrivesMs);
    const onData = (chunk: Buffer) => {
      size += chunk.length;
      if (size > limit) done(tooLarge(limit));
      else chunks.push(chunk);
    };
    const onEnd = () => done();
    const onClose = () => done(brokeOff());
    function done(error?: Error) {
      clearTimeout(timer);
      request.off('data', onData).off('end', onEnd).off('close', onClose);
      if (error) reject(error);
      else resolve(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks));
    }
    request.on('data', onData).on('end', onEnd).on('close', onClose);
  });
}

/** @throws SealpostError malformed_json */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new SealpostError('malformed_json', `The body is not valid JSON${placeOf(error)}.`);
  }
}

/** Where V8 stopped, if it tells. The rest of its message may repeat what was sent, so it is not passed on. */
function placeOf(error: unknown): string {
  const message = error instanceof Error ? error.message : '';
  if (message === 'Unexpected end of JSON input') return ': it ends too early';
  const place = / in JSON at position \d+ \(line (\d+) column (\d+)\)$/.exec(message);
  return place ? `: line ${place[1]}, column ${place[2]}` : '';
}

const JSON_TYPE = /^\s*application\/(?:[\w.-]+\+)?json\s*(?:;|$)/i;
const CHARSET = /;\s*charset\s*=\s*"?([^\s;"]*)/i;

/** JSON, or a type built on it (RFC 6839 §3.1), in UTF-8 (RFC 8259 §8.1); other parameters mean nothing to us. */
function assertJson(contentType = ''): void {
  const charset = CHARSET.exec(contentType)?.[1] ?? 'utf-8';
  if (JSON_TYPE.test(contentType) && /^utf-?8$/i.test(charset)) return;
  throw new SealpostError(
    'unsupported_media_type',
    'Send JSON in UTF-8, with the content type application/json.',
  );
}

function tooSlow(arrivesMs: number): SealpostError {
  return new SealpostError('request_timeout', `The body did not arrive within ${arrivesMs / 1000} seconds.`);
}

function brokeOff(): SealpostError {
  return new SealpostError('malformed_request', 'The body broke off.');
}

function tooLarge(limit: number): SealpostError {
  return new SealpostError('payload_too_large', `The body may have at most ${limit} bytes.`);
}
