/**
 * Prints what a delivery costs in Redis' memory, by fan-out and state, on a Redis of its own.
 * Run: `node packages/queue/measure/record-bytes.ts`
 */
import { Keyring } from '@sealpost/core';
import { accept } from '../src/accept.ts';
import { encodeAttempt } from '../src/attempt-record.ts';
import type { DeliveryRecord } from '../src/delivery-record.ts';
import { Numbers } from '../src/numbers.ts';
import { pump } from '../src/pump.ts';
import { settle } from '../src/settle.ts';
import { type Shard, Shards } from '../src/shard.ts';
import { startTestRedis } from '../testing.ts';

const EVENTS = 20_000;
/** Fills what jemalloc gives it: one of 513 bytes takes 640, and all that is measured here would seem to be dearer by that. */
const BODY = JSON.stringify({ filler: 'x'.repeat(620) });
const RETENTION = { recordsMs: 7 * 86_400_000, bodiesMs: 3 * 86_400_000 };
const keyring = Keyring.fromMasterKeys(Buffer.alloc(32, 1));

function record(event: number): DeliveryRecord {
  const now = Date.now();
  return {
    status: 'pending',
    flags: 0,
    generation: 1,
    attempts: 0,
    jobBase: 0,
    retryBase: 0,
    event,
    app: 1,
    endpoint: 2,
    createdAt: now,
    dueAt: now,
    statusCode: 0,
    reason: 'none',
    keyId: keyring.keyId,
    seal: Buffer.alloc(20, 9),
  };
}

/** Publishes `events` events with `fanOut` deliveries each. Returns the numbers of all deliveries. */
async function publish(shard: Shard, numbers: Numbers, events: number, fanOut: number): Promise<number[]> {
  const all: number[] = [];
  for (let i = 0; i < events; i++) {
    const number = await numbers.take(fanOut);
    const event = { a: 'default', n: 1, t: 'order.created', at: Date.now(), k: fanOut };
    await accept(shard, {
      app: 1,
      configVersion: 1,
      number,
      record: JSON.stringify(event),
      body: BODY,
      deliveries: Array.from({ length: fanOut }, () => record(number)),
      retention: RETENTION,
    });
    for (let j = 0; j < fanOut; j++) all.push(number + j);
  }
  return all;
}

async function settleAll(shard: Shard, deliveries: number[]): Promise<void> {
  const outcome = { startedAt: Date.now(), durationMs: 12, phases: { first_byte: 11 }, statusCode: 200 };
  const attemptRecord = encodeAttempt(
    { ...outcome, reason: 'none' },
    { contentType: 'application/json', signed: true, own: [] },
  );
  const common = {
    generation: 1,
    attempt: 1,
    reason: 'none',
    statusCode: 200,
    delayMs: 0,
    random: 0,
  } as const;
  const receiver = { sign: 'success', durationMs: 12, holdMs: 0 } as const;
  for (const number of deliveries) {
    await settle(shard, {
      ...common,
      number,
      status: 'delivered',
      attemptRecord,
      retention: RETENTION,
      receiver,
      disableAfterMs: 1e9,
    });
  }
}

/** A worker with room for all, and an endpoint that takes as many at once: everything is admitted. */
async function admitAll(shard: Shard): Promise<void> {
  const clock = Date.now();
  await pump(shard, {
    worker: 'w',
    slots: EVENTS,
    maxAgeMs: RETENTION.recordsMs,
    retention: RETENTION,
    clock,
  });
  await shard.client.hset(shard.key('lane:2'), 'w', 2 * EVENTS, 'mc', 2 * EVENTS);
}

for (const fanOut of [1, 10, 100]) {
  const redis = await startTestRedis();
  try {
    const shard = new Shards(redis.client).get(0);
    const used = async () => Number(/used_memory:(\d+)/.exec(await redis.client.info('memory'))?.[1]);
    const events = EVENTS / fanOut;
    const each = (bytes: number) => Math.round((bytes - events * BODY.length) / EVENTS);
    const start = async () => {
      await redis.client.flushall();
      await redis.client.hset(shard.key('cfg:1'), 'v', 1);
      await publish(shard, new Numbers(shard), 1, 1);
      return used();
    };

    let before = await start();
    await publish(shard, new Numbers(shard), events, fanOut);
    const waiting = each((await used()) - before);

    before = await start();
    await admitAll(shard);
    const deliveries = await publish(shard, new Numbers(shard), events, fanOut);
    const admitted = each((await used()) - before);
    await settleAll(shard, deliveries);
    const delivered = each((await used()) - before);
    console.log(
      `fan-out ${String(fanOut).padStart(3)}: waiting in its lane ${waiting} B, ` +
        `admitted ${admitted} B, delivered ${delivered} B a delivery, beyond the body`,
    );
  } finally {
    await redis.stop();
  }
}
