import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import {
  type ApiClient,
  PATIENCE_MS,
  Receiver,
  type Stack,
  startCluster,
  startProcesses,
  type TestCluster,
  waitFor,
} from './harness/index.ts';

/** By their names they lie in the shards 1, 2, 3, 4, 5 and 0, of which each master has two. */
const APPS = [...'abcdef'];

/** How a producer is told to come again. */
const UNTIL_IT_IS_BACK = /^503 (queue_unavailable|not_durable)$/;

let cluster: TestCluster;
let stack: Omit<Stack, 'redis'>;
let receiver: Receiver;

beforeAll(async () => {
  cluster = await startCluster({ settings: { appendonly: 'no' } });
  stack = await startProcesses(cluster.url, {
    workers: 2,
    apiEnv: { SEALPOST_SHARDS: '6', SEALPOST_DURABILITY: 'replica' },
  });
  receiver = await Receiver.listen();
  for (const app of APPS) {
    const made = await stack.client.put(`/v1/apps/${app}`, {});
    expect(made.status, made.text).toBe(201);
    const endpoint = await stack.client.post(`/v1/apps/${app}/endpoints`, { url: receiver.url(`/${app}`) });
    expect(endpoint.status, endpoint.text).toBe(201);
  }
});

/** One producer for each app: it publishes one event after the other, and each again until it is accepted. */
class Traffic {
  /** Ids of the events that were answered with 202, by app. Each begins with its app's name. */
  readonly accepted = new Map(APPS.map((app) => [app, [] as string[]]));
  /** Other answers, as `503 queue_unavailable`. */
  readonly refusals = new Set<string>();
  readonly #client: ApiClient;
  readonly #prefix: string;
  readonly #producers: Promise<void>[];
  #goesOn = true;
  #last = 0;

  constructor(client: ApiClient, prefix = '') {
    this.#client = client;
    this.#prefix = prefix;
    this.#producers = APPS.map((app) => this.#produce(app));
  }

  async #produce(app: string): Promise<void> {
    while (this.#goesOn) {
      const id = `${app}-${this.#prefix}${++this.#last}`;
      while (!(await this.#publish(app, id)) && this.#goesOn) await delay(20);
    }
  }

  async #publish(app: string, id: string): Promise<boolean> {
    const event = { id, type: 'a.b', payload: id };
    const { status, json } = await this.#client.post(`/v1/apps/${app}/events`, event);
    if (status === 202) this.accepted.get(app)!.push(id);
    else this.refusals.add(`${status} ${json?.code}`);
    return status === 202;
  }

  get all(): string[] {
    return [...this.accepted.values()].flat();
  }

  /** Resolves when so many more events of each app have been accepted. */
  async flows(more = 5): Promise<void> {
    const before = APPS.map((app) => this.accepted.get(app)!.length);
    await waitFor(() => APPS.every((app, i) => this.accepted.get(app)!.length >= before[i]! + more), {
      describe: 'events of all apps to be accepted',
    });
  }

  async stop(): Promise<void> {
    this.#goesOn = false;
    await Promise.all(this.#producers);
  }
}

let traffic: Traffic | undefined;
afterAll(() => traffic?.stop());

it('everything works on a Redis Cluster, with shards on all of its masters', async () => {
  const directory = await cluster.client.hgetall('sp:apps');
  const shards = APPS.map((app) => Number(directory[app]!.split(':')[0]));
  expect(new Set(await Promise.all(shards.map((shard) => cluster.masterOf(shard)))).size).toBe(3);
  for (const app of APPS) {
    const event = { type: 'a.b', payload: 1 };
    const published = await stack.client.post(`/v1/apps/${app}/events`, event, { prefer: 'wait=30' });
    expect([published.status, published.json.deliveries[0].status]).toEqual([202, 'delivered']);
  }
  const keys = (await Promise.all(cluster.client.nodes('master').map((node) => node.keys('*')))).flat();
  for (const key of keys) expect(key).toMatch(/^(sp:|\{sp:\d\}:)/);
  expect(keys.length).toBeGreaterThan(100);
  const board = await stack.client.get('/admin/queues/api/queues');
  expect(board.json.queues).toHaveLength(6);
  const { text } = await stack.client.get('/metrics');
  expect(text).toMatch(/^sealpost_deliveries_open\{status="pending"\} 0$/m);
  expect(Number(/^sealpost_redis_memory_used_bytes (\d+)/m.exec(text)![1])).toBeGreaterThan(1_000_000);
});

it('a directory that has come back without a shard is told of it by the workers that serve it', async () => {
  await cluster.client.srem('sp:shards', '3');
  await waitFor(() => cluster.client.sismember('sp:shards', '3'), {
    describe: 'the shard to be known again',
  });
});

it('what was accepted is delivered, whatever becomes of the masters meanwhile', async () => {
  traffic = new Traffic(stack.client);
  await traffic.flows();

  // A replica takes over in order.
  const before = await cluster.masterOf(0);
  await cluster.failOver(before);
  await traffic.flows();

  // A shard moves to another master: while it is torn it stands still, and the others go on.
  const torn = traffic.accepted.get('f')!;
  traffic.refusals.clear();
  await cluster.moveShard(0, await cluster.masterOf(2), async () => {
    const standing = torn.length;
    await waitFor(() => traffic!.refusals.has('503 queue_unavailable'), {
      describe: 'publishes to be refused',
    });
    expect(torn.length - standing).toBeLessThanOrEqual(1); // the answer that was on its way
  });
  expect([...traffic.refusals].filter((told) => !UNTIL_IT_IS_BACK.test(told))).toEqual([]);
  await traffic.flows();

  // A master dies, and its replica takes over by itself.
  const dying = await cluster.masterOf(1);
  await dying.process.kill('SIGKILL');
  await waitFor(async () => (await cluster.masterOf(1)) !== dying, {
    describe: 'the replica to take over',
  });
  await dying.restart(); // as a replica, without which nothing is accepted as durable
  await traffic.flows();

  await traffic.stop();
  const accepted = traffic.all;
  const allReceived = () => {
    if (receiver.requests.length < accepted.length) return false;
    const received = new Set(receiver.requests.map(({ headers }) => headers['webhook-id']));
    return accepted.every((id) => received.has(id));
  };
  await waitFor(allReceived, {
    describe: 'all that was accepted to be received',
    timeoutMs: 2 * PATIENCE_MS, // what a job was lost of is looked for after half a minute
  });
  expect([...traffic.refusals].filter((told) => !UNTIL_IT_IS_BACK.test(told))).toEqual([]);
}, 400_000);

it('what a master takes that has been replaced while it hung, before it knows, is lost and was not accepted', async () => {
  traffic = new Traffic(stack.client, 'hung-');
  await traffic.flows();
  const hanging = await cluster.masterOf(5);
  hanging.freeze();
  await waitFor(async () => (await cluster.masterOf(5)) !== hanging, {
    describe: 'the replica to take over',
  });
  hanging.thaw();
  await traffic.flows();
  await traffic.stop();
  expect([...traffic.refusals].filter((told) => !UNTIL_IT_IS_BACK.test(told))).toEqual([]);
  for (const id of traffic.all) {
    const event = await stack.client.get(`/v1/apps/${id[0]}/events/${id}`);
    expect(event.status, id).toBe(200);
  }
});
