import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { shardPrefix, slotOf } from '@sealpost/queue';
import { findRedisServer } from '@sealpost/scripts/find-redis';
import { type ClusterNode, masterOfSlot, moveSlot, runCluster } from '@sealpost/scripts/run-cluster';
import type { RunningRedis } from '@sealpost/scripts/run-redis';
import { Cluster } from 'ioredis';
import { stopAfterAll } from './cleanup.ts';
import { watchProcess } from './processes.ts';
import { waitFor } from './wait-for.ts';

export type TestClusterOptions = {
  masters?: number;
  /** Default 3,000: one that is killed is replaced within some seconds, and one that is only starved is not. */
  nodeTimeoutMs?: number;
  settings?: Record<string, string>;
};

/** A Redis Cluster of the test's own: three masters with a replica each. */
export class TestCluster {
  readonly nodes: ClusterNode[];
  /** All nodes, separated by commas. */
  readonly url: string;
  /** For looking and tampering. */
  readonly client: Cluster;

  constructor(nodes: ClusterNode[]) {
    this.nodes = nodes;
    this.url = nodes.map(({ url }) => url).join(',');
    this.client = new Cluster(nodes.map(({ url }) => url));
    this.client.on('error', () => {}); // a test may well stop servers under it
  }

  /** The master that has a shard now. */
  masterOf(shard: number): Promise<ClusterNode> {
    return masterOfSlot(this.nodes, slotOf(shardPrefix(shard)));
  }

  async replicaOf(master: ClusterNode): Promise<ClusterNode> {
    const replicas = (await master.client.cluster('REPLICAS', master.id)) as string[];
    return this.nodes.find(({ id }) =>
      replicas.some((line) => line.startsWith(id) && !line.includes('fail')),
    )!;
  }

  /** Its replica takes over in order. */
  async failOver(master: ClusterNode): Promise<ClusterNode> {
    const replica = await this.replicaOf(master);
    await replica.client.cluster('FAILOVER');
    await waitFor(async () => (await replica.client.info('replication')).includes('role:master'), {
      describe: 'the replica to take over',
    });
    return replica;
  }

  /** Moves a shard to another master; `half` is called while it lies half here and half there. */
  async moveShard(shard: number, to: ClusterNode, half: () => Promise<void> = async () => {}): Promise<void> {
    const slot = slotOf(shardPrefix(shard));
    let calls = 0;
    const betweenKeys = async () => {
      calls += 1;
      if (calls === 1) await half();
    };
    await moveSlot(this.nodes, slot, await this.masterOf(shard), to, { betweenKeys });
  }

  disconnect(): void {
    this.client.disconnect();
    for (const { client } of this.nodes) client.disconnect();
  }
}

/** Starts three masters with a replica each, in about two seconds. Their data lies in a temporary folder. */
export async function startCluster({
  masters = 3,
  nodeTimeoutMs = 3000,
  settings = {},
}: TestClusterOptions = {}): Promise<TestCluster> {
  const server = await findRedisServer({ say: (line) => console.error(line) });
  const dir = await mkdtemp(join(tmpdir(), 'sealpost-cluster-'));
  const started: RunningRedis[] = [];
  // One stop for all that will ever run, also what is restarted: before the processes that use it, it would hold up their end.
  stopAfterAll(async () => {
    await Promise.all(started.map(({ process }) => process.kill('SIGKILL')));
    await rm(dir, { recursive: true, force: true });
  });
  const nodes = await runCluster({
    server,
    dir,
    masters,
    nodeTimeoutMs,
    settings,
    onNode: (node) => {
      watchProcess(node.process);
      started.push(node);
    },
  });
  const cluster = new TestCluster(nodes);
  stopAfterAll(async () => cluster.disconnect());
  return cluster;
}
