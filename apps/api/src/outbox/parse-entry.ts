import { MAX_ID_NUMBER } from '@sealpost/core';
import { z } from 'zod';

/** ms epoch that a `Date` can hold. */
const time = z.int().min(0).max(8.64e15);
/** Of an owner or a delivery: numbers that have an id. */
const number = z
  .int()
  .min(1)
  .max(MAX_ID_NUMBER - 1);

const common = {
  /** Unique in its shard. */
  i: z.int().min(0),
  /** Owner number of the app. */
  a: number,
  /** Owner number of the endpoint; 0: a lane of a `webhook_url`. */
  e: z
    .int()
    .min(0)
    .max(MAX_ID_NUMBER - 1),
  at: time,
};

/** What scripts put into a shard's list `outbox`: a change that somebody may want to hear of. */
const outboxEntry = z.discriminatedUnion('t', [
  z.object({ ...common, t: z.literal('lane.closed'), since: time }),
  z.object({
    ...common,
    t: z.literal('lane.opened'),
    since: time,
    by: z.enum(['success', 'answer', 'change']),
  }),
  z.object({ ...common, t: z.literal('endpoint.recovered'), since: time }),
  z.object({ ...common, t: z.literal('endpoint.disabled'), r: z.string().regex(/^[a-z_]{1,64}$/) }),
  /** d: number of the delivery; r: its reason's number; n: attempts made. */
  z.object({
    ...common,
    t: z.literal('delivery.dead'),
    d: number,
    r: z.int().min(0),
    n: z.int().min(0),
  }),
  z.object({ ...common, t: z.literal('deliveries.expired'), count: z.int().min(1) }),
]);

export type OutboxEntry = z.infer<typeof outboxEntry>;

/** Undefined: this is no entry that a script of this version writes. */
export function parseEntry(text: string): OutboxEntry | undefined {
  try {
    return outboxEntry.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined; // no JSON
  }
}
