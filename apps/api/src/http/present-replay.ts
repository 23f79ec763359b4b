import { formatId, parseId, REPLAYABLE } from '@sealpost/core';
import type { Replay } from '@sealpost/store';
import { z } from 'zod';

const time = z.iso.datetime();

export const replayAnswer = z
  .object({
    id: z.string(),
    endpoint_id: z.string(),
    status: z.array(z.enum(REPLAYABLE)).describe('As it was asked for, as are the next three.'),
    since: time.nullable(),
    until: time.nullable(),
    event_types: z.array(z.string()).describe('Empty: all.'),
    state: z
      .enum(['running', 'completed', 'failed'])
      .describe('`completed`: it has looked at all deliveries; those sent again may still wait in the lane.'),
    failure: z.enum(['endpoint_deleted']).nullable(),
    total: z.int().describe('Deliveries that the endpoint had when the replay was asked for.'),
    scanned: z
      .int()
      .describe('How many of them have been looked at; not all, where old ones have been dropped meanwhile.'),
    replayed: z.int().describe('Deliveries that are sent again.'),
    unavailable: z.int().describe('Deliveries that are not: their payload is no longer kept.'),
    refused: z
      .int()
      .describe(
        'Deliveries that are not: an attempt is still under way, or no more attempts can be counted.',
      ),
    created_at: time,
    ended_at: time.nullable(),
  })
  .meta({ id: 'Replay' });

const iso = (ms: number) => new Date(ms).toISOString();

export function presentReplay(replay: Replay): z.output<typeof replayAnswer> {
  const { statuses, eventTypes, since, until } = replay.filter;
  return {
    id: replay.id,
    endpoint_id: formatId('ep', parseId('rpl', replay.id)!.shard, replay.endpoint),
    status: [...statuses],
    since: since === undefined ? null : iso(since),
    until: until === undefined ? null : iso(until),
    event_types: [...eventTypes],
    state: replay.state,
    failure: replay.failure,
    total: replay.total,
    scanned: replay.scanned,
    replayed: replay.replayed,
    unavailable: replay.unavailable,
    refused: replay.refused,
    created_at: iso(replay.createdAt),
    ended_at: replay.endedAt === null ? null : iso(replay.endedAt),
  };
}
