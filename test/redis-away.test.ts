import { expect, it } from 'vitest';
import { TcpProxy } from './faults/tcp-proxy.ts';
import { stopAfterAll } from './harness/cleanup.ts';
import { Receiver, startRedis, startStack, waitFor } from './harness/index.ts';

it.concurrent('while Redis is away publishing answers 503 at once, and all goes on by itself when it is back', async () => {
  const stack = await startStack();
  const receiver = await Receiver.listen();
  await stack.client.post('/v1/apps/default/endpoints', { url: receiver.url('/hook') });
  const publish = () => stack.client.post('/v1/apps/default/events', { type: 'a.b', payload: 1 });
  expect((await publish()).status).toBe(202);
  await receiver.waitForRequests(1);

  await stack.redis.kill();
  const refused = await publish();
  expect([refused.status, refused.json.code]).toEqual([503, 'queue_unavailable']);
  expect(refused.headers.get('retry-after')).toBe('5');
  const unready = async () => (await fetch(`${stack.api.url}/readyz`)).status === 503;
  await waitFor(unready, { describe: 'the API to be unready' });
  expect((await fetch(`${stack.api.url}/livez`)).status).toBe(200);

  await stack.redis.restart();
  const published = await waitFor(async () => (await publish()).status === 202, {
    describe: 'publishing to work again',
  });
  expect(published).toBe(true);
  await receiver.waitForRequests(2);
  const ready = async () => (await fetch(`${stack.workers[0]!.url}/readyz`)).ok;
  await waitFor(ready, { describe: 'the worker to be ready' });
});

it.concurrent('a Redis that is nearly full gets no new events, and still delivers what it has', async () => {
  const stack = await startStack({ env: { SEALPOST_SHED_MEMORY: '0.3' }, workers: 0 });
  const receiver = await Receiver.listen();
  await stack.client.post('/v1/apps/default/endpoints', { url: receiver.url('/hook') });
  const publish = () =>
    stack.client.post('/v1/apps/default/events', { type: 'a.b', payload: 'x'.repeat(1000) });
  for (let i = 0; i < 20; i++) expect((await publish()).status).toBe(202);

  const used = Number(/used_memory:(\d+)/.exec(await stack.redis.client.info('memory'))![1]);
  await stack.redis.client.config('SET', 'maxmemory', String(used * 2));
  const refused = await waitFor(
    async () => {
      const answer = await publish();
      return answer.status !== 202 && answer;
    },
    { describe: 'publishing to be refused' },
  );
  expect([refused.status, refused.json.code]).toEqual([503, 'overloaded']);
  expect(refused.headers.get('retry-after')).not.toBeNull();
  const { total } = (await stack.client.get('/v1/apps/default/deliveries')).json.pagination;
  await stack.addWorker();
  await waitFor(
    async () =>
      (await stack.client.get('/v1/apps/default/deliveries?status=delivered')).json.pagination.total ===
      total,
    { describe: 'all to be delivered' },
  );
  expect(receiver.requests).toHaveLength(total);
});

it.concurrent('a full Redis refuses new events, its worker pauses, and both go on when there is room', async () => {
  const stack = await startStack();
  const receiver = await Receiver.listen();
  await stack.client.post('/v1/apps/default/endpoints', { url: receiver.url('/hook') });
  const publish = () => stack.client.post('/v1/apps/default/events', { type: 'a.b', payload: 1 });
  expect((await publish()).status).toBe(202);
  await receiver.waitForRequests(1);
  await stack.redis.client.config('SET', 'maxmemory', '1mb');
  const refused = await publish();
  expect(refused.status).toBe(503);
  const readyz = async () => (await fetch(`${stack.workers[0]!.url}/readyz`)).status;
  await waitFor(async () => (await readyz()) === 503, {
    describe: 'the worker to be unready',
  });
  await stack.redis.client.config('SET', 'maxmemory', '0');
  await waitFor(async () => (await publish()).status === 202, { describe: 'publishing to work again' });
  await receiver.waitForRequests(2);
  await waitFor(async () => (await readyz()) === 200, { describe: 'the worker to be ready' });
});

it.concurrent('connections to Redis that are dead without a word are given up, and all goes on over new ones', async () => {
  const redis = await startRedis();
  const proxy = await TcpProxy.listen(redis.port);
  stopAfterAll(() => proxy.stop(), 'last');
  const stack = await startStack({ redis, env: { REDIS_URL: proxy.url } });
  await stack.addApi(); // one through which nothing is published
  const receiver = await Receiver.listen();
  await stack.client.post('/v1/apps/default/endpoints', { url: receiver.url('/hook') });
  proxy.abandon();
  const publish = () => stack.client.post('/v1/apps/default/events', { type: 'a.b', payload: 1 });
  await waitFor(async () => (await publish()).status === 202, {
    describe: 'publishing to work again',
  });
  await receiver.waitForRequests(1);
  await waitFor(() => proxy.abandoned === 0, {
    describe: 'all dead connections to be given up',
  });
});
