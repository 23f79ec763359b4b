import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { AddedUpMetrics } from './added-up-metrics.ts';
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

it('several processes together are given as long as /readyz gives them', async () => {
  // Both timers are of this process, so that which comes first does not depend on how busy the machine is.
  const metrics = new AddedUpMetrics(() => delay(1000, undefined));
  expect(await metrics.text(new Set())).toContain('\nsealpost_up_ready 1\n');
});
