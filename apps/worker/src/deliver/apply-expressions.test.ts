import type { EventFacts } from '@sealpost/core/expressions';
import type { EventRecord } from '@sealpost/queue';
import { Expressions, SandboxBusy } from '@sealpost/sandbox';
import { describe, expect, it, vi } from 'vitest';
import { applyExpressions } from './apply-expressions.ts';
import { KilledInARow } from './count-killed.ts';
import type { Destination } from './load-endpoint.ts';

const facts: EventFacts = { type: 'a', payload: '{"n":1}', id: 'evt_1', acceptedAt: 0 };

const counts = { expressionKilled: () => {} };

function destination(record: { filter?: string; transform?: string }): Destination {
  return {
    app: { app: 'shop' },
    signingSecret: undefined,
    endpoint: { headers: {}, secrets: [], record: { id: 'ep_1', number: 7, ...record } },
  } as unknown as Destination;
}

function apply(
  record: { filter?: string; transform?: string },
  event: Partial<EventRecord> = {},
  expressions: Expressions = new Expressions(),
  killed = new KilledInARow(),
) {
  return applyExpressions(
    { expressions, killed, counts },
    event as EventRecord,
    destination(record),
    () => facts,
  );
}

describe('applyExpressions', () => {
  it('asks the filters that the API left open, and no others', async () => {
    const filtered = { ends: 'skipped', reason: 'filtered', detail: '', disable: false };
    const goes = { body: undefined };
    expect(await apply({ filter: 'false' }, { f: [7] })).toEqual(filtered);
    expect(await apply({ filter: 'false' }, { f: 1 })).toEqual(filtered);
    expect(await apply({ filter: 'true' }, { f: [7] })).toEqual(goes);
    expect(await apply({ filter: 'false' }, { f: [8] })).toEqual(goes);
    expect(await apply({ filter: 'false' })).toEqual(goes);
    expect(await apply({}, { f: [7] })).toEqual(goes);
  });

  it.each([
    [{ transform: 'payload' }, {}, { body: '{"n":1}', contentType: 'application/json' }],
    [{ transform: 'type' }, {}, { body: 'a', contentType: 'text/plain; charset=utf-8' }],
    [{ transform: 'type' }, { ct: 'text/csv' }, { body: 'a', contentType: 'text/csv' }],
    [{ transform: '1' }, { ct: 'text/csv' }, { body: '1', contentType: 'application/json' }],
  ])('%j %j makes %j', async (record, event, body) => {
    expect(await apply(record, event)).toEqual({ body });
  });

  it('does not look at the event where there are no expressions', async () => {
    const read = vi.fn(() => facts);
    const options = { expressions: new Expressions(), killed: new KilledInARow(), counts };
    await applyExpressions(options, {} as EventRecord, destination({}), read);
    await applyExpressions(options, {} as EventRecord, { ...destination({}), endpoint: undefined }, read);
    expect(read).not.toHaveBeenCalled();
  });

  it('ends a delivery whose expression was killed, and in the fifth in a row disables the endpoint', async () => {
    const killing = { filter: async () => ({ killed: true }), transform: async () => ({ killed: true }) };
    const expressions = killing as unknown as Expressions;
    const killed = new KilledInARow();
    const disables: boolean[] = [];
    const kill = async (kind: 'filter' | 'transform') => {
      const shaped = await apply({ [kind]: 'x' }, { f: 1 }, expressions, killed);
      if ('ends' in shaped) disables.push(shaped.disable);
      return shaped;
    };
    expect(await kill('transform')).toMatchObject({ ends: 'dead', reason: 'transform_failed' });
    expect(await kill('filter')).toMatchObject({ ends: 'skipped', reason: 'filter_failed' });
    await kill('transform');
    await apply({ transform: '1' }, {}, new Expressions(), killed); // that one went well
    for (let i = 0; i < 5; i++) await kill('transform');
    expect(disables).toEqual([...Array(7).fill(false), true]);
  });

  it('leaves a delivery to be tried again when the sandbox has too much to do', async () => {
    const busy = {
      transform: () => Promise.reject(new SandboxBusy('too much')),
    } as unknown as Expressions;
    await expect(apply({ transform: '1' }, {}, busy)).rejects.toThrow(SandboxBusy);
  });
});
