import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findRedisServer } from '@sealpost/scripts/find-redis';
import { type ClusterNode, masterOfSlot, moveSlot, runCluster } from '@sealpost/scripts/run-cluster';
import { slotOf } from './src/cluster-connection.ts';
import { connect, type RedisClient, whenReady } from './src/connection.ts';
import { shardPrefix } from './src/keys.ts';

/** A Redis Cluster of a test's own: three masters with a replica each, on which all of a test file's tests run. */
export class TestCluster {
  readonly nodes: ClusterNode[];
  readonly #dir: string;
  readonly #clients: RedisClient[] = [];

  private constructor(nodes: ClusterNode[], dir: string) {
    this.nodes = nodes;
    this.#dir = dir;
  }

  static async start(settings: Record<string, string> = {}): Promise<TestCluster> {
    const dir = await mkdtemp(join(tmpdir(), 'sealpost-cluster-'));
    const server = await findRedisServer();
    const nodes = await runCluster({ server, dir, masters: 3, nodeTimeoutMs: 1000, settings });
    return new TestCluster(nodes, dir);
  }

  get urls(): string[] {
    return this.nodes.map(({ url }) => url);
  }

  /** A ready connection, which ends with the cluster. */
  async connect(urls = this.urls): Promise<RedisClient> {
    const client = connect(urls, 'request', () => {});
    this.#clients.push(client);
    await whenReady(client, 10_000);
    return client;
  }

  masterOf(shard: number): Promise<ClusterNode> {
    return masterOfSlot(this.nodes, slotOf(shardPrefix(shard)));
  }

  /** Moves a shard to another master. `half` is called when some of its keys are here and some there. */
  async moveShard(shard: number, half: () => Promise<void> = async () => {}): Promise<void> {
    const slot = slotOf(shardPrefix(shard));
    const from = await this.masterOf(shard);
    const to = this.nodes.slice(0, 3).find((node) => node !== from)!;
    let calls = 0;
    const betweenKeys = async () => {
      if (calls++ === 0) await half();
    };
    await moveSlot(this.nodes, slot, from, to, { batch: 3, betweenKeys });
  }

  async stop(): Promise<void> {
    for (const client of this.#clients) client.disconnect();
    for (const { client } of this.nodes) client.disconnect();
    await Promise.all(this.nodes.map(({ process }) => process.kill('SIGKILL')));
    await rm(this.#dir, { recursive: true, force: true });
  }
}
