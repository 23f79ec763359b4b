import { parseId } from '@sealpost/core';
import { place } from '@sealpost/queue';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  ApiClient,
  Lane,
  type Loose,
  otherLaneMoves,
  type Stack,
  startStack,
  Tenant,
  waitFor,
} from './harness/index.ts';

let stack: Stack;

beforeAll(async () => {
  stack = await startStack();
});

/** It dies of the first answer that is no 2xx. A 400 closes no lane, so a test is not held up by the breaker. */
const MORTAL = { retry: { max_retries: 0 } };

const range = (from: number, count: number) => Array.from({ length: count }, (_, i) => from + i);
const sorted = (numbers: number[]) => numbers.toSorted((a, b) => a - b);
const pathOf = (lane: Lane) => `${lane.tenant.path}/endpoints/${lane.id}/replay`;

async function replay(lane: Lane, asked: object = {}): Promise<Loose> {
  const answer = await lane.tenant.client.post(pathOf(lane), asked);
  expect(answer.status, answer.text).toBe(202);
  expect(answer.headers.get('location')).toBe(`${lane.tenant.path}/replays/${answer.json.id}`);
  return answer.json;
}

async function progress(lane: Lane, id: string, tenant = lane.tenant): Promise<Loose> {
  const answer = await tenant.get(`/replays/${id}`);
  expect(answer.status, answer.text).toBe(200);
  return answer.json;
}

/** The replay, once it has ended. */
function ended(lane: Lane, id: string, tenant = lane.tenant): Promise<Loose> {
  const describe = 'the replay to end';
  return waitFor(
    async () => {
      const now = await progress(lane, id, tenant);
      return now.state !== 'running' && now;
    },
    { describe },
  );
}

/** Publishes events with these payloads, of a type each. */
async function publish(lane: Lane, payloads: number[], typeOf: (n: number) => string = () => lane.type) {
  for (let from = 0; from < payloads.length; from += 1000) {
    const events = payloads.slice(from, from + 1000).map((payload) => ({ type: typeOf(payload), payload }));
    const answer = await lane.tenant.client.post(`${lane.tenant.path}/events/batch`, { events });
    expect(answer.status, answer.text).toBe(202);
  }
}

/** A moment after everything so far, and before everything to come. */
async function moment(): Promise<string> {
  const at = Date.now() + 1;
  await waitFor(() => Date.now() > at, { describe: 'a millisecond to pass' });
  return new Date(at).toISOString();
}

/** A lane to which deliveries with these payloads were skipped, since it was disabled; now it is not. */
async function laneWithSkipped(payloads: number[], typeOf?: (n: number) => string): Promise<Lane> {
  const lane = await Lane.open(stack, { enabled: false, event_types: [] });
  await publish(lane, payloads, typeOf);
  await lane.patch({ enabled: true });
  return lane;
}

