import fs from 'node:fs';
import { pino } from 'pino';

/** Bytes that stay together when they are written to a pipe at once: PIPE_BUF of pipe(7). */
const TOGETHER = 4096;
/** Bytes that are kept for a reader who is slow, or a disk that is full; what comes beyond is lost. */
const MOST_KEPT = 8 * 1024 * 1024;
/** A reader who takes nothing for so long while the process exits, ms, may as well never do: what is left is lost. */
const PATIENCE_MS = 1000;

/**
 * What pino writes to standard output with: in the background, and what is left when the process exits.
 * @param isShared with other processes: their lines must not end up within ours, so no more is written at once than is kept
 *   together. (A single line that is longer can still be torn, by a reader that is too slow.)
 */
export function standardOutput(isShared: boolean): ReturnType<typeof pino.destination> {
  const stream = pino.destination({
    dest: process.stdout.fd ?? 1,
    minLength: 0,
    maxLength: MOST_KEPT,
    ...(isShared ? { maxWrite: TOGETHER } : {}),
  });
  // As when the disk is full: it tries again with the next line. Unheard, the error would end the process.
  stream.on('error', () => {});
  const flushSync = stream.flushSync.bind(stream);
  stream.flushSync = () => withoutEndlessRetries(flushSync);
  return stream;
}

/**
 * sonic-boom (4.2.1) writes what is left again and again, whatever the error: a process whose log nobody reads any more
 * would never exit. Only what may pass (EAGAIN, EBUSY) is for it to try again, for a while; the rest of the log has nowhere to
 * go.
 */
function withoutEndlessRetries(flushSync: () => void): void {
  const { writeSync } = fs;
  let lastWritten = performance.now();
  let hasGivenUp = false;
  // It has no way in but this. Nothing else runs meanwhile.
  fs.writeSync = ((fd: number, text: string | Buffer, ...rest: []) => {
    if (hasGivenUp) return Buffer.byteLength(text);
    try {
      const written = writeSync(fd, text as string, ...rest);
      lastWritten = performance.now();
      return written;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      const mayPass = code === 'EAGAIN' || code === 'EBUSY';
      if (mayPass && performance.now() - lastWritten < PATIENCE_MS) throw error;
      // All that follows as well: in the middle of a line there is no place for another.
      hasGivenUp ||= mayPass;
      return Buffer.byteLength(text);
    }
  }) as typeof writeSync;
  try {
    flushSync();
  } finally {
    fs.writeSync = writeSync;
  }
}
