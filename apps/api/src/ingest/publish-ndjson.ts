import type { Readable } from 'node:stream';
import { SealpostError } from '@sealpost/core';

/** Lines published together: enough to share round trips, few enough to bound memory. */
const CHUNK_LINES = 100;
const NEWLINE = 0x0a;

/** A line's bytes, or that it had more than it may have: then it was read over. */
export type Line = Buffer | 'too_long';

/**
 * The lines of a stream that are not blank, in chunks as they come; the stream is not read on while a chunk is being
 * worked on, so a fast producer is slowed down to what Redis takes.
 * @throws SealpostError malformed_request: the stream broke off
 */
export async function* chunksOfLines(stream: Readable, maxLineBytes: number): AsyncGenerator<Line[]> {
  const open = new OpenLine(maxLineBytes);
  let lines: Line[] = [];
  for await (const bytes of bytesOf(stream)) {
    let start = 0;
    for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, start)) {
      open.add(bytes.subarray(start, end));
      const line = open.end();
      if (line) lines.push(line);
      start = end + 1;
      if (lines.length >= CHUNK_LINES) {
        yield lines;
        lines = [];
      }
    }
    open.add(bytes.subarray(start));
    if (lines.length > 0) yield lines;
    lines = [];
  }
  const last = open.end();
  if (last) yield [last];
}

/** A client that goes away is no fault of this side. */
async function* bytesOf(stream: Readable): AsyncGenerator<Buffer> {
  try {
    yield* stream as AsyncIterable<Buffer>;
  } catch (error) {
    throw new SealpostError('malformed_request', 'The body broke off.', { cause: error });
  }
}

/** The line that is being read; never holds more than one may have. */
class OpenLine {
  readonly #max: number;
  #parts: Buffer[] = [];
  #size = 0;

  constructor(max: number) {
    this.#max = max;
  }

  add(bytes: Buffer): void {
    this.#size += bytes.length;
    if (this.#size > this.#max) this.#parts = [];
    else if (bytes.length > 0) this.#parts.push(bytes);
  }

  /** Undefined for a blank one. */
  end(): Line | undefined {
    const line = this.#size > this.#max ? 'too_long' : Buffer.concat(this.#parts);
    this.#parts = [];
    this.#size = 0;
    return line === 'too_long' || !isBlank(line) ? line : undefined;
  }
}

function isBlank(line: Buffer): boolean {
  return line.every((byte) => byte === 0x20 || byte === 0x0d || byte === 0x09);
}
