import { REASONS } from '@sealpost/core';
import { expect, it } from 'vitest';
import { METRICS } from './metrics.ts';
import { createMetrics } from './registry.ts';

it('what alerts count is there from the start, with 0, so that its first burst is seen', async () => {
  const [api, worker] = await Promise.all([createMetrics('api').text(), createMetrics('worker').text()]);
  expect(worker).toContain('sealpost_deliveries_total{status="dead",reason="retries_exhausted"} 0\n');
  expect(worker).toContain('sealpost_attempts_total{outcome="failure",reason="timeout"} 0\n');
  expect(api).toContain('sealpost_events_refused_total{code="overloaded"} 0\n');
  const told = METRICS.deliveriesEnded.begins.map(({ reason }) => reason);
  expect(told.sort()).toEqual([...REASONS].sort());
});
