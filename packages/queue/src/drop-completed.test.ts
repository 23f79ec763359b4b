import { Worker } from 'bullmq';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestRedis, type TestRedis } from '../testing.ts';
import { connect } from './connection.ts';
import { dropCompleted } from './drop-completed.ts';
import { enqueue } from './jobs.ts';
import { queueName, queuePrefix } from './keys.ts';
import { type Shard, Shards } from './shard.ts';

let redis: TestRedis;
let shard: Shard;

beforeAll(async () => {
  redis = await startTestRedis();
  shard = new Shards(redis.client).get(0);
});
afterAll(() => redis.stop());

/** Adds so many jobs and completes them, but for those that `fails` names. */
async function work(jobs: number, fails: (i: number) => boolean = () => false): Promise<void> {
  const connection = connect([redis.url], 'blocking', () => {});
  let left = jobs;
  const done = new Promise<void>((resolve) => {
    const worker = new Worker<{ event: string }>(
      queueName(0),
      async ({ data }) => {
        if (fails(Number(data.event))) throw new Error('it fails');
      },
      {
        connection: connection as never,
        prefix: queuePrefix(0),
        concurrency: 50,
        removeOnComplete: { count: -1 },
        settings: { backoffStrategy: () => -1 },
      },
    );
    const end = () => {
      left -= 1;
      if (left === 0) worker.close().then(resolve);
    };
    worker.on('completed', end);
    worker.on('failed', end);
  });
  const ids = { shard: 0, generation: 1, app: 'a', eventType: 't', endpoint: null };
  const all = Array.from({ length: jobs }, (_, i) => ({ ...ids, number: i + 1, eventId: String(i) }));
  await enqueue(shard.queue, all);
  await done;
  connection.disconnect();
}

it('drops what BullMQ has completed, oldest first, but for the last 1,000, and nothing else', async () => {
  await work(1500, (i) => i % 100 === 0);
  expect(await shard.queue.getJobCounts('completed', 'failed')).toEqual({ completed: 1485, failed: 15 });
  const newest = (await shard.queue.getCompleted(0, 999)).map(({ id }) => id);

  await dropCompleted(shard);

  expect((await shard.queue.getCompleted()).map(({ id }) => id)).toEqual(newest);
  expect(await shard.queue.getFailedCount()).toBe(15);
  expect((await redis.client.keys(`${shard.jobPrefix}dlv_*`)).length).toBe(1015);

  await dropCompleted(shard);
  expect(await shard.queue.getCompletedCount()).toBe(1000);
});
