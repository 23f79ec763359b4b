import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { ApiClient, type Loose, payloadOf, Receiver, startStack, Tenant, waitFor } from './harness/index.ts';

it.concurrent('SIGTERM for API and worker under full load, with detached attempts, retries, ordered and rate-limited lanes: each attempt is made and recorded once', async () => {
  const stack = await startStack({ env: { WORKER_CONCURRENCY: '20' } });
  const tenant = await Tenant.create(stack.client);
  const receiver = await Receiver.listen();
  receiver.respond('/slow', () => delay(3000, 200)); // three times as long as an attempt keeps its slot
  // The first attempt of an event fails, the second does not.
  const failed = new Set<string>();
  receiver.respond('/flaky', ({ headers }) => {
    const id = headers['webhook-id']!;
    if (failed.has(id)) return 200;
    failed.add(id);
    return 503;
  });
  const retry = { base_seconds: 2, factor: 1, max_retries: 3 };
  const settings: Record<string, object> = {
    fast: {},
    slow: { timeout_seconds: 20 },
    ordered: { ordered: true },
    limited: { rate_limit: { limit: 40, period_seconds: 1, over: 'hold' } },
    flaky: { retry },
  };
  for (const [name, more] of Object.entries(settings))
    await tenant.endpoint({ name, url: receiver.url(`/${name}`), event_types: [`to.${name}`], ...more });

  const second = await stack.addApi();
  const accepted: { id: string; n: number; to: string }[] = [];
  const outcomes = new Set<string>();
  const load = new AbortController();
  const publish = async (client: ApiClient, n: number) => {
    const to = n % 40 === 0 ? 'slow' : (['fast', 'ordered', 'limited', 'flaky', 'fast'][n % 5] ?? 'fast');
    const answer = await client.post(`${tenant.path}/events`, { type: `to.${to}`, payload: n });
    outcomes.add(String(answer.status));
    if (answer.status === 202) accepted.push({ id: answer.json.deliveries[0].id, n, to });
  };
  // Each API has producers of its own; those of one in order, one event after the other.
  let n = 0;
  const produce = async (client: ApiClient) => {
    while (!load.signal.aborted) {
      const gone = await publish(client, n++).then(
        () => false,
        () => true,
      );
      if (gone) return;
    }
  };
  const first = new ApiClient(stack.api.url, stack.apiKey);
  const producing = [first, first, first, new ApiClient(second.url, stack.apiKey)].map(produce);
  await waitFor(() => accepted.length > 300 && receiver.to('/slow').length > 4, {
    describe: 'the load to be full',
  });

  // What goes meanwhile is replaced, as in a rolling restart.
  const replaced = stack.addWorker();
  const exits = await Promise.all([stack.api.stop(), stack.workers[0]!.stop()]);
  expect(exits).toMatchObject([{ code: 0 }, { code: 0 }]);
  expect(stack.workers[0]!.output).toContain('"drained"');
  await replaced;
  load.abort();
  await Promise.all(producing);
  expect([...outcomes]).toEqual(['202']);

  const ended = async () => {
    const path = `${tenant.path}/deliveries?status=delivered&limit=1`;
    return (await new ApiClient(second.url, stack.apiKey).get<Loose>(path)).json.pagination.total;
  };
  await waitFor(async () => (await ended()) === accepted.length, {
    describe: `${accepted.length} deliveries to be delivered`,
  });
  const seen = new Map<number, number>();
  for (const request of receiver.requests) {
    const number = payloadOf(request);
    seen.set(number, (seen.get(number) ?? 0) + 1);
  }
  const wrong = accepted.filter(({ n, to }) => seen.get(n) !== (to === 'flaky' ? 2 : 1));
  expect(wrong).toEqual([]);
  const recorded = tenant.through(new ApiClient(second.url, stack.apiKey));
  for (const { id, to } of accepted.filter((_, i) => i % 5 === 0))
    expect((await recorded.delivery(id)).attempts).toHaveLength(to === 'flaky' ? 2 : 1);
});

it.concurrent('an ordered lane keeps its order over a drain', async () => {
  const stack = await startStack();
  const receiver = await Receiver.listen();
  receiver.respond(() => delay(20, 200));
  const tenant = await Tenant.create(stack.client);
  await tenant.endpoint({ url: receiver.url('/hook'), ordered: true });
  const events = Array.from({ length: 150 }, (_, i) => ({ type: 'a.b', payload: i }));
  expect((await tenant.client.post(`${tenant.path}/events/batch`, { events })).status).toBe(202);
  await receiver.waitForRequests(30);
  const [exit] = await Promise.all([stack.workers[0]!.stop(), stack.addWorker()]);
  expect(exit).toMatchObject({ code: 0 });
  await receiver.waitForRequests(events.length);
  expect(receiver.requests.map(payloadOf)).toEqual(events.map(({ payload }) => payload));
});

it.concurrent('a second signal ends a worker at once, and what was under way is attempted again', async () => {
  const stack = await startStack();
  const receiver = await Receiver.listen();
  receiver.respond('hang');
  const tenant = await Tenant.create(stack.client);
  await tenant.endpoint({ url: receiver.url('/hook'), timeout_seconds: 20 });
  const id = await tenant.send();
  await receiver.waitForRequests(1);
  const [worker] = stack.workers;
  const first = worker!.process.kill('SIGTERM');
  await waitFor(() => worker!.output.includes('draining'), { describe: 'the worker to drain' });
  expect(await worker!.process.kill('SIGTERM')).toMatchObject({ code: 1 });
  await first;
  receiver.respond(200);
  await stack.addWorker();
  expect((await tenant.ended(id)).attempts).toHaveLength(1);
  expect(receiver.requests).toHaveLength(2);
});

it.concurrent('while Redis is away for good, an API and a worker with nothing under way are gone soon, with 0', async () => {
  const stack = await startStack();
  const receiver = await Receiver.listen();
  const tenant = await Tenant.create(stack.client);
  await tenant.endpoint({ url: receiver.url('/hook') });
  await tenant.ended(await tenant.send());
  await stack.redis.kill();
  const exits = await Promise.all([stack.api.stop(), stack.workers[0]!.stop()]);
  expect(exits).toMatchObject([{ code: 0 }, { code: 0 }]);
  expect(stack.workers[0]!.output).toContain('nothing is under way');
});

it.concurrent('while Redis is away for good, a worker waits for it with an attempt to record, says what it could not, and the attempt is made again', async () => {
  const stack = await startStack();
  const receiver = await Receiver.listen();
  const held = Promise.withResolvers<200>();
  receiver.respond(() => held.promise);
  const tenant = await Tenant.create(stack.client);
  await tenant.endpoint({ url: receiver.url('/hook') });
  const id = await tenant.send();
  await receiver.waitForRequests(1);
  await stack.redis.kill();
  const [worker] = stack.workers;
  const stopping = worker!.stop();
  await waitFor(() => worker!.output.includes('draining'), { describe: 'the worker to drain' });
  held.resolve(200);
  expect(await stopping).toMatchObject({ code: 0 });
  expect(worker!.logs.find(({ msg }) => msg?.startsWith('not drained in time'))).toMatchObject({
    attempts: 1,
  });

  await stack.redis.restart();
  receiver.respond(200);
  await stack.addWorker();
  expect((await tenant.ended(id)).attempts).toHaveLength(1);
  expect(receiver.requests).toHaveLength(2);
});
