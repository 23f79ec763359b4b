import { describe, expect, it } from 'vitest';
import { fakeApi, problem } from './fixtures.ts';
import { type Retrying, SealpostClient, type SealpostEvent } from './index.ts';

const event = (n: number, more: object = {}): SealpostEvent => ({ type: 'a', payload: n, ...more });
const range = (count: number) => Array.from({ length: count }, (_, n) => n);

describe('batches', () => {
  it('hold what is published within the linger time', async () => {
    const api = await fakeApi();
    const client = api.client({ lingerMs: 20 });
    await Promise.all(range(10).map((n) => client.publish(event(n))));
    expect(api.sizes()).toEqual([10]);
  });

  it('go as soon as they are full, by number or by bytes, and are never larger', async () => {
    const api = await fakeApi();
    const few = api.client({ lingerMs: 60_000, maxBatchEvents: 4 });
    await Promise.all(range(8).map((n) => few.publish(event(n))));
    expect(api.sizes()).toEqual([4, 4]);
    const small = api.client({ lingerMs: 60_000, maxBatchBytes: 1000 });
    const large = range(5).map((n) => small.publish(event(n, { payload: 'x'.repeat(400) })));
    await small.flush();
    await Promise.all(large);
    expect(api.sizes().slice(2)).toEqual([2, 2, 1]);
    for (const { text } of api.batches) expect(text.length).toBeLessThan(1100);
  });

  it('follow each other in the order of the calls, one at a time', async () => {
    let underWay = 0;
    let most = 0;
    const elsewhere = (await fakeApi()).client();
    const api = await fakeApi(async (): Promise<'ok'> => {
      underWay += 1;
      most = Math.max(most, underWay);
      await elsewhere.publish(event(0)); // meanwhile another batch would arrive, were it sent
      underWay -= 1;
      return 'ok';
    });
    const client = api.client({ maxBatchEvents: 3, lingerMs: 0 });
    const ids = range(20).map((n) => `e${n}`);
    await Promise.all(ids.map((id, n) => client.publish(event(n, { id }))));
    expect(most).toBe(1);
    expect(api.batches.flatMap((batch) => batch.ids)).toEqual(ids);
  });

  it('are several at a time where that is allowed', async () => {
    const held = Promise.withResolvers<'ok'>();
    const api = await fakeApi((_, n) => {
      if (n === 3) held.resolve('ok');
      return held.promise;
    });
    const client = api.client({ maxBatchEvents: 1, maxInFlight: 3 });
    await Promise.all(range(3).map((n) => client.publish(event(n))));
  });

  it('that the API finds too large go in halves, in order; one event that is, fails alone', async () => {
    const api = await fakeApi(({ ids }) =>
      ids.length > 3 || ids.includes('huge') ? problem(413, 'payload_too_large') : 'ok',
    );
    const client = api.client();
    const ids = ['a', 'b', 'c', 'huge', 'd', 'e', 'f', 'g', 'h'];
    const results = await Promise.allSettled(ids.map((id, n) => client.publish(event(n, { id }))));
    expect(results.map(({ status }) => status === 'fulfilled')).toEqual(ids.map((id) => id !== 'huge'));
    expect(results[3]).toMatchObject({ reason: { code: 'payload_too_large', eventId: 'huge' } });
    const taken = api.batches.filter((batch) => batch.ids.length <= 3 && !batch.ids.includes('huge'));
    expect(taken.flatMap((batch) => batch.ids)).toEqual(ids.filter((id) => id !== 'huge'));
  });

  it('take the event as it was when it was published', async () => {
    const api = await fakeApi();
    const payload = { n: 1 };
    const published = api.client().publish({ type: 'a', payload });
    payload.n = 2;
    await published;
    expect(api.batches[0]!.text).toContain('"payload":{"n":1}');
  });
});

