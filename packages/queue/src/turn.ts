import { formatId } from '@sealpost/core';
import { type EventRecord, eventId, parseEventRecord } from './event-record.ts';
import type { Admitted } from './jobs.ts';
import { type ScriptReply, text } from './scripts.ts';
import type { Shard } from './shard.ts';

/** What a script that moves lanes leaves to do. */
export type Turn = {
  /** These were admitted and need jobs. */
  admitted: Admitted[];
  /** ms until a lane is to be woken that the script has put to sleep (PUMP: any lane); undefined: none. */
  wakeInMs: number | undefined;
};

/** From {ms until a lane is to be woken or -1, tickets …}. */
export function readTurn(shard: Shard, reply: ScriptReply[]): Turn {
  const wake = Number(text(reply[0]));
  return { admitted: readTickets(shard, reply.slice(1)), wakeInMs: wake < 0 ? undefined : wake };
}

/** From {number, generation, event number, event record, endpoint number, …}. */
export function readTickets(shard: Shard, reply: ScriptReply[]): Admitted[] {
  const admitted: Admitted[] = [];
  for (let i = 0; i + 4 < reply.length; i += 5) {
    const event: Partial<EventRecord> = parseEventRecord(text(reply[i + 3])) ?? {};
    const endpoint = Number(text(reply[i + 4]));
    admitted.push({
      shard: shard.number,
      number: Number(text(reply[i])),
      generation: Number(text(reply[i + 1])),
      app: event.a ?? '',
      eventType: event.t ?? 'unknown',
      eventId: eventId(shard.number, Number(text(reply[i + 2])), event),
      endpoint: endpoint > 0 ? formatId('ep', shard.number, endpoint) : null,
    });
  }
  return admitted;
}
