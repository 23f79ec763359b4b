import { type Reason, reasonName, reasonNumber } from '@sealpost/core';
import type { Retention } from './accept.ts';
import { enqueue, promoteJobs, removeJobs } from './jobs.ts';
import { type ScriptReply, text } from './scripts.ts';
import type { Shard } from './shard.ts';
import { readTickets } from './turn.ts';

/** How much one call looks at, so that no call blocks Redis for long. */
const STRETCH = 200;
/** What was given a job is looked at again after this, ms. */
const AGAIN_MS = 10_000;

/**
 * RECONCILE (lua/reconcile.lua): gives a job to each delivery that should have one and has none, because a process
 * died between two steps or somebody removed it, and lets those go that are delayed although their time has come. `more`: it
 * did not get to the end.
 */
export async function reconcile(shard: Shard): Promise<{ found: number; more: boolean }> {
  const reply = (await shard.run('reconcile', [STRETCH, AGAIN_MS, shard.jobPrefix])) as ScriptReply[];
  const found = readTickets(shard, reply.slice(2));
  await enqueue(shard.queue, found);
  await promoteJobs(shard.queue, (reply[1] as ScriptReply[]).map(text));
  return { found: found.length, more: Number(reply[0]) >= STRETCH };
}

/** CANCEL-OWNER (lua/cancel-owner.lua): one stretch of a deleted owner's backlog. Undefined when nothing is left. */
export async function cancelDeleted(
  shard: Shard,
  retention: Retention,
): Promise<{ cancelled: number; reason: Reason } | undefined> {
  const reply = await shard.run('cancel-owner', [
    STRETCH,
    reasonNumber('endpoint_deleted'),
    reasonNumber('app_deleted'),
    retention.recordsMs,
    retention.bodiesMs,
  ]);
  if (!Array.isArray(reply)) return undefined;
  const [reason, ...jobs] = reply.map(text);
  await removeJobs(shard.queue, jobs);
  return { cancelled: jobs.length, reason: reasonName(Number(reason)) };
}

/** EXPIRE (lua/expire.lua). Returns how many buckets were due, at most 16. */
export async function expire(shard: Shard): Promise<number> {
  return Number(await shard.run('expire', [16]));
}
