import type { Socket } from 'node:net';

/** The largest head of one informational answer: what Node allows for the head of any. */
const MAX_BYTES = 16 * 1024;
const STATUS_AT = 'HTTP/1.1 '.length;
const [ZERO, ONE] = [0x30, 0x31];

/**
 * Leaves informational answers (1xx) out of what is read from a socket, except the 101 that switches protocols. A
 * client must bear them unasked (RFC 9110 §15.2), but undici takes a `100 Continue` for an error. So this looks at what
 * each answer begins with before undici sees it.
 *
 *   starting ──informational──▶ starting
 *      └──────anything else───▶ passing, until the next request
 */
export class SkipInformational {
  readonly #onSkipped: () => void;
  #passing = false;
  /** The beginning of an answer that is, or may become, an informational one. */
  #held: Buffer | undefined;

  /** Looks at all that is read from `socket` from now on; `onSkipped` is called for each answer that is left out. */
  constructor(socket: Socket, onSkipped: () => void) {
    this.#onSkipped = onSkipped;
    const read = socket.read;
    socket.read = (size) => {
      for (;;) {
        const chunk: Buffer | null = read.call(socket, size);
        if (chunk === null || this.#passing) return chunk;
        const rest = this.#take(chunk);
        // An empty piece would stand for the end of what there is to read.
        if (rest) return rest;
      }
    };
  }

  /** A request is about to be sent: what comes next is the start of an answer. */
  begin(): void {
    this.#passing = false;
    this.#held = undefined;
  }

  /** What of a chunk is for undici, if any. */
  #take(chunk: Buffer): Buffer | undefined {
    let bytes = this.#held ? Buffer.concat([this.#held, chunk]) : chunk;
    this.#held = undefined;
    while (bytes.length > 0) {
      const end = mayBeInformational(bytes) ? bytes.indexOf('\r\n\r\n') : undefined;
      if (end === undefined || (end < 0 && bytes.length > MAX_BYTES)) {
        this.#passing = true;
        return bytes;
      }
      if (end < 0) {
        this.#held = bytes;
        return undefined;
      }
      bytes = bytes.subarray(end + 4);
      this.#onSkipped();
    }
    return undefined;
  }
}

/** Whether an answer that begins with these bytes is, or may become, an informational one. */
function mayBeInformational(bytes: Buffer): boolean {
  if (bytes.length > STATUS_AT && bytes[STATUS_AT] !== ONE) return false;
  if (!'HTTP/1.'.startsWith(bytes.toString('latin1', 0, 7))) return false;
  const isSwitch = bytes[STATUS_AT + 1] === ZERO && bytes[STATUS_AT + 2] === ONE;
  return !isSwitch;
}
