import { SealpostError } from '@sealpost/core';
import {
  ClusterConnection,
  countOpen,
  masterOf,
  nodeName,
  type RedisClient,
  type Shard,
  type Shards,
} from '@sealpost/queue';
import type { Logger } from '@sealpost/telemetry';

/** How old a reading may be, ms. */
const FRESH_MS = 1000;
const RETRY_AFTER_SECONDS = 10;
const ONE = 'one';

export type ShedOptions = {
  /** Over a connection that does not publish: what is read behind a flood is old. */
  shards: Shards;
  /** Share of Redis' `maxmemory` (of its machine's memory, where it has none) at which publishing is refused. */
  memoryShare: number;
  /** Open deliveries of a shard at which publishing to its apps is refused; undefined: however many there are. */
  depth: number | undefined;
  logger: Pick<Logger, 'warn' | 'info'>;
};

/** Open deliveries of a shard: as they were read, and what this process has added since. One that is `asked` for gets no second question. */
type Depth = { shard: number; read: number; added: number; readAt: number; asked: boolean };

/**
 * Refuses to publish while Redis is nearly full, before it refuses writes itself, or while too much waits: what is stored
 * can then still be delivered. Reads once a second while events are published or readiness is asked for, and not at all
 * otherwise. What other APIs add within that second comes on top of `depth`, and so does the batch that reaches it: it is
 * taken whole.
 */
export class ShedLoad {
  readonly #options: ShedOptions;
  readonly #depths = new Map<number, Depth>();
  /** How full each server is; of a Cluster by the master's name, else ONE. */
  #memory: ReadonlyMap<string, number> = new Map();
  /** Monotonic: the machine's clock may be set back. */
  #memoryAt = Number.NEGATIVE_INFINITY;
  #memoryAsked = false;
  #told: string | undefined;

  constructor(options: ShedOptions) {
    this.#options = options;
  }

  /** Of the server that has the shard: what lies at others need not suffer. @throws SealpostError overloaded */
  checkMemory(shard: Shard): void {
    void this.#readMemory();
    const { client } = this.#options.shards;
    const server = client instanceof ClusterConnection ? masterOf(client, shard.slot) : ONE;
    if (this.#isFull(this.#memory.get(server ?? '') ?? 0)) throw overloaded(this.#tell());
  }

  /** @throws SealpostError overloaded */
  checkDepth(shard: Shard): void {
    if (this.#options.depth === undefined) return;
    let depth = this.#depths.get(shard.number);
    if (!depth) {
      depth = { shard: shard.number, read: 0, added: 0, readAt: Number.NEGATIVE_INFINITY, asked: false };
      this.#depths.set(shard.number, depth);
    }
    void this.#readDepth(depth);
    if (this.#isDeep(depth)) throw overloaded(this.#tell());
  }

  /** So many deliveries have been accepted here. */
  added(shard: Shard, deliveries: number): void {
    const depth = this.#depths.get(shard.number);
    if (depth) depth.added += deliveries;
  }

  /** Why publishing is refused, to some app at least; undefined: it is not. */
  get reason(): string | undefined {
    void this.#readMemory();
    for (const depth of this.#depths.values()) void this.#readDepth(depth);
    return this.#tell();
  }

  #isFull(share: number): boolean {
    return share >= this.#options.memoryShare;
  }

  #isDeep({ read, added }: Depth): boolean {
    return read + added >= (this.#options.depth ?? Number.POSITIVE_INFINITY);
  }

  /** The reason of now; the log hears of each that comes and goes. */
  #tell(): string | undefined {
    let reason: string | undefined;
    if ([...this.#memory.values()].some((share) => this.#isFull(share))) reason = 'Redis is nearly full';
    else if ([...this.#depths.values()].some((depth) => this.#isDeep(depth)))
      reason = 'too many deliveries wait';
    if (reason !== this.#told) {
      if (reason) this.#options.logger.warn({ reason }, 'new events are refused; deliveries go on');
      else this.#options.logger.info('new events are taken again');
      this.#told = reason;
    }
    return reason;
  }

  async #readMemory(): Promise<void> {
    const now = performance.now();
    if (this.#memoryAsked || now - this.#memoryAt <= FRESH_MS) return;
    this.#memoryAt = now;
    this.#memoryAsked = true;
    // Should Redis not answer, publishing will say so itself.
    const shares = await memoryShares(this.#options.shards.client).catch(() => this.#memory);
    this.#memoryAsked = false;
    this.#memory = shares;
    this.#tell();
  }

  async #readDepth(depth: Depth): Promise<void> {
    const now = performance.now();
    if (depth.asked || now - depth.readAt <= FRESH_MS) return;
    depth.readAt = now;
    depth.asked = true;
    const before = depth.added;
    const open = await countOpen(this.#options.shards.get(depth.shard)).catch(() => undefined);
    depth.asked = false;
    if (open === undefined) return;
    depth.read = open;
    depth.added -= before; // what was added since the question may be in the answer or not: better too soon
    this.#tell();
  }
}

function overloaded(reason = 'there is too much to do'): SealpostError {
  const detail = `${reason[0]!.toUpperCase()}${reason.slice(1)}; deliveries go on, new events are refused meanwhile.`;
  return new SealpostError('overloaded', detail, { retryAfterSeconds: RETRY_AFTER_SECONDS });
}

/** How full each server is that events are written to. Of one that does not answer nothing is known. */
async function memoryShares(client: RedisClient): Promise<Map<string, number>> {
  if (!(client instanceof ClusterConnection))
    return new Map([[ONE, memoryShare(await client.info('memory'))]]);
  const nodes = client.nodes('master');
  const told = await Promise.allSettled(nodes.map((node) => node.info('memory')));
  return new Map(
    told.map((one, i) => [nodeName(nodes[i]!), one.status === 'fulfilled' ? memoryShare(one.value) : 0]),
  );
}

/** From INFO memory. Redis ≥ 6.2 knows the memory of its machine, if not the limit of its container. */
export function memoryShare(info: string): number {
  const value = (name: string) => Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(info)?.[1] ?? 0);
  const limit = value('maxmemory') || value('total_system_memory');
  return limit === 0 ? 0 : value('used_memory') / limit;
}
