import { expect, it } from 'vitest';
import { queries, rules } from './deploy/expressions.ts';
import { selectorsOf } from './deploy/promql.ts';
import { startStack } from './harness/index.ts';
import { readMetrics } from './harness/prometheus-text.ts';

/** Made by Prometheus itself. */
const ITS_OWN = ['up', 'ALERTS', ...rules.flatMap(({ record }) => record ?? [])];

it('every metric that an alert or the dashboard names is served by the API or a worker', async () => {
  const stack = await startStack();
  const { text } = await stack.client.get('/metrics');
  const worker = await fetch(`${stack.workers[0]!.url}/metrics`);
  const served = new Set([...readMetrics(text).keys(), ...readMetrics(await worker.text()).keys()]);
  const named = [...rules, ...queries].flatMap(({ expr }) => selectorsOf(expr).map(({ metric }) => metric));
  const missing = named.filter((metric) => {
    return (
      !ITS_OWN.includes(metric) &&
      !served.has(metric) &&
      !served.has(metric.replace(/_(bucket|sum|count)$/, ''))
    );
  });
  expect(missing).toEqual([]);
});
