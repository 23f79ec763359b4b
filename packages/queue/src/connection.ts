import { type Cluster, Redis, type RedisOptions } from 'ioredis';
import { connectCluster } from './cluster-connection.ts';
import './encode-commands.ts';
import { joinWrites } from './join-writes.ts';

/** A connection to one Redis, or to a Redis Cluster (cluster-connection.ts). */
export type RedisClient = Redis | Cluster;

/**
 * `request`: for calls that somebody waits for; fails at once when Redis is away.
 * `background`: for workers; waits until Redis is back.
 * `blocking`: as `background`, and a command may block for long.
 */
export type ConnectionRole = 'request' | 'background' | 'blocking';

/** Longest wait for an answer when somebody waits for ours, ms: a Redis that hangs is as good as away. */
const REQUEST_TIMEOUT_MS = 5000;

type Options = Omit<RedisOptions, 'replyMapping'>;

const BASE: Options = {
  connectTimeout: 5000,
  // A node that became a replica, or is still loading its data: drop the connection and find the right one.
  reconnectOnError: (error) => (/^(READONLY|LOADING)/.test(error.message) ? 2 : false),
  retryStrategy: (times) => Math.min(50 * 2 ** Math.min(times, 10), 2000),
};

/**
 * A connection on which nothing comes for so long although something was asked is given up, ms: a machine that is gone, or
 * a firewall that has forgotten it, tells nobody, and the kernel would wait for a quarter of an hour. Longer than a command
 * may take, which is 5 s, or 10 s where it blocks.
 */
const SILENT_MS = { request: REQUEST_TIMEOUT_MS + 1000, background: 15_000 };

/** How often a connection of role `request` is asked something, ms: one that is dead is given up when it is asked, not before. */
const ASK_MS = 2000;

const ROLES: Record<ConnectionRole, Options> = {
  request: {
    maxRetriesPerRequest: 1,
    enableOfflineQueue: false,
    commandTimeout: REQUEST_TIMEOUT_MS,
    socketTimeout: SILENT_MS.request,
  },
  background: { maxRetriesPerRequest: null, socketTimeout: SILENT_MS.background },
  blocking: { maxRetriesPerRequest: null, socketTimeout: SILENT_MS.background },
};

/**
 * ioredis never ends a connection that is closed while it waits to reconnect: whoever waits for its end, as BullMQ's worker
 * does when it is closed, would wait for ever, also when Redis is long back.
 */
class Connection extends Redis {
  override disconnect(reconnect = false): void {
    // Of one that has yet to connect, ioredis knows how to end it.
    if (!reconnect && this.status === 'reconnecting') this.status = 'wait';
    super.disconnect(reconnect);
  }

  override duplicate(override?: Partial<RedisOptions>): Redis {
    return joinWrites(new Connection({ ...this.options, ...override } as Options));
  }
}

/**
 * Opens a connection; it goes on connecting in the background. Errors are given to `onError` (a connection without
 * a listener would end the process).
 */
export function connect(urls: string[], role: ConnectionRole, onError: (error: Error) => void): RedisClient {
  const client = connectTo(urls, role, onError);
  if (role === 'request') askNowAndThen(client);
  return client;
}

function connectTo(urls: string[], role: ConnectionRole, onError: (error: Error) => void): RedisClient {
  const options = { ...BASE, ...ROLES[role] };
  if (urls.length === 1) {
    const client = joinWrites(new Connection(urls[0] as string, options));
    client.on('error', onError);
    return client;
  }
  const cluster = connectCluster(urls, options, role !== 'request');
  cluster.on('+node', joinWrites);
  cluster.on('error', (error: Error) => onError(explained(error)));
  cluster.on('node error', oncePerStretch(onError));
  return cluster;
}

/** Of a node that is away each call for it tells anew: once in so long is enough, ms. */
const TELL_AGAIN_MS = 5000;

