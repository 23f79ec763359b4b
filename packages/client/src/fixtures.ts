import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';
import { type ClientOptions, SealpostClient } from './index.ts';

export type Batch = { ids: string[]; text: string };
/** `lost`: taken, and the connection cut before the answer. */
export type Reply = 'ok' | 'lost' | { status: number; headers?: Record<string, string>; body?: string };

/** A server that takes batches as the API does, and answers the n-th (from 1) as it is told; a promise holds it. */
export async function fakeApi(reply: (batch: Batch, n: number) => Reply | Promise<Reply> = () => 'ok') {
  const batches: Batch[] = [];
  const server = createServer(async (request: IncomingMessage, response: ServerResponse) => {
    let text = '';
    for await (const chunk of request) text += chunk;
    const ids = JSON.parse(text).events.map(({ id }: { id: string }) => id);
    const batch = { ids, text };
    batches.push(batch);
    const how = await reply(batch, batches.length);
    if (how === 'lost') response.destroy();
    else if (how !== 'ok') response.writeHead(how.status, how.headers).end(how.body);
    else {
      const results = ids.map((id: string) => ({ status: 202, event: { id, deliveries: [] } }));
      response.writeHead(202, { 'content-type': 'application/json' }).end(JSON.stringify({ results }));
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const client = (options: Partial<ClientOptions> = {}) => {
    const made = new SealpostClient({ url, key: 'sk_test', ...options });
    onTestFinished(() => made.close({ withinMs: 0 }));
    return made;
  };
  return { url, batches, client, sizes: () => batches.map(({ ids }) => ids.length) };
}

export function problem(status: number, code: string): { status: number; body: string } {
  return { status, body: JSON.stringify({ type: '', title: '', detail: code, status, code }) };
}
