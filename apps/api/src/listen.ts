import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import type { Settings } from './config.ts';

type Address = Pick<Settings, 'port' | 'host'>;

/** Resolves when it listens. @throws as `listen` does */
export async function listen(server: Server, { port, host }: Address, isAlone: boolean): Promise<void> {
  server.listen({ port, host, ...(isAlone ? {} : sharing(port)) });
  await once(server, 'listening');
}

/**
 * How one of several listens: on Linux with a socket of its own, to which the kernel gives its share of the connections
 * (SO_REUSEPORT), so that it can stop to listen without cutting off what its parent would have accepted for it.
 * Elsewhere, and where the system chooses the port, node:cluster's parent accepts for all.
 */
function sharing(port: number): { reusePort?: true; exclusive?: true } {
  return process.platform === 'linux' && port !== 0 ? { reusePort: true, exclusive: true } : {};
}

/** Sockets that share a port would also share it with those of another Sealpost. @throws as `listen` does */
export async function assertPortIsFree({ port, host }: Address): Promise<void> {
  const server = createServer().listen({ port, host });
  await once(server, 'listening');
  server.close();
  await once(server, 'close');
}
