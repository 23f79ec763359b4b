import { JSON_CONTENT_TYPE, type WireBody } from '@sealpost/core';
import type { EventFacts } from '@sealpost/core/expressions';
import type { EventRecord } from '@sealpost/queue';
import type { Expressions } from '@sealpost/sandbox';
import type { Destination } from './load-endpoint.ts';

/** What a transform makes. `killed`: it was ended, and so failed. */
export type Transformed = { body: WireBody } | { failure: string; killed?: true };

const KILLED = 'The transform took longer than 50 ms, or more memory than it may.';
const TEXT = 'text/plain; charset=utf-8';

/**
 * The body as the endpoint's transform has it, in place of its wire profile's. Undefined: it has none. Made anew for every
 * attempt, like the signature: a transform that was mended counts from then on.
 * @throws SandboxBusy
 */
export async function applyTransform(
  expressions: Expressions,
  event: EventRecord,
  { app, endpoint }: Destination,
  facts: () => EventFacts,
): Promise<Transformed | undefined> {
  const source = endpoint?.record.transform;
  if (source === undefined) return undefined;
  const result = await expressions.transform({ source, owner: app.app }, facts());
  if ('body' in result) {
    const contentType = result.json ? JSON_CONTENT_TYPE : (event.ct ?? TEXT);
    return { body: { body: result.body, contentType } };
  }
  return 'killed' in result
    ? { failure: KILLED, killed: true }
    : { failure: `The transform failed: ${result.failure}.` };
}
