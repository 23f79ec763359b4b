import { randomUUID } from 'node:crypto';
import { rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { Receiver, startStack, Tenant, waitFor } from './harness/index.ts';

const HOUR_MS = 3_600_000;
const DELAY_MS = 6000;

it('retries come no sooner than they are due while the clock of one of two workers is an hour ahead', async () => {
  const clockFile = join(tmpdir(), `sealpost-clock-${randomUUID()}`);
  await writeFile(clockFile, String(HOUR_MS));
  onTestFinished(() => rm(clockFile));
  const stack = await startStack();
  const ahead = await stack.addWorker({
    FAULTS_CLOCK_FILE: clockFile,
    NODE_OPTIONS: `--import=${new URL('./faults/shift-clock.ts', import.meta.url).href}`,
  });
  process.kill(ahead.pid!, 'SIGUSR2');
  const receiver = await Receiver.listen();
  receiver.respond((_, nth) => (nth <= 10 ? 500 : 200));
  const tenant = await Tenant.create(stack.client);
  await tenant.endpoint({
    url: receiver.url('/hook'),
    retry: { base_seconds: DELAY_MS / 1000, factor: 1, max_retries: 5 },
  });
  const told = () => stack.redis.client.exists('{sp:0}:ahead');
  await waitFor(told, { describe: 'the worker to tell that its clock is ahead' });
  await tenant.publish({ type: 'a.b', payload: 'first' });
  await receiver.waitForRequests(1);
  for (let i = 1; i < 10; i++) await tenant.publish({ type: 'a.b', payload: i });
  await receiver.waitForRequests(20, { timeoutMs: 90_000 });

  const arrivals = Map.groupBy(receiver.requests, ({ headers }) => headers['webhook-id']);
  const gaps = [...arrivals.values()].map(([first, second]) => second!.at - first!.at);
  expect(gaps).toHaveLength(10);
  // What is early by up to a second counts as right.
  expect(Math.min(...gaps)).toBeGreaterThan(DELAY_MS - 1100);
}, 150_000);
