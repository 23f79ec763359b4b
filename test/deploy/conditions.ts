import { type DeliveryRecord, decodeDelivery, encodeDelivery } from '@sealpost/queue';
import { expect } from 'vitest';
import type { Receiver, Stack, Tenant } from '../harness/index.ts';

/** In one batch each round, an event to each of so many origins of a receiver on all of 127.0.0.0/16: each has a lane of its own. */
export async function floodLanes(
  tenant: Tenant,
  receiver: Receiver,
  path: string,
  lanes: number,
  rounds = 1,
): Promise<void> {
  const events = Array.from({ length: lanes }, (_, i) => ({
    type: 'flood',
    payload: i,
    webhook_url: `http://127.0.${1 + Math.floor(i / 250)}.${1 + (i % 250)}:${receiver.port}${path}`,
  }));
  for (let round = 0; round < rounds; round++) {
    const answer = await tenant.client.post(`${tenant.path}/events/batch`, { events });
    expect(answer.status, answer.text).toBe(202);
  }
}

/**
 * Makes open deliveries as old as they are where Redis was down for so long, or comes from a backup: their records say that
 * they were accepted `ms` earlier. For those that nothing touches meanwhile.
 */
export async function haveWaited(
  { redis }: Stack,
  ms: number,
  which: (record: DeliveryRecord) => boolean,
): Promise<number> {
  let changed = 0;
  for (const key of await redis.client.keys('{sp:0}:d:*')) {
    for (const [field, bytes] of Object.entries(await redis.client.hgetallBuffer(key))) {
      const record = decodeDelivery(bytes);
      if (!record || !which(record)) continue;
      const older = { ...record, createdAt: record.createdAt - ms, dueAt: record.dueAt - ms };
      await redis.client.hset(key, field, encodeDelivery(older));
      changed += 1;
    }
  }
  return changed;
}
