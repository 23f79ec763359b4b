import { z } from 'zod';
import { eventTypes } from './endpoint.ts';
import * as fields from './fields.ts';

/** Statuses of deliveries that have ended: what is pending or retrying is under way anyway. */
export const REPLAYABLE = ['dead', 'cancelled', 'skipped', 'delivered'] as const;

export type ReplayableStatus = (typeof REPLAYABLE)[number];

/** Which of an endpoint's ended deliveries are to be sent again; by default all that are dead. */
export const replayInput = z
  .strictObject({
    status: z
      .array(z.enum(REPLAYABLE))
      .min(1)
      .max(REPLAYABLE.length)
      .default(['dead'])
      .describe('Deliveries that have ended so.'),
    since: fields.time.describe('Created at this time or later.').exactOptional(),
    until: fields.time.describe('Created before this time.').exactOptional(),
    event_types: eventTypes
      .default([])
      .describe('Of these event types, patterns as of an endpoint; empty for all.'),
  })
  .check(({ value, issues }) => {
    const { since, until } = value;
    if (since === undefined || until === undefined || since < until) return;
    issues.push({ code: 'custom', path: ['until'], input: value, message: 'must be later than since' });
  })
  .prefault({})
  .meta({ id: 'ReplayInput' });

export type ReplayInput = z.infer<typeof replayInput>;
