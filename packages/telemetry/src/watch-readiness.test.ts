import { expect, it } from 'vitest';
import { createMetrics } from './registry.ts';
import { watchReadiness } from './watch-readiness.ts';

it.each([
  ['ready', () => Promise.resolve(undefined), 1],
  ['draining', () => Promise.resolve('draining'), 0],
  ['one that cannot ask', () => Promise.reject(new Error('closed')), 0],
  ['one whose Redis hangs', () => new Promise<never>(() => {}), 0],
])('%s is told, and the other metrics with it', async (_, notReady, ready) => {
  const metrics = createMetrics('api');
  watchReadiness(metrics, notReady);
  const text = await metrics.text();
  expect(text).toContain(`\nsealpost_up_ready ${ready}\n`);
  expect(text).toContain('\nsealpost_process_cpu_seconds_total ');
});
