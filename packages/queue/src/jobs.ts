import { formatId, jobId } from '@sealpost/core';
import { type JobsOptions, Queue, type QueueOptions } from 'bullmq';
import type { RedisClient } from './connection.ts';
import { queueName, queuePrefix } from './keys.ts';

/**
 * What a job holds: ids, for whoever looks at it in Bull Board. Nothing is read from it: its own id names the
 * delivery and the generation, and the rest is in the delivery's record.
 */
export type DeliveryJobData = { app: string; event: string; endpoint: string | null };

/** One delivery that has been admitted and needs a job. */
export type Admitted = {
  shard: number;
  number: number;
  generation: number;
  app: string;
  eventType: string;
  eventId: string;
  endpoint: string | null;
};

export type DeliveryQueue = Queue<DeliveryJobData>;

/** BullMQ's name for our backoff: the error of a failed attempt carries its delay. */
export const BACKOFF = 'sealpost';

/**
 * `attempts` is out of reach: the record says when a delivery is dead. Kept short, since every job stores them.
 * How many finished jobs are kept is the worker's setting.
 */
const OPTIONS: JobsOptions = { attempts: 1_000_000, backoff: { type: BACKOFF }, stackTraceLimit: 0 };

/** The queue of a shard, for adding jobs over a connection that others use too. */
export function deliveryQueue(shard: number, connection: RedisClient): DeliveryQueue {
  const options: QueueOptions = {
    connection: connection as QueueOptions['connection'],
    prefix: queuePrefix(shard),
    // Without these, one failed start would leave the queue unusable for ever.
    skipWaitingForReady: true,
    skipVersionCheck: true,
    streams: { events: { maxLen: 1000 } },
  };
  const queue: DeliveryQueue = new Queue(queueName(shard), options);
  // Errors come to whoever called; the event is a copy, and without a listener it would end the process.
  queue.on('error', () => {});
  return queue;
}

/**
 * Adds the jobs; a job that exists already is left as it is, so this may be repeated. Not by `addBulk`: that makes a pipeline,
 * and ioredis copies the name of every script to each.
 */
export async function enqueue(queue: DeliveryQueue, admitted: Admitted[]): Promise<void> {
  await Promise.all(
    admitted.map(({ shard, number, generation, app, eventType, eventId, endpoint }) =>
      queue.add(
        eventType,
        { app, event: eventId, endpoint },
        { ...OPTIONS, jobId: jobId(formatId('dlv', shard, number), generation) },
      ),
    ),
  );
}

/** Removes jobs that are of no use any more. One that runs just now is locked, and is left to its worker. */
export async function removeJobs(queue: DeliveryQueue, ids: string[]): Promise<void> {
  await Promise.all(ids.map((id) => queue.remove(id).catch(() => 0)));
}

/** Lets delayed jobs run now. One that is not delayed any more says so, and is left as it is. */
export async function promoteJobs(queue: DeliveryQueue, ids: string[]): Promise<void> {
  await Promise.all(ids.map(async (id) => (await queue.getJob(id))?.promote().catch(() => {})));
}
