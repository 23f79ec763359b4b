import { parseId } from '@sealpost/core';
import { place } from '@sealpost/queue';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Receiver, type Stack, startStack, waitFor } from './harness/index.ts';

let stack: Stack;
let receiver: Receiver;
let endpoint: string;

beforeAll(async () => {
  stack = await startStack({ workers: 0 });
  receiver = await Receiver.listen();
  await stack.client.put('/v1/apps/shop', {});
});

beforeEach(async () => {
  receiver = await Receiver.listen(); // of its own: what an earlier test left under way must not be counted
  const made = await stack.client.post('/v1/apps/shop/endpoints', {
    url: receiver.url('/good'),
    event_types: [`tamper.t${Math.random().toString(36).slice(2)}`],
  });
  endpoint = made.json.id;
});

async function publish(): Promise<{ delivery: string; bucket: number; field: string }> {
  const { json } = await stack.client.get(`/v1/apps/shop/endpoints/${endpoint}`);
  const answer = await stack.client.post('/v1/apps/shop/events', {
    type: json.event_types[0],
    payload: { amount: 1 },
  });
  expect(answer.status).toBe(202);
  const delivery: string = answer.json.deliveries[0].id;
  return { delivery, ...place(parseId('dlv', delivery)!.number) };
}

/** What becomes of the delivery when a worker gets it. */
async function outcome(delivery: string) {
  const worker = await stack.addWorker();
  const ended = await waitFor(
    async () => {
      const { json } = await stack.client.get(`/v1/apps/shop/deliveries/${delivery}`);
      return json.ended_at ? json : undefined;
    },
    { describe: `delivery ${delivery} to end` },
  );
  await worker.stop();
  return ended;
}

describe('who can write to Redis cannot have anything sent: a delivery is dead, and nothing is posted, when', () => {
  it('nothing was changed (it is delivered: the control)', async () => {
    const { delivery } = await publish();
    expect(await outcome(delivery)).toMatchObject({ status: 'delivered' });
    expect(receiver.requests).toHaveLength(1);
  });

  it('its body was changed', async () => {
    const { delivery, bucket, field } = await publish();
    await stack.redis.client.hset(`{sp:0}:b:${bucket}`, field, '{"amount":1000000}');
    expect(await outcome(delivery)).toMatchObject({ status: 'dead', reason: 'seal_invalid' });
    expect(receiver.requests).toHaveLength(0);
  });

  it('its event was given another target', async () => {
    const { delivery, bucket, field } = await publish();
    const key = `{sp:0}:e:${bucket}`;
    const event = JSON.parse((await stack.redis.client.hget(key, field))!);
    await stack.redis.client.hset(key, field, JSON.stringify({ ...event, u: receiver.url('/evil') }));
    expect(await outcome(delivery)).toMatchObject({ status: 'dead', reason: 'seal_invalid' });
    expect(receiver.requests).toHaveLength(0);
  });

  it('it was turned to another endpoint', async () => {
    const other = await stack.client.post('/v1/apps/shop/endpoints', {
      url: receiver.url('/other'),
      event_types: ['x'],
    });
    const { delivery, bucket, field } = await publish();
    const key = `{sp:0}:d:${bucket}`;
    const record = (await stack.redis.client.hgetBuffer(key, field))!;
    record.writeUInt32BE(parseId('ep', other.json.id)!.number, 20);
    await stack.redis.client.hset(key, field, record);
    expect(await outcome(delivery)).toMatchObject({ status: 'dead', reason: 'seal_invalid' });
    expect(receiver.requests).toHaveLength(0);
  });

  it("its endpoint's URL was changed", async () => {
    const { delivery, bucket, field } = await publish();
    for (const key of await stack.redis.client.keys('{sp:0}:cfg:*')) {
      const stored = await stack.redis.client.hget(key, endpoint);
      if (!stored) continue;
      await stack.redis.client.hset(key, endpoint, stored.replace('/good', '/evil'));
      await stack.redis.client.hincrby(key, 'v', 1);
      const worker = await stack.addWorker();
      await waitFor(
        async () => (await stack.redis.client.hgetBuffer(`{sp:0}:d:${bucket}`, field))?.[0] === 3,
        {
          describe: 'the record to say dead',
        },
      );
      expect(receiver.requests).toHaveLength(0);
      await worker.stop();
      await stack.redis.client.hset(key, endpoint, stored);
      await stack.redis.client.hincrby(key, 'v', 1);
    }
    expect((await stack.client.get(`/v1/apps/shop/deliveries/${delivery}`)).json).toMatchObject({
      status: 'dead',
      reason: 'config_invalid',
    });
  });
});
