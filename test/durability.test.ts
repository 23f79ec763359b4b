import { expect, it } from 'vitest';
import { moveApp, startRedis, startStack, waitFor } from './harness/index.ts';

const EVENT = { type: 'a.b', payload: 1, webhook_url: 'http://127.0.0.1:9/' };

it.concurrent('with SEALPOST_DURABILITY=replica a 202 waits for a replica, and without one it is no 202', async () => {
  const redis = await startRedis();
  const stack = await startStack({ redis, workers: 0, apiEnv: { SEALPOST_DURABILITY: 'replica' } });
  const alone = await stack.client.post('/v1/apps/default/events', { ...EVENT, id: 'one' });
  expect([alone.status, alone.json.code]).toEqual([503, 'not_durable']);

  const replica = await startRedis();
  await replica.client.call('REPLICAOF', '127.0.0.1', String(redis.port));
  await waitFor(async () => (await redis.client.info('replication')).includes('state=online'), {
    describe: 'the replica to be in step',
  });
  // The event was stored all the same: publishing it again finds it, and now it is durable.
  const again = await stack.client.post('/v1/apps/default/events', { ...EVENT, id: 'one' });
  expect(again.status).toBe(202);
  const { json } = await stack.client.get('/v1/apps/default/deliveries');
  expect(json.pagination.total).toBe(1);
  expect((await replica.client.keys('{sp:0}:d:*')).length).toBeGreaterThan(0);

  // Also where it stays in a shard that its app has left.
  await redis.client.hset('{sp:1}:hb', 'a worker', '1:0');
  await moveApp(stack, 'default', 1);
  const events = [{ ...EVENT, id: 'one' }, EVENT];
  const batch = await stack.client.post('/v1/apps/default/events/batch', { events });
  expect(batch.json.results.map(({ status }: { status: number }) => status)).toEqual([202, 202]);
  const moved = await stack.client.post('/v1/apps/default/events', { ...EVENT, id: 'one' });
  expect(moved.status, moved.text).toBe(202);
});

it.concurrent('with SEALPOST_DURABILITY=disk a 202 means that the append-only file has it', async () => {
  const redis = await startRedis();
  await redis.client.config('SET', 'appendfsync', 'always');
  const stack = await startStack({ redis, workers: 0, apiEnv: { SEALPOST_DURABILITY: 'disk' } });
  const published = await stack.client.post('/v1/apps/default/events', EVENT);
  expect(published.status).toBe(202);
  await redis.kill();
  await redis.restart();
  const answer = await waitFor(
    async () => {
      const found = await stack.client.get(`/v1/apps/default/events/${published.json.id}`);
      return found.status === 200 && found;
    },
    { describe: 'the event to be read after the crash' },
  );
  expect(answer.json.deliveries).toHaveLength(1);
});

it.concurrent('while a publish waits for a replica all else is answered, and when Redis becomes one itself it is a 503', async () => {
  const redis = await startRedis();
  const stack = await startStack({ redis, workers: 0, apiEnv: { SEALPOST_DURABILITY: 'replica' } });
  const paths = ['/v1/apps/default/deliveries', '/v1/apps', '/readyz', '/metrics'];
  const blocked = async () => (await redis.client.info('clients')).includes('blocked_clients:1');
  // All of it within the 4 s that a publish waits: a starved machine may need several tries.
  const tried = async () => {
    let over = false;
    const publishing = stack.client.post('/v1/apps/default/events', EVENT).finally(() => {
      over = true;
    });
    await waitFor(async () => over || (await blocked()), { describe: 'the publish to wait' });
    const answers = await Promise.all(paths.map((path) => stack.client.get(path)));
    // Redis answers a blocked connection's next command only when its wait is over: these came over another.
    const meanwhile = !over;
    await redis.client.call('REPLICAOF', '127.0.0.1', '1');
    const { status, json } = await publishing;
    await redis.client.call('REPLICAOF', 'NO', 'ONE');
    return meanwhile && json.code !== 'not_durable' && { answers, refused: [status, json.code] };
  };
  const { answers, refused } = await waitFor(tried, { describe: 'all to be done while a publish waits' });
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
  expect(answers[0]!.json.data.length).toBeGreaterThan(0);
  expect(refused).toEqual([503, 'queue_unavailable']);
});

it.concurrent('with SEALPOST_DURABILITY=replica what was published before its app moved is still known by its id', async () => {
  const [redis, replica] = [await startRedis(), await startRedis()];
  await replica.client.call('REPLICAOF', '127.0.0.1', String(redis.port));
  await waitFor(async () => (await redis.client.info('replication')).includes('state=online'), {
    describe: 'the replica to be in step',
  });
  const stack = await startStack({ redis, apiEnv: { SEALPOST_DURABILITY: 'replica' } });
  const before = await stack.client.post('/v1/apps/default/events', { ...EVENT, id: 'one' });
  expect(before.status).toBe(202);
  await moveApp(stack, 'default', 1);
  const again = await stack.client.post('/v1/apps/default/events', { ...EVENT, id: 'one' });
  expect([again.status, again.json.deliveries?.[0]?.id]).toEqual([202, before.json.deliveries[0].id]);
});
