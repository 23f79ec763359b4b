import type { Reason, WireBody } from '@sealpost/core';
import type { EventFacts } from '@sealpost/core/expressions';
import type { EventRecord } from '@sealpost/queue';
import type { Expressions } from '@sealpost/sandbox';
import { applyFilter } from './apply-filter.ts';
import { applyTransform } from './apply-transform.ts';
import type { KilledInARow } from './count-killed.ts';
import type { Destination } from './load-endpoint.ts';

/** What the endpoint's expressions make of a delivery: its body, if they make one, or its end without an attempt. */
export type Shaped =
  | { body: WireBody | undefined }
  | { ends: 'skipped' | 'dead'; reason: Reason; detail: string; disable: boolean };

type Counts = { expressionKilled(): void };

/** Filter, then transform. @throws SandboxBusy: try again later */
export async function applyExpressions(
  { expressions, killed, counts }: { expressions: Expressions; killed: KilledInARow; counts: Counts },
  event: EventRecord,
  destination: Destination,
  facts: () => EventFacts,
): Promise<Shaped> {
  const { record } = destination.endpoint ?? {};
  if (record?.filter === undefined && record?.transform === undefined) return { body: undefined };
  const filtered = await applyFilter(expressions, event, destination, facts);
  if (filtered && 'failure' in filtered) {
    if (filtered.killed) counts.expressionKilled();
    const disable = killed.note(record.id, filtered.killed === true);
    return { ends: 'skipped', reason: 'filter_failed', detail: filtered.failure, disable };
  }
  if (filtered?.passes === false) return { ends: 'skipped', reason: 'filtered', detail: '', disable: false };
  const transformed = await applyTransform(expressions, event, destination, facts);
  const wasKilled = transformed !== undefined && 'failure' in transformed && transformed.killed === true;
  if (wasKilled) counts.expressionKilled();
  const disable = killed.note(record.id, wasKilled);
  if (transformed && 'failure' in transformed) {
    return { ends: 'dead', reason: 'transform_failed', detail: transformed.failure, disable };
  }
  return { body: transformed?.body };
}
