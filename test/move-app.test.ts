import { setTimeout as delay } from 'node:timers/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  ApiClient,
  killMoveAt,
  type Loose,
  moveApp,
  Receiver,
  type Stack,
  startMove,
  startStack,
  Tenant,
  waitFor,
} from './harness/index.ts';

const BEGUN = 'It is to go to shard';
const MOVED = 'New events are accepted';
/** A producer publishes about this often, ms: enough to be caught in the middle of everything. */
const PACE_MS = 30;
/** Attempts that a worker which dies may have under way. */
const SLOTS = 20;

type Published = { n: number; id: string; sequence: number; deliveries: Loose[]; key: string };

/** Publishes one event after the other in its own correlation, each again until there is a 202. */
class Producer {
  readonly published: Published[] = [];
  readonly correlation: string;
  readonly #tenant: Tenant;
  readonly #clients: ApiClient[];
  readonly #type: string;
  #stopped = false;
  readonly done: Promise<void>;

  constructor(tenant: Tenant, clients: ApiClient[], type: string, correlation: string) {
    this.#tenant = tenant;
    this.#clients = clients;
    this.#type = type;
    this.correlation = correlation;
    this.done = this.#run();
  }

  stop(): Promise<void> {
    this.#stopped = true;
    return this.done;
  }

  /** Own ids and keys in turn: both are known again. */
  event(n: number): { event: object; headers: Record<string, string> } {
    const event = { type: this.#type, payload: { n }, correlation_id: this.correlation };
    if (n % 2 === 0) return { event: { ...event, id: `${this.correlation}-${n}` }, headers: {} };
    return { event, headers: { 'idempotency-key': `${this.correlation}-${n}` } };
  }

  async #run(): Promise<void> {
    for (let n = 0; !this.#stopped; n++) {
      const { event, headers } = this.event(n);
      const { id, sequence, deliveries } = await this.#untilAccepted(event, headers, n);
      this.published.push({ n, id, sequence, deliveries, key: headers['idempotency-key'] ?? '' });
      await delay(PACE_MS);
    }
  }

  async #untilAccepted(event: object, headers: Record<string, string>, n: number): Promise<Loose> {
    for (let tries = n; ; tries++) {
      // With a key through the one that lives: of one that is killed, a key stays in progress for two minutes.
      const client = this.#clients['idempotency-key' in headers ? 0 : tries % this.#clients.length]!;
      const answer = await client.post(`${this.#tenant.path}/events`, event, headers).catch(() => undefined);
      if (answer?.status === 202) return answer.json;
      if (answer && answer.status !== 503) throw new Error(answer.text); // a slow Redis: the same once more
      await delay(PACE_MS);
    }
  }
}

