import { createServer, type Server } from 'node:http';

/** Whether the worker does its work. */
export type Health = {
  /** Undefined: ready. Else why not, in a few words. */
  notReady(): Promise<string | undefined>;
  /** In Prometheus' text format. */
  metrics(): Promise<string>;
};

const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

/**
 * `/livez`, `/readyz` and `/metrics`, without authentication: an orchestrator and a Prometheus have no key, this port is
 * for them alone (HEALTH_PORT is not for the world), and what they are told names no app, endpoint or URL.
 */
export function createHealthServer(health: Health): Server {
  return createServer((request, response) => {
    const answer = (status: number, body: object) => {
      response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' });
      response.end(`${JSON.stringify(body)}\n`);
    };
    if (request.method !== 'GET' && request.method !== 'HEAD')
      return answer(405, { status: 'method not allowed' });
    if (request.url === '/metrics') {
      health.metrics().then(
        (text) =>
          response.writeHead(200, { 'content-type': METRICS_TYPE, 'cache-control': 'no-store' }).end(text),
        () => answer(500, { status: 'metrics could not be read' }),
      );
      return;
    }
    if (request.url === '/livez') return answer(200, { status: 'ok' });
    if (request.url !== '/readyz') return answer(404, { status: 'not found' });
    health.notReady().then(
      (reason) =>
        reason === undefined ? answer(200, { status: 'ok' }) : answer(503, { status: 'not ready', reason }),
      () => answer(503, { status: 'not ready', reason: 'Redis does not answer' }),
    );
  });
}
