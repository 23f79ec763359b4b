import { SealpostError } from '@sealpost/core';
import type { Shard } from '@sealpost/queue';

/** Longest wait for disk or replica, ms: below the connection's own command timeout. */
const WITHIN_MS = 4000;

/**
 * How hard Redis must hold what was accepted before the 202: `none`: as it is; `waitaof`: on its disk (Redis ≥ 7.2);
 * `wait`: on a replica.
 */
export type Barrier = 'none' | 'waitaof' | 'wait';

/**
 * Waits until everything written on this connection is as durable as configured.
 * @throws SealpostError not_durable: the events are stored, and will be delivered unless Redis loses them
 */
export async function makeDurable(shard: Shard, barrier: Barrier): Promise<void> {
  if (barrier === 'none') return;
  const { client } = shard;
  // Redis waits for the last write of this very connection; what is waited for may have come over another.
  await client.set(shard.key('barrier'), '1');
  const reply =
    barrier === 'wait'
      ? await client.call('WAIT', '1', WITHIN_MS)
      : await client.call('WAITAOF', '1', '0', WITHIN_MS);
  const reached = Array.isArray(reply) ? Number(reply[0]) : Number(reply);
  if (reached >= 1) return;
  throw new SealpostError(
    'not_durable',
    barrier === 'wait'
      ? 'Redis has the event, but no replica confirmed it in time. Publish again with the same id or Idempotency-Key.'
      : 'Redis has the event, but not on its disk in time. Publish again with the same id or Idempotency-Key.',
    { retryAfterSeconds: 5 },
  );
}
