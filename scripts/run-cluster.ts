import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import type { RedisServer } from './find-redis.ts';
import { LauncherError } from './launcher-error.ts';
import { anyFreePort, isPortFree } from './ports.ts';
import { type RunningRedis, runRedis } from './run-redis.ts';

export const SLOTS = 16_384;
/** Where a node listens for the others: Redis adds this to its port. */
const BUS = 10_000;
const FORMED_MS = 30_000;

export type RunClusterOptions = {
  server: RedisServer;
  /** An existing folder; each node gets one of its own in it. */
  dir: string;
  masters: number;
  /** Of each master; default 1. */
  replicas?: number;
  /** A node that has not answered the others for so long counts as away, ms; default 15,000 as Redis has it. */
  nodeTimeoutMs?: number;
  /** Further settings of each node, as redis.conf names them. */
  settings?: Record<string, string>;
  /** Told of each node as it is started, before the cluster is formed. */
  onNode?: (node: RunningRedis) => void;
};

/** A server of a cluster; masters first, in the order of their slots, then their replicas in the same order. */
export type ClusterNode = RunningRedis & {
  id: string;
  /** For looking and for orders; it reconnects. */
  client: Redis;
  /** It answers nobody. */
  frozen: boolean;
  freeze(): void;
  thaw(): void;
  /** Starts it again on its port and data, after its end. */
  restart(): Promise<void>;
};

/** The node that has a slot now, as those that live say. */
export async function masterOfSlot(nodes: readonly ClusterNode[], slot: number): Promise<ClusterNode> {
  const living = nodes.find((node) => !node.process.exit && !node.frozen);
  const ranges = await living!.client.cluster('SLOTS');
  const [, , master] = ranges.find(([from, to]) => from <= slot && slot <= to)!;
  return nodes.find(({ port }) => port === master![1])!;
}

/** Starts a Redis Cluster on 127.0.0.1, the slots shared out evenly, and waits until every node knows so. */
export async function runCluster(options: RunClusterOptions): Promise<ClusterNode[]> {
  const { masters, replicas = 1 } = options;
  const nodes = await Promise.all(
    Array.from({ length: masters * (1 + replicas) }, (_, i) => startNode(options, i)),
  );
  await Promise.all(nodes.map((node, i) => node.client.cluster('SET-CONFIG-EPOCH', i + 1)));
  await Promise.all(nodes.slice(0, masters).map((node, i) => giveSlots(node, i, masters)));
  // Each to each: word of mouth would take seconds.
  await Promise.all(
    nodes.flatMap((node) =>
      nodes
        .filter((other) => other !== node)
        .map(({ port }) => node.client.cluster('MEET', '127.0.0.1', port)),
    ),
  );
  await until(nodes, 'the nodes to know each other', async ({ client }) => {
    const text = String(await client.cluster('NODES'));
    return nodes.every(({ id }) => text.includes(id)) && !text.includes('handshake');
  });
  for (const [i, node] of nodes.slice(masters).entries()) {
    await node.client.cluster('REPLICATE', nodes[i % masters]!.id);
  }
  await until(nodes, 'the cluster to be whole', async ({ client, id }) => {
    if (!String(await client.cluster('INFO')).includes('cluster_state:ok')) return false;
    const text = String(await client.cluster('NODES'));
    if ((text.match(/[ ,]slave /g) ?? []).length !== masters * replicas) return false;
    if (nodes.findIndex((node) => node.id === id) < masters) return true;
    return (await client.info('replication')).includes('master_link_status:up');
  });
  return nodes;
}

async function startNode(options: RunClusterOptions, i: number): Promise<ClusterNode> {
  const { server, nodeTimeoutMs = 15_000, settings, onNode } = options;
  const dir = join(options.dir, `node-${i}`);
  await mkdir(dir);
  const start = async (choosePort: () => Promise<number>) => {
    const running = await runRedis({
      server,
      dir,
      choosePort,
      settings: {
        'cluster-enabled': 'yes',
        'cluster-announce-ip': '127.0.0.1', // one that is alone would never learn it
        'cluster-node-timeout': String(nodeTimeoutMs),
        // However old its data: a test that kills a master at once wants its replica, and there is no other.
        'cluster-replica-validity-factor': '0',
        'repl-diskless-sync-delay': '0',
        ...settings,
      },
    });
    onNode?.(running);
    return running;
  };
  const running = await start(portWithBus);
  const client = new Redis(running.port, '127.0.0.1', {
    maxRetriesPerRequest: null,
    retryStrategy: () => 50,
  });
  client.on('error', () => {}); // a test may well end the server under it
  const node: ClusterNode = {
    ...running,
    client,
    id: String(await client.cluster('MYID')),
    frozen: false,
    freeze: () => {
      node.frozen = true;
      void node.process.kill('SIGSTOP');
    },
    thaw: () => {
      node.frozen = false;
      void node.process.kill('SIGCONT');
    },
    restart: async () => void Object.assign(node, await start(async () => running.port)),
  };
  return node;
}

async function portWithBus(): Promise<number> {
  for (;;) {
    const port = await anyFreePort();
    if (await isPortFree(port + BUS, '127.0.0.1')) return port;
  }
}

async function giveSlots(node: ClusterNode, i: number, masters: number): Promise<void> {
  const from = Math.round((i * SLOTS) / masters);
  const to = Math.round(((i + 1) * SLOTS) / masters);
  await node.client.cluster('ADDSLOTS', ...Array.from({ length: to - from }, (_, slot) => from + slot));
}

async function until(
  nodes: ClusterNode[],
  what: string,
  isSo: (node: ClusterNode) => Promise<boolean>,
): Promise<void> {
  const deadline = Date.now() + FORMED_MS;
  for (const node of nodes) {
    while (!(await isSo(node))) {
      if (Date.now() > deadline) throw new LauncherError(`Waited ${FORMED_MS} ms for ${what}.`);
      await delay(10);
    }
  }
}

/**
 * Moves a slot with all its keys to another master as `redis-cli --cluster reshard` does it.
 * @param betweenKeys called after each batch of keys, while the slot is half here and half there
 */
export async function moveSlot(
  nodes: readonly ClusterNode[],
  slot: number,
  from: ClusterNode,
  to: ClusterNode,
  { batch = 10, betweenKeys = async () => {} }: MoveOptions = {},
): Promise<void> {
  await to.client.cluster('SETSLOT', slot, 'IMPORTING', from.id);
  await from.client.cluster('SETSLOT', slot, 'MIGRATING', to.id);
  for (;;) {
    const keys = (await from.client.cluster('GETKEYSINSLOT', slot, batch)) as string[];
    if (keys.length === 0) break;
    await from.client.call('MIGRATE', '127.0.0.1', to.port, '', 0, 5000, 'KEYS', ...keys);
    await betweenKeys();
  }
  const rest = nodes.filter((node) => node !== from && node !== to);
  for (const node of [to, from, ...rest]) {
    // A replica learns it from its master.
    await node.client.cluster('SETSLOT', slot, 'NODE', to.id).catch((error: Error) => {
      if (!/only with masters|replica/i.test(error.message)) throw error;
    });
  }
}

type MoveOptions = { batch?: number; betweenKeys?: () => Promise<void> };