describe('what fails', () => {
  it('is sent again with the same ids when the answer was lost', async () => {
    const api = await fakeApi((_, n) => (n < 3 ? 'lost' : 'ok'));
    const client = api.client();
    const [a, b] = await Promise.all([client.publish(event(1)), client.publish(event(2))]);
    expect(api.batches.map(({ text }) => text)).toEqual(Array(3).fill(api.batches[0]!.text));
    expect(api.batches[0]!.ids).toEqual([a.id, b.id]);
  });

  it.each([
    [408, 'request_timeout'],
    [409, 'config_conflict'],
    [429, 'too_many_wrong_keys'],
    [500, 'internal_error'],
    [502, 'of_a_newer_api'],
    [503, 'overloaded'],
  ])('with %i %s is sent again', async (status, code) => {
    const api = await fakeApi((_, n) => (n === 1 ? problem(status, code) : 'ok'));
    const retries: Retrying[] = [];
    await api.client({ onRetry: (retrying) => retries.push(retrying) }).publish(event(1));
    expect(retries).toMatchObject([{ attempt: 1, code, events: 1 }]);
  });

  it('is sent again no sooner than the answer says', async () => {
    const api = await fakeApi((_, n) =>
      n === 1 ? { ...problem(503, 'overloaded'), headers: { 'retry-after': '1' } } : 'ok',
    );
    const retries: Retrying[] = [];
    await api.client({ onRetry: (retrying) => retries.push(retrying) }).publish(event(1));
    expect(retries[0]!.delayMs).toBeGreaterThanOrEqual(1000);
  });

  it.each([400, 401, 403, 404, 409, 422])('with %i is not', async (status) => {
    const api = await fakeApi(() => problem(status, 'some_code'));
    const failure = api.client().publish(event(1, { id: 'mine' }));
    await expect(failure).rejects.toMatchObject({ code: 'some_code', status, eventId: 'mine' });
    expect(api.batches).toHaveLength(1);
  });

  it('for longer than it may be tried fails with what it was told last', async () => {
    const api = await fakeApi(() => problem(503, 'queue_unavailable'));
    const client = api.client({ retryForMs: 300 });
    await expect(client.publish(event(1))).rejects.toMatchObject({ code: 'queue_unavailable', status: 503 });
    expect(api.batches.length).toBeGreaterThan(1);
    const away = new SealpostClient({ url: 'http://127.0.0.1:1', key: 'k', retryForMs: 200 });
    await expect(away.publish(event(1))).rejects.toMatchObject({ code: 'unreachable', status: undefined });
  });

  it('to be answered in time is sent again', async () => {
    const api = await fakeApi((_, n) => (n === 1 ? new Promise<never>(() => {}) : 'ok'));
    await api.client({ timeoutMs: 500 }).publish(event(1));
    // More often where the answer took so long as well.
    expect(api.batches.length).toBeGreaterThan(1);
  });

  it('because it is no answer of a Sealpost is told so', async () => {
    const api = await fakeApi(() => ({ status: 202, body: '{"results":[]}' }));
    await expect(api.client().publish(event(1))).rejects.toMatchObject({ code: 'unexpected_answer' });
    const proxy = await fakeApi(() => ({ status: 302, headers: { location: 'http://127.0.0.1:1/' } }));
    await expect(proxy.client().publish(event(1))).rejects.toMatchObject({
      code: 'unexpected_answer',
      status: 302,
    });
  });

  it('to be written as JSON harms no other event', async () => {
    const api = await fakeApi();
    const client = api.client();
    const bad: object[] = [
      { payload: undefined },
      { payload: 1n },
      { payload: undefined, payloadJson: '1,"id":"x"' },
      { payload: undefined, payloadJson: '"\ud800"' },
    ];
    const results = await Promise.allSettled([
      ...bad.map((more) => client.publish(event(1, more))),
      client.publish(event(2)),
    ]);
    expect(results.map((result) => (result.status === 'rejected' ? result.reason.code : 'ok'))).toEqual([
      'validation_failed',
      'validation_failed',
      'malformed_json',
      'validation_failed',
      'ok',
    ]);
  });
});

