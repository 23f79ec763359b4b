import type { EventFacts } from '@sealpost/core/expressions';
import type { EventRecord } from '@sealpost/queue';
import type { Expressions } from '@sealpost/sandbox';
import type { Destination } from './load-endpoint.ts';

/** What a late filter says. `killed`: it was ended, and so failed. */
export type Filtered = { passes: boolean } | { failure: string; killed?: true };

const KILLED = 'The filter took longer than 50 ms, or more memory than it may.';

/**
 * Decides the filters that the API left open: they erred there, took too long, or read what was not known yet. Undefined: the
 * API has decided, or there is none (any more).
 * @throws SandboxBusy
 */
export async function applyFilter(
  expressions: Expressions,
  event: EventRecord,
  { app, endpoint }: Destination,
  facts: () => EventFacts,
): Promise<Filtered | undefined> {
  const source = endpoint?.record.filter;
  if (source === undefined || !isOpen(event, endpoint!.record.number)) return undefined;
  const result = await expressions.filter({ source, owner: app.app }, facts());
  if ('passes' in result) return result;
  return 'killed' in result
    ? { failure: KILLED, killed: true }
    : { failure: `The filter failed: ${result.failure}.` };
}

function isOpen({ f: open }: EventRecord, endpoint: number): boolean {
  return open === 1 || (open?.includes(endpoint) ?? false);
}
