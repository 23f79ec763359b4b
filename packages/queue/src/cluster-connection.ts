import { Cluster, type ClusterOptions, Command, type Redis, type RedisOptions } from 'ioredis';

/** Another master that has joined, or slots that have moved, are found by being sent there; this finds those in silence, ms. */
const LOOK_AGAIN_MS = 30_000;
/** Longest wait for a node to tell where the slots lie, ms; then the next one is asked. */
const SLOTS_WITHIN_MS = 3000;

/** Of the connection to each node. */
type NodeOptions = Omit<RedisOptions, 'replyMapping'>;
type Options = Omit<ClusterOptions, 'redisOptions'> & { redisOptions: NodeOptions };

/**
 * A connection to a Redis Cluster: one to each node that is spoken to.
 *
 * ioredis never ends one that is closed while it waits to reconnect (as Connection has it for one server). And the last of its
 * nodes to end makes one that has ended "close" again: a command that was to be repeated then would wait for ever, and with it
 * BullMQ's worker when it is closed.
 */
export class ClusterConnection extends Cluster {
  readonly #urls: string[];
  readonly #options: Options;

  constructor(urls: string[], options: Options) {
    super(urls, options as ClusterOptions & { redisOptions: { replyMapping?: 'legacy' } });
    this.#urls = urls;
    this.#options = options;
    let hasEnded = false;
    this.on('connecting', () => {
      hasEnded = false;
    });
    this.on('end', () => {
      hasEnded = true;
    });
    this.on('close', () => {
      if (hasEnded && this.status === 'close') this.status = 'end';
    });
  }

  override disconnect(reconnect = false): void {
    if (!reconnect && this.status === 'reconnecting') this.status = 'wait';
    super.disconnect(reconnect);
  }

  override duplicate(_nodes?: unknown, override: ClusterOptions = {}): Cluster {
    const redisOptions = { ...this.#options.redisOptions, ...override.redisOptions } as NodeOptions;
    return new ClusterConnection(this.#urls, { ...this.#options, ...override, redisOptions });
  }
}

/** @param waits whether commands wait for a Cluster that is away */
export function connectCluster(urls: string[], node: NodeOptions, waits: boolean): Cluster {
  const { protocol, username, password } = new URL(urls[0]!);
  const secure = protocol === 'rediss:';
  return new ClusterConnection(urls, {
    // The nodes that are named tell of the others by address alone.
    redisOptions: {
      ...node,
      ...(username && { username: decodeURIComponent(username) }),
      ...(password && { password: decodeURIComponent(password) }),
      ...(secure && { tls: {} }),
    },
    // A certificate is for a name.
    ...(secure && { dnsLookup: (name, done) => done(null, name) }),
    enableOfflineQueue: waits,
    clusterRetryStrategy: (times) => node.retryStrategy?.(times),
    slotsRefreshTimeout: SLOTS_WITHIN_MS,
    slotsRefreshInterval: LOOK_AGAIN_MS,
  });
}

/** The Redis Cluster slot of a key. */
export function slotOf(key: string): number {
  return new Command('exists', [key]).getSlot() ?? 0;
}

/** `host:port` of the master that has a slot, as far as this connection knows. */
export function masterOf(cluster: Cluster, slot: number): string | undefined {
  return cluster.slots[slot]?.[0];
}

/** `host:port` of a node's connection. */
export function nodeName({ options: { host, port } }: Redis): string {
  return `${host}:${port}`;
}

/** Names tried before a master counts as one that has hardly a slot. */
const MOST_NAMES = 1000;

/** For each master a key that lies there: `{name}:{some number}`. */
export function keyOnEach(cluster: Cluster, name: string): string[] {
  const keys = new Map<string, string>();
  const masters = cluster.nodes('master').length;
  for (let i = 0; i < MOST_NAMES && keys.size < masters; i++) {
    const key = `${name}:${i}`;
    const master = masterOf(cluster, slotOf(key));
    if (master !== undefined && !keys.has(master)) keys.set(master, key);
  }
  return [...keys.values()];
}
