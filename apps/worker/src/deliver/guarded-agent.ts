import dns, { type LookupAddress } from 'node:dns';
import http from 'node:http';
import https from 'node:https';
import net, { type LookupFunction } from 'node:net';
import type { Duplex } from 'node:stream';
import type { HttpClientOptions } from './http-client.ts';

/** The target is an address that the policy blocks, or a name that has no other. It names no address. */
export class AddressBlockedError extends Error {
  readonly code = 'ERR_ADDRESS_BLOCKED';
  constructor() {
    super('The target address is blocked');
  }
}

/** The name could not be resolved; `code` is the resolver's (`ENOTFOUND`, `EAI_AGAIN` …). */
export class NameLookupError extends Error {
  readonly code: string;
  constructor(cause: NodeJS.ErrnoException) {
    super('The name could not be resolved', { cause });
    this.code = cause.code ?? 'ENOTFOUND';
  }
}

type Policy = HttpClientOptions['policy'];
type Socket = Duplex | null | undefined;
type Connected = (error: Error | null, socket: Duplex) => void;
type Target = { host?: string | null | undefined };

/** The agents of a client: `kept` reuse connections, `fresh` ones open a new one for every request. */
export type GuardedAgents = {
  kept: Record<'http:' | 'https:', http.Agent>;
  fresh: Record<'http:' | 'https:', http.Agent>;
  /**
   * Begins to connect, for a client that is none of node:http's. Undefined, and `refused` called, where the address is
   * blocked; what happens later is told by the socket.
   */
  connect(
    protocol: 'http:' | 'https:',
    target: { host: string; port: number; servername?: string | undefined },
    refused: (error: Error) => void,
  ): net.Socket | undefined;
  /** Whether a connection that falls idle may be kept: all of the client's are counted. */
  readonly mayKeep: boolean;
  close(): void;
};

/** Sockets beyond this many, in use or idle, are not kept when they fall idle: file descriptors are finite. */
const MAX_SOCKETS_KEPT = 4096;

/** Makes agents that connect to no address which `policy` does not allow, however it is named. */
export function createGuardedAgents(options: HttpClientOptions): GuardedAgents {
  const guard = new Guard(options.policy);
  const common = {
    lookup: guardedLookup(options.policy, options.lookup ?? dns.lookup),
    maxSockets: options.maxSocketsPerOrigin ?? 4096,
  };
  const keep = { keepAlive: true, timeout: options.idleTimeoutMs ?? 30_000, maxFreeSockets: 64 };
  const tls = options.ca === undefined ? {} : { ca: options.ca };
  const agents = {
    kept: {
      'http:': new GuardedHttpAgent(guard, { ...common, ...keep }),
      'https:': new GuardedHttpsAgent(guard, { ...common, ...keep, ...tls }),
    },
    fresh: {
      'http:': new GuardedHttpAgent(guard, common),
      'https:': new GuardedHttpsAgent(guard, { ...common, ...tls }),
    },
  };
  const all = [...Object.values(agents.kept), ...Object.values(agents.fresh)];
  // What an agent adds by itself to what a request asks for; by `_agentKey` it finds TLS sessions to resume.
  const bare = { ...common, noDelay: true, keepAlive: true, keepAliveInitialDelay: 1000 };
  const secure = { ...bare, ...tls, ALPNProtocols: ['http/1.1'] };
  return {
    ...agents,
    connect(protocol, target, refused) {
      const isSecure = protocol === 'https:';
      const options = isSecure
        ? { ...secure, ...target, _agentKey: `${target.host}:${target.port}` }
        : { ...bare, ...target };
      const socket = agents.fresh[protocol].createConnection(options, (error) => error && refused(error));
      return socket as net.Socket | undefined;
    },
    get mayKeep() {
      return guard.mayKeep;
    },
    close: () => all.forEach((agent) => void agent.destroy()),
  };
}

/**
 * Wraps a look-up so that its answer holds allowed addresses only. node:net connects to one of these without
 * asking again, so a name that changes its mind gains nothing. Names that are being looked up share one
 * look-up: `dns.lookup` has few threads, and a name that resolves slowly must not take more than one.
 */
export function guardedLookup(policy: Policy, lookup: LookupFunction): LookupFunction {
  const running = new Map<string, Promise<LookupAddress[]>>();
  const resolve = (hostname: string, options: dns.LookupOptions): Promise<LookupAddress[]> => {
    const shared = running.get(hostname);
    if (shared) return shared;
    const addresses = lookupAll(lookup, hostname, options).finally(() => running.delete(hostname));
    running.set(hostname, addresses);
    return addresses;
  };
  return (hostname, options, callback) => {
    resolve(hostname, options).then(
      (addresses) => {
        const allowed = addresses.filter(({ address }) => policy.allows(address));
        const [first] = allowed;
        if (!first) callback(new AddressBlockedError(), []);
        else if (options.all) callback(null, allowed);
        else callback(null, first.address, first.family);
      },
      (error: Error) => callback(error, []),
    );
  };
}

function lookupAll(lookup: LookupFunction, hostname: string, options: dns.LookupOptions) {
  return new Promise<LookupAddress[]>((resolve, reject) => {
    lookup(hostname, { ...options, all: true }, (error, addresses) => {
      if (error) reject(new NameLookupError(error));
      else if (!Array.isArray(addresses) || addresses.length === 0) {
        reject(new NameLookupError(Object.assign(new Error('No address'), { code: 'ENODATA' })));
      } else resolve(addresses);
    });
  });
}

/** What both agents share: the check of literals, which no look-up sees, and the count of open sockets. */
class Guard {
  readonly #policy: Policy;
  #open = 0;

  constructor(policy: Policy) {
    this.#policy = policy;
  }

  get mayKeep(): boolean {
    return this.#open <= MAX_SOCKETS_KEPT;
  }

  connect({ host }: Target, connected: Connected | undefined, connect: () => Socket): Socket {
    if (host && net.isIP(host) !== 0 && !this.#policy.allows(host)) {
      // By the callback, since a throw would be nobody's when the agent connects for a request that waited.
      connected?.(new AddressBlockedError(), undefined as unknown as Duplex);
      return undefined;
    }
    const socket = connect();
    this.#open += 1;
    socket?.once('close', () => {
      this.#open -= 1;
    });
    return socket;
  }
}

class GuardedHttpAgent extends http.Agent {
  readonly #guard: Guard;
  constructor(guard: Guard, options: http.AgentOptions) {
    super(options);
    this.#guard = guard;
  }
  override createConnection(options: http.ClientRequestArgs, connected?: Connected): Socket {
    return this.#guard.connect(options, connected, () => super.createConnection(options, connected));
  }
  override keepSocketAlive(socket: Duplex): boolean {
    return (super.keepSocketAlive(socket) as unknown as boolean) && this.#guard.mayKeep;
  }
}

class GuardedHttpsAgent extends https.Agent {
  readonly #guard: Guard;
  constructor(guard: Guard, options: https.AgentOptions) {
    super(options);
    this.#guard = guard;
  }
  override createConnection(options: https.RequestOptions, connected?: Connected): Socket {
    return this.#guard.connect(options, connected, () => super.createConnection(options, connected));
  }
  override keepSocketAlive(socket: Duplex): boolean {
    return (super.keepSocketAlive(socket) as unknown as boolean) && this.#guard.mayKeep;
  }
}
