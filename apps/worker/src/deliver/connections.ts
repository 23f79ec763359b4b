import type { Socket } from 'node:net';
import { type buildConnector, Client } from 'undici';
import { createGuardedAgents, type GuardedAgents } from './guarded-agent.ts';
import type { HttpClientOptions } from './http-client.ts';
import { SkipInformational } from './skip-informational.ts';

/** More idle connections than this to one origin are not kept. */
const MAX_IDLE = 64;
/** A connection is given up so much sooner than the receiver says that it will end it, ms: as Node's agents do. */
const KEPT_SHORTER_MS = 1000;

type Origin = {
  name: string;
  /** All connections, in use or idle. */
  open: Set<Connection>;
  /** The last one used is used next, so that those that are too many fall silent. */
  idle: Connection[];
  waiting: Set<Taker>;
};

/** Is given a connection of its own, until it releases or discards it. */
export type Taker = (connection: Connection) => void;

/**
 * The connections of the client on undici: a Client of undici's for each, and one post at a time on it. undici's own
 * Pool would do, but tells nobody which connection a request is on before it is on it, so that one which waits for a
 * name or a handshake could not be ended.
 */
export class Connections {
  readonly #agents: GuardedAgents;
  readonly #maxPerOrigin: number;
  readonly #idleTimeoutMs: number;
  readonly #origins = new Map<string, Origin>();

  constructor(options: HttpClientOptions) {
    this.#agents = createGuardedAgents(options);
    this.#maxPerOrigin = options.maxSocketsPerOrigin ?? 4096;
    this.#idleTimeoutMs = options.idleTimeoutMs ?? 30_000;
  }

  /**
   * Gives a connection to `taker`, at once or when one is free; `fresh`: one that was never used. Returns what to call
   * when it is no longer wanted, if `taker` has to wait.
   */
  take(origin: string, fresh: boolean, taker: Taker): (() => void) | undefined {
    const from = this.#origin(origin);
    const idle = fresh ? undefined : from.idle.pop();
    if (idle) {
      taker(idle);
      return undefined;
    }
    if (from.open.size >= this.#maxPerOrigin) from.idle.pop()?.discard();
    if (from.open.size < this.#maxPerOrigin) {
      taker(this.#open(from));
      return undefined;
    }
    from.waiting.add(taker);
    return () => void from.waiting.delete(taker);
  }

  /** How many there are, in use or idle. */
  get open(): number {
    return [...this.#origins.values()].reduce((sum, { open }) => sum + open.size, 0);
  }

  close(): void {
    for (const { open, waiting } of this.#origins.values()) {
      waiting.clear();
      for (const connection of open) connection.discard();
    }
    this.#agents.close();
  }

  #origin(name: string): Origin {
    const known = this.#origins.get(name);
    if (known) return known;
    return { name, open: new Set(), idle: [], waiting: new Set() };
  }

  #open(origin: Origin): Connection {
    const connection: Connection = new Connection(origin.name, this.#agents, this.#idleTimeoutMs, {
      released: () => this.#release(origin, connection),
      discarded: () => this.#forget(origin, connection),
    });
    origin.open.add(connection);
    // It may just have been forgotten, with the only connection that it had.
    this.#origins.set(origin.name, origin);
    return connection;
  }

  #release(origin: Origin, connection: Connection): void {
    const [next] = origin.waiting;
    if (next) {
      origin.waiting.delete(next);
      next(connection);
    } else if (origin.idle.length < MAX_IDLE && this.#agents.mayKeep) origin.idle.push(connection);
    else connection.discard();
  }

  #forget(origin: Origin, connection: Connection): void {
    origin.open.delete(connection);
    const at = origin.idle.indexOf(connection);
    if (at >= 0) origin.idle.splice(at, 1);
    const [next] = origin.waiting;
    if (next) {
      origin.waiting.delete(next);
      next(this.#open(origin));
    } else if (origin.open.size === 0) this.#origins.delete(origin.name);
  }
}

type Owner = { released: () => void; discarded: () => void };

/** Whose request is on a connection. */
type User = {
  /** A new socket, before it has connected. */
  onSocket: (socket: Socket) => void;
  /** An informational answer (1xx) came. */
  onInformational: () => void;
};

/** One connection, open or to be opened by the first request. */
export class Connection {
  /** Sends a request, one at a time. Should the socket have been lost while it was idle, on a new one. */
  readonly client: Client;
  /** The present one: undefined before the first request. */
  socket: Socket | undefined;
  readonly #owner: Owner;
  #user: User | undefined;
  #answers: SkipInformational | undefined;
  #gone = false;

  constructor(origin: string, agents: GuardedAgents, idleTimeoutMs: number, owner: Owner) {
    this.#owner = owner;
    this.client = new Client(origin, {
      pipelining: 1,
      allowH2: false,
      // Whoever posts has a deadline of its own.
      headersTimeout: 0,
      bodyTimeout: 0,
      keepAliveTimeout: idleTimeoutMs,
      keepAliveMaxTimeout: idleTimeoutMs,
      keepAliveTimeoutThreshold: KEPT_SHORTER_MS,
      connect: (options, callback) => this.#connect(agents, options, callback),
    });
    this.client.on('disconnect', () => {
      if (this.#user === undefined) this.discard();
    });
  }

  /** Before each request. */
  use(user: User): void {
    this.#user = user;
    this.#answers?.begin();
  }

  /** The response is complete: another request may follow. Call it after undici's own work on this one. */
  release(): void {
    this.#user = undefined;
    // A response that came before the request was all sent: what follows would wait behind the rest of it.
    const isUsable = this.socket && !this.socket.destroyed && this.socket.writableLength === 0;
    if (this.#gone) return;
    if (isUsable) this.#owner.released();
    else this.discard();
  }

  /** Ends it, whatever it is doing. */
  discard(): void {
    if (this.#gone) return;
    this.#gone = true;
    this.#user = undefined;
    void this.client.destroy();
    this.socket?.destroy();
    this.#owner.discarded();
  }

  /** By way of the guarded agent, as every connection to a receiver: it checks addresses and resumes TLS sessions. */
  #connect(agents: GuardedAgents, options: buildConnector.Options, callback: buildConnector.Callback): void {
    const { hostname, servername } = options;
    const protocol = options.protocol as 'http:' | 'https:';
    const secure = protocol === 'https:';
    const target = { host: hostname, port: Number(options.port) || (secure ? 443 : 80) };
    const onError = (error: Error) => callback(error, null);
    const socket = agents.connect(protocol, secure ? { ...target, servername } : target, onError);
    if (!socket) return;
    this.socket = socket;
    socket.once('error', onError);
    socket.once(secure ? 'secureConnect' : 'connect', () => {
      socket.off('error', onError);
      callback(null, socket);
    });
    this.#answers = new SkipInformational(socket, () => this.#user?.onInformational());
    this.#user?.onSocket(socket);
  }
}