describe('a replay', () => {
  it('sends what is dead of a stretch of time again, each once, and says how far it is', async () => {
    const lane = await Lane.open(stack, MORTAL);
    lane.receiver.respond(400);
    await publish(lane, range(0, 25));
    const since = await moment();
    await publish(lane, range(25, 300));
    await lane.counted('dead', 325);
    lane.receiver.respond(200);
    await publish(lane, range(325, 150));
    await lane.counted('delivered', 150);
    const until = await moment();
    lane.receiver.respond(400);
    await publish(lane, range(475, 25));
    await lane.counted('dead', 350);
    lane.receiver.clear();
    lane.receiver.respond(200);

    const begun = await replay(lane, { since, until });
    expect(begun).toMatchObject({ endpoint_id: lane.id, state: 'running', status: ['dead'], total: 500 });
    expect(await ended(lane, begun.id)).toEqual({
      ...begun,
      state: 'completed',
      scanned: 500,
      replayed: 300,
      ended_at: expect.any(String),
    });
    await lane.counted('delivered', 450);
    expect(sorted(lane.arrived)).toEqual(range(25, 300));
    expect(await lane.count('dead')).toBe(50);
  });

  it('goes on with the attempts of a delivery, and gives it all its retries anew', async () => {
    const lane = await Lane.open(stack, { retry: { base_seconds: 0.01, max_retries: 1 } });
    lane.receiver.respond(400);
    const id = await lane.send(1);
    await lane.tenant.hasStatus(id, 'dead');
    await replay(lane);
    const again = await lane.tenant.until(
      id,
      ({ status, attempt_count }) => status === 'dead' && attempt_count === 4,
      'be dead after 4 attempts',
    );
    expect(again.attempts.map(({ number }: Loose) => number)).toEqual([1, 2, 3, 4]);
    const ids = lane.receiver.requests.map(({ headers }) => headers['webhook-id']);
    expect(new Set(ids).size).toBe(1);
  });

  it('can be of some event types alone', async () => {
    const types = ['order.created', 'order.paid', 'order.paid.twice', 'user.created'];
    const lane = await laneWithSkipped(range(0, 400), (n) => types[n % 4]!);
    const { id } = await replay(lane, {
      status: ['skipped', 'dead'],
      event_types: ['order.*', 'user.created'],
    });
    expect(await ended(lane, id)).toMatchObject({ state: 'completed', scanned: 400, replayed: 300 });
    await lane.counted('delivered', 300);
    expect(sorted(lane.arrived)).toEqual(range(0, 400).filter((n) => n % 4 !== 2));
  });

  it('can be of what was delivered, or cancelled', async () => {
    const lane = await Lane.open(stack);
    await publish(lane, range(0, 10));
    await lane.counted('delivered', 10);
    await lane.pause();
    const waiting = await lane.sendEach(5, 10);
    for (const id of waiting) await lane.tenant.client.post(`${lane.tenant.path}/deliveries/${id}/cancel`);
    await lane.resume();
    expect(await ended(lane, (await replay(lane)).id)).toMatchObject({ replayed: 0 });

    const { id } = await replay(lane, { status: ['delivered'] });
    expect(await ended(lane, id)).toMatchObject({ scanned: 15, replayed: 10 });
    await lane.receiver.waitForRequests(20);
    await lane.counted('delivered', 10);
    expect(sorted(lane.arrived)).toEqual(sorted([...range(0, 10), ...range(0, 10)]));

    await ended(lane, (await replay(lane, { status: ['cancelled'] })).id);
    await lane.counted('delivered', 15);
    expect(sorted(lane.arrived.slice(20))).toEqual(range(10, 5));
  });

  it('counts what cannot be sent, since its payload is no longer kept', async () => {
    const lane = await Lane.open(stack, MORTAL);
    lane.receiver.respond(400);
    const ids = await lane.sendMany(10);
    await lane.counted('dead', 10);
    for (const id of ids.slice(0, 3)) {
      const { bucket, field } = place(parseId('dlv', id)!.number); // of the event too: it has one delivery
      await stack.redis.client.hdel(`{sp:0}:b:${bucket}`, field); // as the end of its retention does
    }
    lane.receiver.respond(200);
    const { id } = await replay(lane);
    expect(await ended(lane, id)).toMatchObject({ state: 'completed', replayed: 7, unavailable: 3 });
    await lane.counted('delivered', 7);
    expect(await lane.count('dead')).toBe(3);
  });

  it('waits while the endpoint is paused', async () => {
    const lane = await laneWithSkipped(range(0, 20));
    await lane.pause();
    expect(await ended(lane, (await replay(lane, { status: ['skipped'] })).id)).toMatchObject({
      replayed: 20,
    });
    await lane.is({ queued: 20, in_flight: 0 });
    await otherLaneMoves(stack);
    expect(lane.receiver.requests).toHaveLength(0);
    await lane.resume();
    await lane.counted('delivered', 20);
  });

  it('fails when the endpoint is deleted, and sends nothing more', async () => {
    const lane = await laneWithSkipped(range(0, 20));
    const [worker] = stack.workers;
    worker!.freeze();
    const { id } = await replay(lane, { status: ['skipped'] });
    await lane.delete();
    worker!.thaw();
    expect(await ended(lane, id)).toMatchObject({
      state: 'failed',
      failure: 'endpoint_deleted',
      replayed: 0,
    });
    await otherLaneMoves(stack);
    expect(lane.receiver.requests).toHaveLength(0);
    const again = await lane.tenant.client.post(pathOf(lane), {});
    expect([again.status, again.json.code]).toEqual([404, 'endpoint_not_found']);
  });
});