function oncePerStretch(onError: (error: Error) => void): (error: Error, node: string) => void {
  const told = new Map<string, { message: string; at: number }>();
  return ({ message }, node) => {
    const last = told.get(node);
    const now = performance.now();
    if (last?.message === message && now - last.at < TELL_AGAIN_MS) return;
    told.set(node, { message, at: now });
    onError(new Error(`${node}: ${message}`));
  };
}

/** ioredis' `Failed to refresh slots cache` tells why in a field of its own. */
function explained(error: Error): Error {
  const { lastNodeError } = error as Error & { lastNodeError?: Error };
  return lastNodeError ? new Error(`${error.message} ${lastNodeError.message}`, { cause: error }) : error;
}

/** Calls back whenever a server may have gone away, and come back with an older state of its data. */
export function onConnectionLost(client: RedisClient, lost: () => void): void {
  client.on('close', lost);
  if (!(client instanceof Redis)) client.on('-node', lost);
}

/** So that the death of a connection that is seldom used is not found out by the next request that needs it. */
function askNowAndThen(client: RedisClient): void {
  let asking = false;
  const ask = async () => {
    if (asking || client.status !== 'ready') return;
    asking = true;
    // A Cluster would choose one of its masters by chance.
    const nodes = client instanceof Redis ? [client] : client.nodes('master');
    await Promise.allSettled(nodes.map((node) => node.ping())); // the connection's own errors tell of it
    asking = false;
  };
  const timer = setInterval(ask, ASK_MS).unref();
  client.once('end', () => clearInterval(timer));
}

/** Resolves when the connection is usable. Rejects with the last error after `timeoutMs`. */
export async function whenReady(client: RedisClient, timeoutMs: number): Promise<void> {
  if (client.status === 'ready') return;
  await new Promise<void>((resolve, reject) => {
    let last: Error | undefined;
    const timer = setTimeout(
      () => done(last ?? new Error(`no answer within ${timeoutMs / 1000} s`)),
      timeoutMs,
    );
    const onReady = () => done();
    const onError = (error: Error) => {
      last = explained(error);
    };
    function done(error?: Error) {
      clearTimeout(timer);
      client.off('ready', onReady);
      client.off('error', onError);
      if (error) reject(error);
      else resolve();
    }
    client.on('ready', onReady);
    client.on('error', onError);
  });
}

/** Redis refuses or cannot do a write now; the call may be repeated later. Text of the server's own error codes. */
const REFUSES_WRITES =
  /^(OOM|MISCONF|READONLY|LOADING|NOREPLICAS|CLUSTERDOWN|MASTERDOWN|BUSY|TRYAGAIN|MOVED|ASK|UNBLOCKED|ERR WAIT(AOF)? cannot be used with replica)/;
const AWAY =
  /Connection is closed|aborted due to connection close|Stream isn't writeable|Command timed out|max retries per request|ECONNREFUSED|ECONNRESET|EPIPE|ETIMEDOUT|ENOTFOUND|EAI_AGAIN|Failed to refresh slots|socket closed|None of startup nodes|No subscriber for the cluster|Cluster (isn't ready|is (ended|disconnect))|Too many Cluster redirections/i;

/** The slot lies at another master of the Cluster, or moves there just now. */
export function isMoving(error: Error): boolean {
  return /^(MOVED|ASK|TRYAGAIN|CLUSTERDOWN) /.test(error.message);
}

export function refusesWrites(error: unknown): boolean {
  return error instanceof Error && REFUSES_WRITES.test(scriptError(error.message));
}

/** Redis is unreachable, full, loading or read-only: nothing is wrong with the call itself. */
export function isUnavailable(error: unknown): boolean {
  return error instanceof Error && (refusesWrites(error) || AWAY.test(`${error.name}: ${error.message}`));
}

/** A script's error stands in a wrapping in Redis 6 (`ERR Error running script … : @user_script:1: OOM …`). */
function scriptError(message: string): string {
  return message.replace(/^ERR Error running script.*?@user_script: ?\d+: (-)?/, '');
}
