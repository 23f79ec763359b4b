import { connect, type Socket } from 'node:net';
import { stopAfterAll } from './cleanup.ts';

/** A connection on which bytes are written as they are, for what is no HTTP, or too slow for it. */
export class RawSocket {
  readonly #socket: Socket;
  /** All that came back, as Latin-1. */
  received = '';
  /** Resolves, with how long it was open in ms, when the other side has closed it. */
  readonly closed: Promise<number>;

  private constructor(socket: Socket) {
    this.#socket = socket;
    const since = performance.now();
    socket.setEncoding('latin1');
    socket.on('data', (text: string) => {
      this.received += text;
    });
    socket.on('error', () => {}); // it may be cut off; `closed` tells
    this.closed = new Promise((resolve) => socket.on('close', () => resolve(performance.now() - since)));
  }

  static async open(url: string): Promise<RawSocket> {
    const { hostname, port } = new URL(url);
    const socket = connect(Number(port), hostname);
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    stopAfterAll(async () => void socket.destroy());
    return new RawSocket(socket);
  }

  write(bytes: string | Buffer): void {
    if (!this.#socket.destroyed)
      this.#socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes);
  }

  /** Reads nothing more of what comes back. */
  pause(): void {
    this.#socket.pause();
  }

  /** Status codes of the answers so far. */
  get statuses(): number[] {
    return [...this.received.matchAll(/^HTTP\/1\.1 (\d{3})/gm)].map(([, status]) => Number(status));
  }
}

/** Sends bytes on a connection of their own; gives the answers' statuses when it is closed, or after a while. */
export async function sendRaw(
  url: string,
  bytes: string,
  waitMs = 1500,
): Promise<{ statuses: number[]; text: string }> {
  const socket = await RawSocket.open(url);
  socket.write(bytes);
  let timer: NodeJS.Timeout | undefined;
  await Promise.race([
    socket.closed,
    new Promise((resolve) => {
      timer = setTimeout(resolve, waitMs);
    }),
  ]);
  clearTimeout(timer);
  return { statuses: socket.statuses, text: socket.received };
}
