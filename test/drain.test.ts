import { Agent, createServer, request } from 'node:http';
import { type AddressInfo, connect, createServer as createTcpServer } from 'node:net';
import { expect, it } from 'vitest';
import { Receiver, spawnApp, startRedis, startStack, untilEnded, waitFor } from './harness/index.ts';

const MASTER = Buffer.alloc(32, 3).toString('base64');

it.concurrent('on SIGTERM a worker finishes what is under way, exits with 0, and nothing is posted twice', async () => {
  const stack = await startStack({ env: { WORKER_CONCURRENCY: '5' } });
  const receiver = await Receiver.listen();
  const held: (() => void)[] = [];
  receiver.respond(() => new Promise((resolve) => held.push(() => resolve(200))));
  await stack.client.post('/v1/apps/default/endpoints', { url: receiver.url('/hook') });
  for (let i = 0; i < 20; i++)
    await stack.client.post('/v1/apps/default/events', { type: 'a.b', payload: i });
  await receiver.waitForRequests(4); // the lane's first window

  const [worker] = stack.workers;
  const stopping = worker!.stop();
  await waitFor(async () => (await fetch(`${worker!.url}/readyz`)).status === 503, {
    describe: 'the worker to be unready',
  });
  for (const release of held.splice(0)) release();
  expect(await stopping).toMatchObject({ code: 0 });
  expect(receiver.requests).toHaveLength(4);

  receiver.respond(200);
  await stack.addWorker();
  await waitFor(
    async () =>
      (await stack.client.get('/v1/apps/default/deliveries?status=delivered')).json.pagination.total === 20,
    { describe: 'all 20 to be delivered' },
  );
  expect(receiver.requests).toHaveLength(20);
});

it.concurrent('what hangs is handed back uncounted, and delivered by the next worker', async () => {
  const stack = await startStack();
  const receiver = await Receiver.listen();
  receiver.respond('hang');
  await stack.client.post('/v1/apps/default/endpoints', { url: receiver.url('/hook'), timeout_seconds: 300 });
  const published = await stack.client.post('/v1/apps/default/events', { type: 'a.b', payload: 1 });
  await receiver.waitForRequests(1);
  expect(await stack.workers[0]!.stop()).toMatchObject({ code: 0 });

  receiver.respond(200);
  await stack.addWorker();
  await receiver.waitForRequests(2);
  const { json } = await waitFor(
    async () => {
      const answer = await stack.client.get(`/v1/apps/default/deliveries/${published.json.deliveries[0].id}`);
      return answer.json.status === 'delivered' && answer;
    },
    { describe: 'it to be delivered' },
  );
  expect(json.attempt_count).toBe(1);
});

it.concurrent('on SIGTERM an API answers who keeps a connection, resets nobody, and exits with 0', async () => {
  const stack = await startStack({ workers: 0 });
  const { api } = stack;
  const agent = new Agent({ keepAlive: true, maxSockets: 10 });
  const outcomes: string[] = [];
  const publish = () =>
    new Promise<string>((resolve) => {
      const headers = { authorization: `Bearer ${stack.apiKey}`, 'content-type': 'application/json' };
      const post = request(`${api.url}/v1/apps/default/events`, { agent, method: 'POST', headers });
      post.on('response', (response) =>
        response.resume().on('end', () => resolve(String(response.statusCode))),
      );
      post.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
      post.end('{"type":"a.b","payload":1}');
    });
  const busy = Array.from({ length: 10 }, async () => {
    for (let outcome = ''; outcome !== 'ECONNREFUSED'; ) {
      outcome = await publish();
      outcomes.push(outcome);
    }
  });
  await waitFor(() => outcomes.length > 100, { describe: 'the clients to be busy' });
  expect(await api.stop()).toMatchObject({ code: 0 });
  await Promise.all(busy);
  agent.destroy();
  expect(new Set(outcomes)).toEqual(new Set(['202', 'ECONNREFUSED']));
});

it.concurrent('on SIGTERM while Redis is away a worker is gone soon after Redis is back', async () => {
  const stack = await startStack();
  const [worker] = stack.workers;
  // Something to wait for Redis with: without, it would soon be gone by itself.
  const receiver = await Receiver.listen();
  const held = Promise.withResolvers<200>();
  receiver.respond(() => held.promise);
  await stack.client.post('/v1/apps/default/endpoints', { url: receiver.url('/hook') });
  await stack.client.post('/v1/apps/default/events', { type: 'a.b', payload: 1 });
  await receiver.waitForRequests(1);
  await stack.redis.kill();
  await waitFor(async () => (await fetch(`${worker!.url}/readyz`)).status === 503, {
    describe: 'the worker to be unready',
  });
  const stopping = worker!.stop();
  await waitFor(() => worker!.output.includes('draining'), { describe: 'the worker to drain' });
  await stack.redis.restart();
  held.resolve(200);
  expect(await stopping).toMatchObject({ code: 0 });
  expect(worker!.output).toContain('"drained"');
  expect(worker!.output).not.toContain('not drained in time');
});

it.concurrent('a worker whose port is taken exits before it takes a job', async ({ onTestFinished }) => {
  const redis = await startRedis();
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void other.close());
  const { port } = other.address() as AddressInfo;
  const worker = await spawnApp('worker', {
    REDIS_URL: redis.url,
    SEALPOST_MASTER_KEY: MASTER,
    HEALTH_PORT: String(port),
  });
  expect((await untilEnded(worker)).code).toBe(1);
  expect(worker.output).toContain('EADDRINUSE');
  expect(worker.output).not.toContain('serving shard');
});

it.concurrent('on SIGTERM while it starts a worker drains, and exits with 0', async ({ onTestFinished }) => {
  const redis = await startRedis();
  // It asks for its shards, and gets no answer.
  const proxy = createTcpServer((client) => {
    const server = connect(redis.port, '127.0.0.1', () => void server.pipe(client));
    client.on('data', (data) => (data.includes('sp:shards') ? client.pause() : server.write(data)));
    for (const [one, other] of [
      [client, server],
      [server, client],
    ] as const)
      one.on('error', () => {}).once('close', () => other.destroy());
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void proxy.close());
  const worker = await spawnApp('worker', {
    REDIS_URL: `redis://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
    SEALPOST_MASTER_KEY: MASTER,
  });
  const readyz = async () => (await fetch(`${worker.url}/readyz`)).text();
  await waitFor(async () => (await readyz()).includes('starting'), { describe: 'it to be starting' });
  expect(await worker.stop()).toMatchObject({ code: 0 });
  expect(worker.output).toContain('"drained"');
  expect(worker.output).not.toContain('worker ready');
});
