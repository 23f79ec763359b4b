import http from 'node:http';
import type { LookupFunction } from 'node:net';
import { AddressPolicy } from '@sealpost/core';
import { describe, expect, it, vi } from 'vitest';
import { resolver } from './fixtures/clients.ts';
import { afterTest, httpReceiver } from './fixtures/receivers.ts';
import { AddressBlockedError, createGuardedAgents, guardedLookup, NameLookupError } from './guarded-agent.ts';

const policy = new AddressPolicy();

function ask(lookup: LookupFunction, all = true): Promise<unknown> {
  return new Promise((resolve, reject) => {
    lookup('name.test', { all }, (error, ...answer) => (error ? reject(error) : resolve(answer)));
  });
}

describe('the guarded agents', () => {
  it.each(['127.0.0.1', '127.1', '2130706433', '0x7f.1', '::1', '::ffff:127.0.0.1', 'localhost'])(
    'block host %s also where no URL parser has seen it',
    async (host) => {
      const receiver = await httpReceiver((_request, response) => void response.end());
      const agents = createGuardedAgents({ policy, allowHttp: true });
      afterTest(agents.close);
      for (const agent of [agents.kept['http:'], agents.fresh['http:']]) {
        const request = http.request({ host, port: receiver.port, agent });
        const error = await new Promise((resolve) => request.once('error', resolve).end());
        expect(error).toBeInstanceOf(AddressBlockedError);
      }
      expect(receiver.connections).toBe(0);
    },
  );
});

describe('the guarded look-up', () => {
  it('answers with the allowed addresses, in their order', async () => {
    const lookup = guardedLookup(policy, resolver(['10.0.0.1', '2600::1', '127.0.0.1', '8.8.8.8']));
    expect(await ask(lookup)).toEqual([
      [
        { address: '2600::1', family: 6 },
        { address: '8.8.8.8', family: 4 },
      ],
    ]);
    expect(await ask(lookup, false)).toEqual(['2600::1', 6]);
  });

  it('tells a name with blocked addresses from one without any', async () => {
    await expect(ask(guardedLookup(policy, resolver(['10.0.0.1'])))).rejects.toThrow(AddressBlockedError);
    await expect(ask(guardedLookup(policy, resolver([])))).rejects.toThrow(NameLookupError);
  });

  it('looks a name up once for all who ask meanwhile, and again for the next', async () => {
    const resolve = vi.fn(resolver(['8.8.8.8'], ['9.9.9.9']));
    const lookup = guardedLookup(policy, resolve);
    const answers = await Promise.all([ask(lookup, false), ask(lookup, false), ask(lookup, false)]);
    expect(answers).toEqual(Array(3).fill(['8.8.8.8', 4]));
    expect(await ask(lookup, false)).toEqual(['9.9.9.9', 4]);
    expect(resolve).toHaveBeenCalledTimes(2);
  });
});
