import { AddressPolicy } from '@sealpost/core';
import { expect, it, vi } from 'vitest';
import { type Connection, Connections } from './connections.ts';
import { afterTest, httpReceiver } from './fixtures/receivers.ts';

const policy = new AddressPolicy(['127.0.0.1/32']);

/** A connection on which one request was made and answered. */
async function used(connections: Connections, origin: string): Promise<Connection> {
  const { promise, resolve } = Promise.withResolvers<Connection>();
  connections.take(origin, false, (connection) => {
    connection.use({ onSocket: () => {}, onInformational: () => {} });
    const handler = {
      onRequestStart: () => {},
      onResponseStart: () => {},
      onResponseData: () => {},
      onResponseError: () => {},
      onResponseEnd: () => queueMicrotask(() => resolve(connection)),
    };
    connection.client.dispatch({ path: '/', method: 'POST', body: '1' }, handler);
  });
  const connection = await promise;
  connection.release();
  return connection;
}

it('a connection that is closed while idle is forgotten', async () => {
  const receiver = await httpReceiver((_request, response) => void response.end());
  const connections = new Connections({ policy, allowHttp: true, idleTimeoutMs: 20 });
  afterTest(() => connections.close());
  const { origin } = new URL(receiver.url);
  const first = await used(connections, origin);
  await vi.waitFor(() => expect(connections.open).toBe(0), { timeout: 60_000 });
  expect(await used(connections, origin)).not.toBe(first);
});

it('one that is idle is used again before another is opened', async () => {
  const receiver = await httpReceiver((_request, response) => void response.end());
  const connections = new Connections({ policy, allowHttp: true });
  afterTest(() => connections.close());
  const { origin } = new URL(receiver.url);
  const first = await used(connections, origin);
  expect(await used(connections, origin)).toBe(first);
  expect(connections.open).toBe(1);
});

it('one that makes room for a fresh one leaves that counted, and waited for', async () => {
  const receiver = await httpReceiver((_request, response) => void response.end());
  const connections = new Connections({ policy, allowHttp: true, maxSocketsPerOrigin: 1 });
  afterTest(() => connections.close());
  const { origin } = new URL(receiver.url);
  const first = await used(connections, origin);
  const taken: Connection[] = [];
  const taker = (connection: Connection) => void taken.push(connection);
  connections.take(origin, true, taker);
  expect(taken).not.toContain(first);
  expect(connections.open).toBe(1);
  connections.take(origin, false, taker);
  expect(taken).toHaveLength(1);
});
