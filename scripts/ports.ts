import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

/** Whether a TCP server can listen on this address now. */
export function isPortFree(port: number, host: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE' || error.code === 'EACCES') resolve(false);
      else reject(error);
    });
    server.listen({ port, host, exclusive: true }, () => server.close(() => resolve(true)));
  });
}

/** The preferred port or the first free one after it; any free port when a hundred are taken. */
export async function findFreePort(
  preferred: number,
  host = '127.0.0.1',
  taken: number[] = [],
): Promise<number> {
  for (let port = preferred; port < Math.min(preferred + 100, 65_536); port += 1) {
    if (!taken.includes(port) && (await isPortFree(port, host))) return port;
  }
  return anyFreePort(host);
}

/** Below the ports that systems give out by themselves, so that no `listen(0)` elsewhere takes one before its user does. */
const CHOICE = { from: 15_000, to: 31_000 };

/**
 * A free port, chosen at random so that several who look at the same time find different ones, and never one that this
 * process has had before. Another process may still take it before you do.
 */
export async function anyFreePort(host = '127.0.0.1'): Promise<number> {
  for (;;) {
    const port = randomInt(CHOICE.from, CHOICE.to);
    if (given.has(port)) continue;
    given.add(port);
    if (await isPortFree(port, host)) return port;
  }
}

const given = new Set<number>();
