import { createServer, type Server } from 'node:http';

/** Whether the worker does its work. */
export type Health = {
  /** Undefined: ready. Else why not, in a few words. */
  notReady(): Promise<string | undefined>;
};

/**
 * `/livez` and `/readyz`, without authentication: an orchestrator has no key, and they tell nothing but the state of
 * this process.
 */
export function createHealthServer(health: Health): Server {
  return createServer((request, response) => {
    const answer = (status: number, body: object) => {
      response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' });
      response.end(`${JSON.stringify(body)}\n`);
    };
    if (request.method !== 'GET' && request.method !== 'HEAD')
      return answer(405, { status: 'method not allowed' });
    if (request.url === '/livez') return answer(200, { status: 'ok' });
    if (request.url !== '/readyz') return answer(404, { status: 'not found' });
    health.notReady().then(
      (reason) =>
        reason === undefined ? answer(200, { status: 'ok' }) : answer(503, { status: 'not ready', reason }),
      () => answer(503, { status: 'not ready', reason: 'Redis does not answer' }),
    );
  });
}