describe('beside a replay', () => {
  it('new deliveries go first, and leave it a tenth', async () => {
    const lane = await laneWithSkipped(range(1000, 200));
    await lane.patch({ max_concurrency: 1 });
    await lane.pause();
    await ended(lane, (await replay(lane, { status: ['skipped'] })).id);
    await lane.sendMany(100);
    await lane.resume();
    await lane.counted('delivered', 300);
    const arrived: number[] = lane.arrived;
    const before = arrived.slice(0, arrived.indexOf(99));
    expect(before.filter((n) => n < 1000)).toEqual(range(0, 99));
    expect(before.length - 99).toBeGreaterThanOrEqual(10);
    expect(before.length - 99).toBeLessThanOrEqual(13);
    expect(arrived.filter((n) => n >= 1000)).toEqual(range(1000, 200));
  });

  it('new deliveries arrive while it goes on, and are not part of it', async () => {
    const lane = await laneWithSkipped(range(1000, 1000));
    const { id } = await replay(lane, { status: ['skipped', 'delivered'] });
    let sent = 0;
    do {
      await lane.send(sent);
      sent += 1;
    } while ((await progress(lane, id)).state === 'running');
    expect(await progress(lane, id)).toMatchObject({ total: 1000, scanned: 1000, replayed: 1000 });
    await lane.counted('delivered', 1000 + sent);
    expect(sorted(lane.arrived)).toEqual([...range(0, sent), ...range(1000, 1000)]);
  });
});

describe('nothing is lost or sent twice', () => {
  /** A replay of 1,000 of 5,000, which takes more than one round of a worker's housekeeping. */
  async function longReplay(): Promise<{ lane: Lane; id: string }> {
    const lane = await laneWithSkipped(range(0, 5000), (n) => (n % 5 === 0 ? 'wanted' : 'other'));
    await lane.pause(); // so that a killed worker has no attempt under way, which it would have to repeat
    const { id } = await replay(lane, { status: ['skipped'], event_types: ['wanted'] });
    return { lane, id };
  }

  const WANTED = range(0, 1000).map((n) => n * 5);

  /** Resolves in the middle of the replay, at which the worker stands still: or it might be at its end before it is seen. */
  async function underWay(lane: Lane, id: string): Promise<void> {
    const fields = () =>
      stack.redis.client.hmget(`{sp:0}:rpl:${parseId('rpl', id)!.number}`, 'scanned', 'state');
    await waitFor(
      async () => {
        for (const worker of stack.workers) worker.freeze();
        const [scanned, state] = await fields();
        if (state === 'running' && Number(scanned) > 0) return true;
        for (const worker of stack.workers) worker.thaw();
        return false;
      },
      { describe: `the replay of ${lane.id} to be under way` },
    );
  }

  it('when the worker is killed in the middle', async () => {
    const { lane, id } = await longReplay();
    await underWay(lane, id);
    await stack.workers[0]!.kill();
    const halted = await progress(lane, id);
    expect(halted).toMatchObject({ state: 'running', total: 5000 });
    expect(halted.scanned).toBeLessThan(5000);
    stack.workers.splice(0, 1, await stack.addWorker());
    expect(await ended(lane, id)).toMatchObject({ state: 'completed', scanned: 5000, replayed: 1000 });
    await lane.is({ queued: 1000 });
    await lane.resume();
    await lane.counted('delivered', 1000);
    expect(sorted(lane.arrived)).toEqual(WANTED);
  });

  it('when the API is killed in the middle', async () => {
    const { lane, id } = await longReplay();
    await underWay(lane, id);
    await stack.api.kill();
    for (const worker of stack.workers) worker.thaw();
    stack.api = await stack.addApi();
    const client = new ApiClient(stack.api.url, stack.apiKey);
    stack.client = client;
    const tenant = lane.tenant.through(client);
    expect(await ended(lane, id, tenant)).toMatchObject({ state: 'completed', replayed: 1000 });
    await client.post(`${tenant.path}/endpoints/${lane.id}/resume`);
    await lane.receiver.waitForRequests(1000);
    expect(sorted(lane.arrived)).toEqual(WANTED);
  });

  it('by two workers, nor by a second replay, which must wait for the first', async () => {
    const second = await stack.addWorker();
    stack.workers.push(second);
    const lane = await laneWithSkipped(range(0, 2000));
    for (const worker of stack.workers) worker.freeze();
    const { id } = await replay(lane, { status: ['skipped'] });
    const refused = await lane.tenant.client.post(pathOf(lane), { status: ['skipped'] });
    expect([refused.status, refused.json.code]).toEqual([409, 'replay_running']);
    expect(refused.json.detail).toContain(id);
    for (const worker of stack.workers) worker.thaw();
    expect(await ended(lane, id)).toMatchObject({ replayed: 2000 });
    const again = await replay(lane, { status: ['skipped'] });
    expect(await ended(lane, again.id)).toMatchObject({ replayed: 0 });
    await lane.counted('delivered', 2000);
    expect(sorted(lane.arrived)).toEqual(range(0, 2000));
  });
});