describe('an app that is moved while it is used, and while processes die', () => {
  let stack: Stack;
  let receiver: Receiver;
  let tenant: Tenant;
  let producers: Producer[];
  const everything = () => producers.flatMap(({ published }) => published);
  const publishesIn = (shard: string) =>
    waitFor(() => everything().some(({ deliveries }) => deliveries[0].id.startsWith(`dlv_${shard}`)), {
      describe: `an event in shard ${shard}`,
    });

  beforeAll(async () => {
    stack = await startStack({ workers: 2, workerEnv: { WORKER_CONCURRENCY: String(SLOTS) } });
    const second = await stack.addApi();
    receiver = await Receiver.listen();
    receiver.respond('/ordered', async () => {
      await delay(5);
      return 200;
    });
    let refused = 0;
    receiver.respond('/all', () => (refused++ % 10 === 0 ? 503 : 200));
    tenant = await Tenant.create(stack.client);
    await tenant.endpoint({ url: receiver.url('/ordered'), event_types: ['in.order'], ordered: true });
    const retry = { base_seconds: 0.2, factor: 1, max_retries: 20 };
    await tenant.endpoint({ url: receiver.url('/all'), retry, max_concurrency: 8 });
    const clients = [stack.client, new ApiClient(second.url, stack.apiKey)];
    producers = ['in.order', 'any.order', 'any.order'].map(
      (type, i) => new Producer(tenant, clients, type, `flow-${i}`),
    );

    await publishesIn('00');
    await killMoveAt(stack, tenant.app, 1, BEGUN);
    await killMoveAt(stack, tenant.app, 1, MOVED);
    await stack.workers[1]!.kill();
    await moveApp(stack, tenant.app, 1);
    await publishesIn('01');
    const onward = startMove(stack, ['--app', tenant.app, '--to', '2', '--no-wait']);
    await onward.says(BEGUN);
    await second.kill();
    await onward.process.exited;
    await publishesIn('02');
    await killMoveAt(stack, tenant.app, 3, BEGUN);
    await moveApp(stack, tenant.app, 3);
    await publishesIn('03');
    await Promise.all(producers.map((producer) => producer.stop()));
  });

  it('is at home in the last shard, with records in all', async () => {
    expect(await stack.redis.client.hget('sp:apps', tenant.app)).toMatch(/^3:/);
    const shards = new Set(everything().map(({ deliveries }) => deliveries[0].id.slice(4, 6)));
    expect([...shards].sort()).toEqual(['00', '01', '02', '03']);
  });

  it('counts each correlation on, without a gap', () => {
    for (const { published } of producers) {
      expect(published.length).toBeGreaterThan(20);
      expect(published.map(({ sequence }) => sequence)).toEqual(published.map(({ n }) => n + 1));
    }
  });

  it('delivers everything, and more than once only what a dead worker had', async () => {
    const ids = new Set(everything().map(({ id }) => id));
    const arrived = () => receiver.to('/all').map(({ headers }) => headers['webhook-id']!);
    const delivered = async () => {
      const { json } = await tenant.get('/deliveries?status=pending,retrying&limit=1');
      return json.pagination.total === 0 && new Set(arrived()).size >= ids.size;
    };
    await waitFor(delivered, { describe: 'all to be delivered' });
    expect(new Set(arrived())).toEqual(ids);
    const { json } = await tenant.get('/deliveries?status=delivered&limit=1');
    expect(json.pagination.total).toBe(ids.size + producers[0]!.published.length);
    const attempts = await countAttempts();
    // Each attempt that is on record was one request; others were those of the worker that died.
    expect(receiver.requests.length - attempts).toBeGreaterThanOrEqual(0);
    expect(receiver.requests.length - attempts).toBeLessThanOrEqual(SLOTS);
  });

  it('keeps the order of an ordered endpoint', () => {
    const arrived = receiver.to('/ordered').map(({ text }) => JSON.parse(text).data.n as number);
    const first = arrived.filter((n, i) => arrived.indexOf(n) === i);
    expect(first).toEqual(producers[0]!.published.map(({ n }) => n));
  });

  it('lists all, newest first, page by page and by cursor', async () => {
    const wanted = new Set(everything().flatMap(({ deliveries }) => deliveries.map(({ id }) => id)));
    const byCursor: Loose[] = [];
    let cursor = '';
    do {
      const { json } = await tenant.get(`/deliveries?limit=100${cursor}`);
      expect(json.pagination.total).toBe(wanted.size);
      byCursor.push(...json.data);
      cursor = json.pagination.cursor ? `&cursor=${json.pagination.cursor}` : '';
    } while (cursor !== '');
    const pages = Math.ceil(wanted.size / 100);
    const byPage: Loose[] = [];
    for (let page = 1; page <= pages; page++) {
      byPage.push(...(await tenant.get(`/deliveries?limit=100&page=${page}`)).json.data);
    }
    const ids = byCursor.map(({ id }) => id);
    expect(byPage.map(({ id }) => id)).toEqual(ids);
    expect(ids).toHaveLength(wanted.size);
    expect(new Set(ids)).toEqual(wanted);
    const shards = ids.map((id: string) => id.slice(4, 6));
    expect(shards).toEqual(shards.toSorted().reverse());
    // A page that ends where a shard does.
    const atHome = shards.filter((shard: string) => shard === '03').length;
    const whole = (await tenant.get(`/deliveries?limit=${atHome}`)).json;
    const behind = (await tenant.get(`/deliveries?limit=1&cursor=${whole.pagination.cursor}`)).json;
    expect(behind.data[0].id).toBe(ids[atHome]);
    const filtered = (await tenant.get('/deliveries?event_type=in.order&limit=100&page=2')).json;
    expect(filtered.pagination.total).toBe(2 * producers[0]!.published.length);
    expect(filtered.pagination.total_is_minimum).toBeUndefined();
  });

  it('finds each event by its id, made or own, and counts correlations over all shards', async () => {
    for (const { published, correlation } of producers) {
      const { json } = await tenant.get(`/correlations/${correlation}`);
      expect(json.events).toBe(published.length);
      const deliveries = published.reduce((sum, event) => sum + event.deliveries.length, 0);
      expect(json.deliveries.delivered).toBe(deliveries);
      for (const event of [published[0]!, published[1]!, published.at(-1)!]) {
        const found = (await tenant.get(`/events/${event.id}`)).json;
        expect(found).toMatchObject({ id: event.id, sequence: event.sequence });
        expect(found.deliveries.map(({ id }: Loose) => id)).toEqual(event.deliveries.map(({ id }) => id));
        const listed = (await tenant.get(`/deliveries?event_id=${event.id}`)).json;
        expect(listed.pagination.total).toBe(event.deliveries.length);
      }
    }
  });

  it('knows own ids and idempotency keys from before', async () => {
    for (const producer of producers) {
      for (const { n, id, sequence } of producer.published.slice(0, 2)) {
        const { event, headers } = producer.event(n);
        const again = await stack.client.post(`${tenant.path}/events`, event, headers);
        expect(again.status, again.text).toBe(202);
        expect(again.json).toMatchObject({ id, sequence });
        expect(again.headers.get('idempotent-replayed')).toBe(n % 2 === 1 ? 'true' : null);
      }
    }
  });

  async function countAttempts(): Promise<number> {
    let attempts = 0;
    for (const key of await stack.redis.client.keys('{sp:*}:t:*'))
      attempts += await stack.redis.client.hlen(key);
    return attempts;
  }
});
