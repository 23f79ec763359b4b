import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type BulkResult, type ClientOptions, SealpostClient, type SealpostEvent } from '@sealpost/client';
import { ERRORS } from '@sealpost/core';
import { clientTypes } from '@sealpost/scripts/client-types';
import { anyFreePort } from '@sealpost/scripts/ports';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { stopAfterAll } from './harness/cleanup.ts';
import { type AppProcess, Receiver, type Stack, startStack, Tenant, waitFor } from './harness/index.ts';

const ROOT = join(import.meta.dirname, '..');

let stack: Stack;
let tenant: Tenant;
let receiver: Receiver;

beforeAll(async () => {
  stack = await startStack();
});

beforeEach(async () => {
  receiver = await Receiver.listen();
  tenant = await Tenant.create(stack.client);
});

function clientOf(options: Partial<ClientOptions> = {}): SealpostClient {
  const client = new SealpostClient({
    url: stack.api.url,
    key: stack.apiKey,
    app: tenant.app,
    ...options,
  });
  stopAfterAll(() => client.close({ withinMs: 0 }));
  return client;
}

const event = (n: number, more: Partial<SealpostEvent> = {}) =>
  ({ type: 'order.created', payload: { n }, ...more }) as SealpostEvent;

describe('the client', () => {
  it('has the types that the API tells of in /openapi.json', async () => {
    const { json } = await stack.client.get('/openapi.json');
    const file = await readFile(join(ROOT, 'packages/client/src/api-types.ts'), 'utf8');
    // Layout is the formatter's.
    const bare = (text: string) => text.replaceAll(/[\s|]+/g, '');
    expect(bare(file)).toBe(bare(clientTypes(json, Object.keys(ERRORS))));
  });

  it('gives each call the result of its own event, in the order of the calls; a bad one fails alone', async () => {
    await tenant.endpoint({ url: receiver.url() });
    const client = clientOf({ maxBatchEvents: 70 });
    const calls = Array.from({ length: 300 }, (_, n) =>
      n === 150
        ? client.publish({ type: 'no type', payload: n, correlation_id: 'c' })
        : client.publish(event(n, { correlation_id: 'c' })),
    );
    const results = await Promise.allSettled(calls);
    const sequences = results.flatMap((result) =>
      result.status === 'fulfilled' ? [result.value.sequence] : [],
    );
    expect(sequences).toEqual(Array.from({ length: 299 }, (_, i) => i + 1));
    expect(results[150]).toMatchObject({
      reason: { code: 'validation_failed', status: 422, errors: [{ path: 'type' }] },
    });
    await receiver.waitForRequests(299);
    await client.close();
  });

  it('keeps the digits of a payload that comes as text', async () => {
    await tenant.endpoint({ url: receiver.url(), wire_profile: 'raw' });
    const client = clientOf();
    const texts = ['9007199254740993', '{"a" : 1.10}', '"\u2028x"', '[1e400,\n 2]'];
    for (const payloadJson of texts) await client.publish({ type: 'a', payloadJson });
    for await (const { error } of client.publishAll(
      texts.map((payloadJson) => ({ type: 'a', payloadJson })),
    )) {
      expect(error).toBeUndefined();
    }
    const requests = await receiver.waitForRequests(8);
    const arrived = requests.map(({ text }) => text).sort();
    const expected = texts.map((text) => text.replace('\n', ' '));
    expect(arrived).toEqual([...expected, ...expected].sort());
    await client.close();
  });

  it('publishes an event with an id of its own once, however often', async () => {
    await tenant.endpoint({ url: receiver.url() });
    const client = clientOf();
    const [first, second] = await Promise.all([
      client.publish(event(1, { id: 'mine' })),
      client.publish(event(1, { id: 'mine' })),
    ]);
    expect([first.id, second.id]).toEqual(['mine', 'mine']);
    expect(second.deliveries[0]!.id).toBe(first.deliveries[0]!.id);
    await client.close();
  });

  it('with a wrong key, or for an app that is not there, says so at once', async () => {
    const wrong = clientOf({ key: 'sk_wrong' });
    await expect(wrong.publish(event(1))).rejects.toMatchObject({ code: 'unauthorized', status: 401 });
    const nowhere = clientOf({ app: 'nowhere' });
    await expect(nowhere.publish(event(1))).rejects.toMatchObject({ code: 'app_not_found', status: 404 });
    const stream = nowhere.publishAll([event(1)]);
    await expect(stream.next()).rejects.toMatchObject({ code: 'app_not_found' });
  });

  it('lets its process end when all is settled, closed or not', async () => {
    const script = `
      import { SealpostClient } from '@sealpost/client';
      const client = new SealpostClient({ url: '${stack.api.url}', key: '${stack.apiKey}', app: '${tenant.app}' });
      const { id } = await client.publish({ type: 'a', payload: 1 });
      client.publish({ type: 'a', payload: 2, id: 'not-awaited' });
      for await (const { event } of client.publishAll([{ type: 'a', payload: 3 }])) console.log(id, event.id);
    `;
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['--input-type=module', '--eval', script],
      { cwd: join(ROOT, 'test'), timeout: 60_000 },
    );
    expect(stdout).toMatch(/^c-\S+ c-\S+\n$/);
    expect((await tenant.get('/events/not-awaited')).status).toBe(200);
  });
});

