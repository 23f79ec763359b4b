import { createHash, randomBytes } from 'node:crypto';
import { expect, it } from 'vitest';
import { PATIENCE_MS, Receiver, startStack, waitFor } from './harness/index.ts';

const EVENTS = 10_000;

it(`${EVENTS} events all arrive, each exactly as it was published`, { timeout: 300_000 }, async () => {
  const stack = await startStack({ env: { WORKER_CONCURRENCY: '200', LOG_LEVEL: 'warn' } });
  const receiver = await Receiver.listen();
  await stack.client.put('/v1/apps/many', {});
  const made = await stack.client.post('/v1/apps/many/endpoints', {
    url: receiver.url('/hook'),
    wire_profile: 'raw',
  });
  expect(made.status).toBe(201);

  const sent = new Map<string, string>();
  const publish = async (i: number) => {
    // Numbers beyond 2^53, floats with trailing zeros, text beyond ASCII: all must come digit for digit.
    const payload = `{"n":${i}, "big":9${'0'.repeat(i % 20)}1, "float":1.${i}00, "text":"${randomBytes(i % 64).toString('base64')} ✓"}`;
    const answer = await stack.client.post(
      '/v1/apps/many/events',
      `{"type":"load.item","payload":${payload}}`,
    );
    expect(answer.status).toBe(202);
    sent.set(answer.json.id, hash(payload));
  };
  for (let i = 0; i < EVENTS; i += 50) {
    await Promise.all(Array.from({ length: 50 }, (_, j) => publish(i + j)));
  }
  expect(sent.size).toBe(EVENTS);

  const all = () =>
    receiver.requests.length >= EVENTS && new Set(receiver.requests.map(idOf)).size === EVENTS;
  await waitFor(all, { describe: `${EVENTS} events to arrive`, timeoutMs: 2 * PATIENCE_MS });
  const wrong = receiver.requests.filter((request) => sent.get(idOf(request)) !== hash(request.text));
  expect(wrong).toEqual([]);
  // Nobody died, so nothing comes twice.
  expect(receiver.requests).toHaveLength(EVENTS);
  const { json } = await waitFor(
    async () => {
      const answer = await stack.client.get('/v1/apps/many/deliveries?status=delivered&limit=1');
      return answer.json.pagination.total === EVENTS && answer;
    },
    { describe: 'all deliveries to be recorded as delivered' },
  );
  expect(json.data[0].attempt_count).toBe(1);
  // Of BullMQ's jobs the last 1,000 are kept, and some more until they are dropped together.
  await waitFor(async () => (await stack.redis.client.zcard('{sp:0}:deliveries-0:completed')) < 1500, {
    describe: 'completed jobs to be dropped',
  });
});

function idOf({ headers }: { headers: Record<string, string> }): string {
  return headers['webhook-id']!;
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
