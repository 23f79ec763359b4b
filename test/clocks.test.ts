import { randomUUID } from 'node:crypto';
import { rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { type Env, Receiver, startStack, Tenant, waitFor } from './harness/index.ts';

const HOUR_MS = 3_600_000;
const DELAY_MS = 6000;

/** For a process whose clock is to be an hour ahead from SIGUSR2 on. */
async function hourAheadOnSignal(): Promise<Env> {
  const clockFile = join(tmpdir(), `sealpost-clock-${randomUUID()}`);
  await writeFile(clockFile, String(HOUR_MS));
  onTestFinished(() => rm(clockFile));
  return {
    FAULTS_CLOCK_FILE: clockFile,
    NODE_OPTIONS: `--import=${new URL('./faults/shift-clock.ts', import.meta.url).href}`,
  };
}

it('retries come no sooner than they are due while the clock of one of two workers is an hour ahead', async () => {
  const stack = await startStack();
  const ahead = await stack.addWorker(await hourAheadOnSignal());
  process.kill(ahead.pid!, 'SIGUSR2');
  const receiver = await Receiver.listen();
  // The first attempt of each event fails, also when the first retry comes before the last event.
  const failed = new Set<string>();
  receiver.respond(({ headers }) => {
    const id = headers['webhook-id']!;
    if (failed.has(id)) return 200;
    failed.add(id);
    return 500;
  });
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
  await receiver.waitForRequests(20);

  const arrivals = Map.groupBy(receiver.requests, ({ headers }) => headers['webhook-id']);
  const gaps = [...arrivals.values()].map(([first, second]) => second!.at - first!.at);
  expect(gaps).toHaveLength(10);
  // What is early by up to a second counts as right.
  expect(Math.min(...gaps)).toBeGreaterThan(DELAY_MS - 1100);
});

it('the latency of a delivery ends with its attempt, however long Redis takes to settle it', async () => {
  const { redis, workers, client } = await startStack({ workerEnv: await hourAheadOnSignal() });
  const [worker] = workers;
  const receiver = await Receiver.listen();
  receiver.respond(() => {
    redis.freeze();
    return 200;
  });
  const tenant = await Tenant.create(client);
  await tenant.endpoint({ url: receiver.url('/hook') });
  const { deliveries } = await tenant.publish({ type: 'a.b', payload: 1 });
  const metrics = async () => (await fetch(`${worker!.url}/metrics`)).text();
  const untilTold = (line: string) =>
    waitFor(async () => (await metrics()).includes(`\n${line}\n`), { describe: line });
  await untilTold('sealpost_attempts_total{outcome="success",reason="none"} 1');
  process.kill(worker!.pid!, 'SIGUSR2');
  // It answers the second time after it has acted on the signal.
  for (let i = 0; i < 2; i++) await metrics();
  redis.thaw();
  await tenant.ended(deliveries[0].id);
  await untilTold('sealpost_delivery_latency_seconds_count 1');
  const [, seconds] = /^sealpost_delivery_latency_seconds_sum (.+)$/m.exec(await metrics())!;
  expect(Number(seconds)).toBeLessThan(HOUR_MS / 1000);
});
