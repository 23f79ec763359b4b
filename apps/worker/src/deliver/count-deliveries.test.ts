import type { DeliveryRecord } from '@sealpost/queue';
import { createMetrics } from '@sealpost/telemetry';
import { expect, it } from 'vitest';
import { DeliveryCounts } from './count-deliveries.ts';

const NOW = 1_800_000_000_000;
const DAY_MS = 86_400_000;

it.each([
  ['from acceptance', { createdAt: NOW - 2000, dueAt: NOW - 2000 }],
  ['from deliver_at, or a retry by hand of what was skipped', { createdAt: NOW - DAY_MS, dueAt: NOW - 2000 }],
  ['from acceptance, if it was due before that', { createdAt: NOW - 2000, dueAt: NOW - DAY_MS }],
])('a first attempt counts %s', async (_, times) => {
  const { instruments, text } = createMetrics('worker');
  const counts = new DeliveryCounts(instruments);
  counts.begins({ attempts: 0, ...times } as DeliveryRecord, NOW);
  counts.begins({ attempts: 1, ...times } as DeliveryRecord, NOW); // a retry does not
  expect(await text()).toContain('sealpost_first_attempt_delay_seconds_sum 2\n');
});