describe('a stream of events', () => {
  it('yields a result for each, in order, and a bad one fails alone', async () => {
    await tenant.endpoint({ url: receiver.url(), enabled: false });
    const client = clientOf();
    const loop: { self?: unknown } = {};
    loop.self = loop;
    async function* events(): AsyncGenerator<SealpostEvent> {
      for (let n = 0; n < 3000; n += 1) {
        if (n === 100) yield { type: 'a', payloadJson: '{"a":' };
        else if (n === 200) yield { type: 'a', payload: loop };
        else if (n === 300) yield { type: 'no type', payload: 1 };
        else yield event(n, { correlation_id: 'c' });
      }
    }
    const results: BulkResult[] = [];
    for await (const result of client.publishAll(events())) results.push(result);
    expect(results).toHaveLength(3000);
    const failed = results.flatMap(({ error }, n) => (error ? [[n, error.code]] : []));
    expect(failed).toEqual([
      [100, 'malformed_json'],
      [200, 'validation_failed'],
      [300, 'validation_failed'],
    ]);
    const sequences = results.flatMap((result) => result.event?.sequence ?? []);
    expect(sequences).toEqual(Array.from({ length: 2997 }, (_, i) => i + 1));
    await client.close();
  });

  it('goes on after what was not fit to be sent and has been taken', async () => {
    const client = clientOf();
    const taken = Promise.withResolvers<void>();
    async function* events(): AsyncGenerator<SealpostEvent> {
      yield event(1);
      yield { type: 'a', payloadJson: '{' };
      await taken.promise;
      yield { type: 'a', payloadJson: '[' };
      yield event(2);
    }
    const codes: (string | undefined)[] = [];
    for await (const { error } of client.publishAll(events())) {
      codes.push(error?.code);
      if (codes.length === 2) taken.resolve();
    }
    expect(codes).toEqual([undefined, 'malformed_json', 'malformed_json', undefined]);
    await client.close();
  });

  it('reads no further ahead than it may, and tells its source when no more results are taken', async () => {
    const client = clientOf();
    let read = 0;
    let told = false;
    function* events(): Generator<SealpostEvent> {
      try {
        while (read < 5000) yield event(++read);
        throw new Error('far too much was read');
      } finally {
        told = true;
      }
    }
    let taken = 0;
    for await (const _ of client.publishAll(events(), { maxUnanswered: 50 })) {
      taken += 1;
      expect(read).toBeLessThanOrEqual(taken + 51);
      if (taken === 200) break;
    }
    await waitFor(() => told, { describe: 'the source to be told' });
    await client.close();
  });

  it('ends with the error of its source, or by its signal', async () => {
    const client = clientOf();
    async function* failing(): AsyncGenerator<SealpostEvent> {
      yield event(1);
      throw new RangeError('the source is broken');
    }
    const all = async () => {
      for await (const _ of client.publishAll(failing()));
    };
    await expect(all()).rejects.toThrow('the source is broken');
    const stop = new AbortController();
    const endless = client.publishAll(
      (async function* () {
        yield event(1);
        await new Promise(() => {});
      })(),
      { signal: stop.signal },
    );
    await endless.next();
    stop.abort(new Error('enough'));
    await expect(endless.next()).rejects.toMatchObject({ code: 'aborted', cause: { message: 'enough' } });
    await client.close();
  });
});