describe('the queue', () => {
  it('holds no more than it may: others wait for room, in order', async () => {
    const held = Promise.withResolvers<'ok'>();
    const arrived = Promise.withResolvers<void>();
    const api = await fakeApi(() => {
      arrived.resolve();
      return held.promise;
    });
    const client = api.client({ maxQueuedEvents: 5, maxBatchEvents: 2, lingerMs: 0 });
    const ids = range(12).map((n) => `e${n}`);
    const published = ids.map((id, n) => client.publish(event(n, { id })));
    let room = false;
    const asked = client.room().then(() => {
      room = true;
    });
    await arrived.promise;
    expect(room).toBe(false);
    held.resolve('ok');
    await Promise.all([asked, ...published]);
    expect(api.batches.flatMap((batch) => batch.ids)).toEqual(ids);
  });

  it('has room again for each that is settled, and takes one that is larger than all of it', async () => {
    const api = await fakeApi();
    const client = api.client({ maxQueuedBytes: 300 });
    for (let n = 0; n < 20; n += 1) {
      await client.room();
      void client.publish(event(n, { payload: 'x'.repeat(n % 2 ? 10 : 1000) }));
    }
    await client.flush();
    expect(api.batches.flatMap(({ ids }) => ids)).toHaveLength(20);
  });

  it('gives up what its signal says, whether it waits, is queued or sent', async () => {
    const held = Promise.withResolvers<'ok'>();
    const arrived = Promise.withResolvers<void>();
    const api = await fakeApi(() => {
      arrived.resolve();
      return held.promise;
    });
    const client = api.client({ maxQueuedEvents: 2, maxBatchEvents: 1, lingerMs: 0 });
    const stops = range(3).map(() => new AbortController());
    const given = stops.map(({ signal }, n) => client.publish(event(n, { id: `given-${n}` }), { signal }));
    const kept = client.publish(event(9, { id: 'kept' }));
    await arrived.promise;
    for (const stop of stops.toReversed()) stop.abort();
    for (const one of given) await expect(one).rejects.toMatchObject({ code: 'aborted' });
    held.resolve('ok');
    expect((await kept).id).toBe('kept');
    expect(api.batches.flatMap(({ ids }) => ids)).toEqual(['given-0', 'kept']);
    await expect(client.publish(event(1), { signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: 'aborted',
    });
  });

  it('is emptied by close, after which nothing is taken', async () => {
    const api = await fakeApi();
    const client = api.client({ lingerMs: 60_000, maxQueuedEvents: 3, maxBatchEvents: 2 });
    const published = range(8).map((n) => client.publish(event(n)));
    await client.close();
    expect(await Promise.all(published)).toHaveLength(8);
    await expect(client.publish(event(1))).rejects.toMatchObject({ code: 'closed' });
    expect(() => client.publishAll([])).toThrow('closed');
  });

  it('is given up by close when its time is over, also in the middle of a retry', async () => {
    const api = await fakeApi(() => ({ ...problem(503, 'overloaded'), headers: { 'retry-after': '30' } }));
    const client = api.client();
    const published = client.publish(event(1));
    const closing = client.close({ withinMs: 50 });
    await expect(published).rejects.toMatchObject({ code: 'closed' });
    await closing;
  });
});

it('options that cannot be are refused by name', () => {
  const make = (options: object) => () => new SealpostClient({ url: 'http://x', key: 'k', ...options });
  expect(make({ url: 'ftp://x' })).toThrow('url');
  expect(make({ key: '' })).toThrow('key');
  expect(make({ maxBatchEvents: 1001 })).toThrow('maxBatchEvents');
  expect(make({ lingerMs: Number.NaN })).toThrow('lingerMs');
});