describe('a key', () => {
  it('of an app sees the replays of that app alone', async () => {
    const lane = await Lane.open(stack);
    const other = await Tenant.create(stack.client);
    const keyOf = async ({ path }: Tenant) => (await stack.client.post(`${path}/keys`, {})).json.key;
    const [own, foreign] = [await keyOf(lane.tenant), await keyOf(other)];
    const made = await stack.client.withKey(own).post(pathOf(lane), {});
    expect(made.status, made.text).toBe(202);
    const { id } = made.json;
    expect((await stack.client.withKey(own).get(`${lane.tenant.path}/replays/${id}`)).status).toBe(200);

    const asked = stack.client.withKey(foreign);
    for (const refused of [
      await asked.post(pathOf(lane), {}),
      await asked.get(`${lane.tenant.path}/replays/${id}`),
    ]) {
      expect([refused.status, refused.json.code]).toEqual([403, 'key_of_another_app']);
    }
    const missing = [
      await asked.get(`${other.path}/replays/${id}`),
      await asked.post(`${other.path}/endpoints/${lane.id}/replay`, {}),
    ];
    expect(missing.map(({ status, json }) => [status, json.code])).toEqual([
      [404, 'replay_not_found'],
      [404, 'endpoint_not_found'],
    ]);
  });
});

it('one Idempotency-Key makes one replay', async () => {
  const lane = await Lane.open(stack);
  const headers = { 'idempotency-key': 'once' };
  const first = await lane.tenant.client.post(pathOf(lane), {}, headers);
  const second = await lane.tenant.client.post(pathOf(lane), {}, headers);
  expect([second.status, second.text]).toEqual([first.status, first.text]);
  expect(second.headers.get('location')).toBe(first.headers.get('location'));
});

it('what was asked for must make sense', async () => {
  const lane = await Lane.open(stack);
  const refused = await lane.tenant.client.post(pathOf(lane), {
    status: ['retrying'],
    since: 5,
    event_types: ['a..b'],
    until_when: 1,
  });
  expect([refused.status, refused.json.code]).toEqual([422, 'validation_failed']);
  expect(refused.json.errors.map(({ path }: Loose) => path).sort()).toEqual([
    'event_types[0]',
    'since',
    'status[0]',
    'until_when',
  ]);
});
