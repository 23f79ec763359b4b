import type { Readable } from 'node:stream';
import { SealpostError } from '@sealpost/core';

/** Lines published together: enough to share round trips, few enough to bound memory. */
const CHUNK_LINES = 100;
const NEWLINE = 0x0a;

/**
 * The lines of a stream, as bytes, in chunks as they come; the stream is not read on while a chunk is being worked on,
 * so a fast producer is slowed down to what Redis takes.
 * @throws SealpostError payload_too_large for a line of more than `maxLineBytes`
 */
export async function* chunksOfLines(stream: Readable, maxLineBytes: number): AsyncGenerator<Buffer[]> {
  let parts: Buffer[] = [];
  let size = 0;
  let lines: Buffer[] = [];
  for await (const bytes of stream as AsyncIterable<Buffer>) {
    let start = 0;
    for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, start)) {
      const line = Buffer.concat([...parts, bytes.subarray(start, end)]);
      if (line.length > maxLineBytes) throw tooLarge(maxLineBytes);
      if (!isBlank(line)) lines.push(line);
      parts = [];
      size = 0;
      start = end + 1;
      if (lines.length >= CHUNK_LINES) {
        yield lines;
        lines = [];
      }
    }
    if (start < bytes.length) parts.push(bytes.subarray(start));
    size += bytes.length - start;
    if (size > maxLineBytes) throw tooLarge(maxLineBytes);
    if (lines.length > 0) yield lines;
    lines = [];
  }
  const last = Buffer.concat(parts);
  if (!isBlank(last)) yield [last];
}

function isBlank(line: Buffer): boolean {
  return line.every((byte) => byte === 0x20 || byte === 0x0d || byte === 0x09);
}

function tooLarge(maxLineBytes: number): SealpostError {
  return new SealpostError('payload_too_large', `A line may have at most ${maxLineBytes} bytes.`);
}