describe('an API that is killed and started again under a publishing client', () => {
  const KILLS = 3;
  let port: string;
  let api: AppProcess;

  beforeEach(async () => {
    port = String(await anyFreePort());
    api = await stack.addApi({ PORT: port });
    await tenant.endpoint({ url: receiver.url() });
  });

  /** Kills it each time that the producer has got a stretch further. */
  async function killRepeatedly(progress: () => number): Promise<void> {
    for (let i = 0; i < KILLS; i += 1) {
      const from = progress();
      await waitFor(() => progress() > from + 150, { describe: 'events to be published' });
      await api.kill();
      api = await stack.addApi({ PORT: port });
    }
  }

  /** Each of these exists exactly once: what arrived twice would have another delivery. */
  async function expectOnce(ids: string[]): Promise<void> {
    expect(new Set(ids).size).toBe(ids.length);
    const { json } = await tenant.get('/deliveries?limit=1');
    expect(json.pagination.total).toBe(ids.length);
    await waitFor(
      () => new Set(receiver.requests.map(({ headers }) => headers['webhook-id'])).size >= ids.length,
      {
        describe: 'all to arrive',
      },
    );
    const arrived = new Set(receiver.requests.map(({ headers }) => headers['webhook-id']));
    expect(arrived).toEqual(new Set(ids));
  }

  it.each([1, 3])(
    'has each event once that a call resolved with, %i batches at a time',
    async (maxInFlight) => {
      const retries: number[] = [];
      const client = clientOf({
        url: api.url,
        maxBatchEvents: 20,
        maxInFlight,
        onRetry: ({ events }) => retries.push(events),
      });
      const ids: string[] = [];
      const sequences: number[] = [];
      let going = true;
      const produce = async (producer: number) => {
        for (let n = 0; going; n += 1) {
          const published = await client.publish(event(n, { correlation_id: `producer-${producer}` }));
          ids.push(published.id);
          if (producer === 0) sequences.push(published.sequence!);
        }
      };
      const producing = Promise.all(Array.from({ length: 40 }, (_, i) => produce(i)));
      await killRepeatedly(() => ids.length);
      going = false;
      await producing;
      await client.close();
      expect(retries.length).toBeGreaterThanOrEqual(KILLS);
      expect(sequences).toEqual(sequences.map((_, i) => i + 1));
      await expectOnce(ids);
    },
  );

  it('has each event of a stream once, in order', async () => {
    const retries: number[] = [];
    const client = clientOf({ url: api.url, onRetry: ({ events }) => retries.push(events) });
    const ids: string[] = [];
    const sequences: (number | null)[] = [];
    let going = true;
    function* events(): Generator<SealpostEvent> {
      for (let n = 0; going; n += 1) yield event(n, { correlation_id: 'c' });
    }
    const producing = (async () => {
      for await (const result of client.publishAll(events(), { maxUnanswered: 60 })) {
        if (result.error) throw result.error;
        ids.push(result.id);
        sequences.push(result.event.sequence);
      }
    })();
    await killRepeatedly(() => ids.length);
    going = false;
    await producing;
    await client.close();
    expect(retries.length).toBeGreaterThanOrEqual(KILLS);
    expect(sequences).toEqual(sequences.map((_, i) => i + 1));
    await expectOnce(ids);
  });
});
