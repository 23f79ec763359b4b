import { defineRoute, type Route } from '../http/route.ts';

const OPEN = {
  open: 'SEALPOST_METRICS_OPEN says so: this port can be reached by nobody else. No app, endpoint or URL is named.',
};
const TEXT = 'text/plain; version=0.0.4; charset=utf-8';

/**
 * What this API, of as many processes as it may be, and Redis are doing, for Prometheus.
 * @param read them, as text
 */
export function metricsRoutes(read: () => Promise<string>, open: boolean): Route[] {
  return [
    defineRoute({
      method: 'get',
      path: '/metrics',
      tag: 'Health',
      summary: 'Metrics of this API and of Redis, for Prometheus',
      description:
        "In Prometheus' text format 0.0.4. Each API and each worker tells its own: ask all of them. One that runs several " +
        'processes tells them together.',
      access: open ? OPEN : 'operator',
      answers: { 200: { description: 'The metrics.' } },
      handle: async ({ response }) => {
        const text = await read();
        response.setHeader('content-type', TEXT);
        response.end(text);
        return { status: 200 };
      },
    }),
  ];
}
