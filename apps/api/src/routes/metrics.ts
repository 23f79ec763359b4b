import type { Metrics } from '@sealpost/telemetry';
import { defineRoute, type Route } from '../http/route.ts';

const OPEN = {
  open: 'SEALPOST_METRICS_OPEN says so: this port can be reached by nobody else. No app, endpoint or URL is named.',
};
const TEXT = 'text/plain; version=0.0.4; charset=utf-8';

/** What this process, and Redis, are doing, for Prometheus. */
export function metricsRoutes(metrics: Pick<Metrics<'api'>, 'text'>, open: boolean): Route[] {
  return [
    defineRoute({
      method: 'get',
      path: '/metrics',
      tag: 'Health',
      summary: 'Metrics of this process and of Redis, for Prometheus',
      description:
        "In Prometheus' text format 0.0.4. Each process tells its own: ask every API and every worker.",
      access: open ? OPEN : 'operator',
      answers: { 200: { description: 'The metrics.' } },
      handle: async ({ response }) => {
        const text = await metrics.text();
        response.setHeader('content-type', TEXT);
        response.end(text);
        return { status: 200 };
      },
    }),
  ];
}
