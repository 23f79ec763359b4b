import { once } from 'node:events';
import http from 'node:http';
import { createInterface } from 'node:readline';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Loose, Receiver, type Stack, startStack, Tenant, waitFor } from './harness/index.ts';

let stack: Stack;
let receiver: Receiver;
let tenant: Tenant;

beforeAll(async () => {
  stack = await startStack();
  receiver = await Receiver.listen();
});

beforeEach(async () => {
  receiver = await Receiver.listen(); // of its own: what an earlier test left under way must not be counted
  tenant = await Tenant.create(stack.client);
});

describe('a JSON batch', () => {
  const send = (body: object | string) => tenant.client.post(`${tenant.path}/events/batch`, body);

  it('has a result for each, in order; a bad one fails alone', async () => {
    await tenant.endpoint({ url: receiver.url() });
    const answer = await send({
      events: [
        { type: 'a', payload: 1, correlation_id: 'c' },
        { type: 'a' },
        'no event',
        { type: 'not a type', payload: 1 },
        { type: 'b', payload: 2, correlation_id: 'c', id: 'own' },
        { type: 'c', payload: 3, surplus: true },
        null,
        { type: 'd', payload: null, correlation_id: 'c' },
      ],
    });
    expect(answer.status, answer.text).toBe(202);
    const { results } = answer.json;
    expect(results.map((r: Loose) => r.status)).toEqual([202, 422, 422, 422, 202, 422, 422, 202]);
    const published = results.filter((r: Loose) => r.event).map((r: Loose) => r.event);
    expect(published.map((e: Loose) => [e.type, e.sequence])).toEqual([
      ['a', 1],
      ['b', 2],
      ['d', 3],
    ]);
    expect(published[1].id).toBe('own');
    expect(results[1].problem).toMatchObject({ code: 'validation_failed', status: 422 });
    expect(results[1].problem.errors[0].path).toBe('payload');
    expect(results[3].problem.errors[0].path).toBe('type');
    expect(results[5].problem.errors[0]).toMatchObject({ path: 'surplus' });
    await receiver.waitForRequests(3);
    for (const { deliveries } of published) await tenant.hasStatus(deliveries[0].id, 'delivered');
    expect(receiver.requests).toHaveLength(3);
  });

  it('keeps the digits of every payload', async () => {
    await tenant.endpoint({ url: receiver.url(), wire_profile: 'raw' });
    const payloads = ['9007199254740993', '{"a" : 1.10}', '"x"', '[1e400]'];
    const events = payloads.map((payload, i) => `{"id":"e${i}","payload": ${payload} ,"type":"a"}`);
    const answer = await send(`{"events": [${events.join(' , ')}]}`);
    expect(answer.status, answer.text).toBe(202);
    const requests = await receiver.waitForRequests(payloads.length);
    const got = Object.fromEntries(requests.map(({ headers, text }) => [headers['webhook-id'], text]));
    expect(got).toEqual(Object.fromEntries(payloads.map((payload, i) => [`e${i}`, payload])));
  });

  it('takes 1,000 events, and not one more, nor none', async () => {
    const events = (count: number) => Array.from({ length: count }, (_, i) => ({ type: 'a', payload: i }));
    const full = await send({ events: events(1000) });
    expect(full.status, full.text.slice(0, 200)).toBe(202);
    expect(full.json.results).toHaveLength(1000);
    for (const count of [0, 1001]) {
      const refused = await send({ events: events(count) });
      expect([refused.status, refused.json.code]).toEqual([422, 'validation_failed']);
      expect(refused.json.errors[0].path).toBe('events');
    }
  });

  it('of an app that is not there publishes nothing', async () => {
    const answer = await stack.client.post('/v1/apps/nowhere/events/batch', {
      events: [{ type: 'a', payload: 1 }],
    });
    expect([answer.status, answer.json.code]).toEqual([404, 'app_not_found']);
  });
});

/** A stream of events under way: lines go in while results come out. */
class Stream {
  readonly request: http.ClientRequest;
  readonly results: Loose[] = [];
  readonly #ended: Promise<http.IncomingMessage>;

  constructor(path: string, headers: http.OutgoingHttpHeaders = {}) {
    this.request = http.request(stack.api.url + path, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${stack.apiKey}`,
        'content-type': 'application/x-ndjson',
        ...headers,
      },
    });
    this.#ended = once(this.request, 'response').then(async ([response]) => {
      for await (const line of createInterface({ input: response })) this.results.push(JSON.parse(line));
      return response as http.IncomingMessage;
    });
    this.#ended.catch(() => {}); // seen by whoever waits for the end
  }

  /** As one chunk; resolves when more may be written. */
  async write(data: string | Buffer): Promise<void> {
    if (!this.request.write(data)) await once(this.request, 'drain');
  }

  async until(count: number): Promise<void> {
    await waitFor(() => this.results.length >= count, { describe: `${count} results` });
  }

  async end(data?: string): Promise<{ status: number; results: Loose[] }> {
    this.request.end(data);
    const response = await this.#ended;
    return { status: response.statusCode!, results: this.results };
  }
}

const open = () => new Stream(`${tenant.path}/events/batch`);
const line = (event: object) => `${JSON.stringify(event)}\n`;

describe('an NDJSON batch', () => {
  it('answers line by line while the body still comes', async () => {
    await tenant.endpoint({ url: receiver.url() });
    const stream = open();
    await stream.write(line({ type: 'a', payload: 1 }));
    await stream.until(1);
    await receiver.waitForRequests(1);
    // A line may come in pieces, cut within a character.
    const cut = Buffer.from(line({ type: 'a', payload: '\u{1F600}' }));
    const within = cut.indexOf(0x9f);
    await stream.write(cut.subarray(0, within));
    await stream.write(Buffer.concat([cut.subarray(within), Buffer.from(line({ type: 'a', payload: 3 }))]));
    await stream.until(3);
    const { status, results } = await stream.end(JSON.stringify({ type: 'a', payload: 4 }));
    expect(status).toBe(202);
    expect(results.map((r) => r.status)).toEqual([202, 202, 202, 202]);
    const requests = await receiver.waitForRequests(4);
    const payloads = new Set(requests.map(({ text }) => JSON.parse(text).data));
    expect(payloads).toEqual(new Set([1, '\u{1F600}', 3, 4]));
  });

  it('lets bad lines fail alone', async () => {
    const stream = open();
    await stream.write(line({ type: 'a', payload: 1 }));
    await stream.write('{"type":"a","payload":\n');
    await stream.write(Buffer.from([...Buffer.from('{"type":"a","payload":"'), 0xff, 0x22, 0x7d, 0x0a]));
    await stream.write(`\n  \r\n${line({ type: 'a' })}`);
    await stream.write('[]\n"text"\n');
    const { status, results } = await stream.end('{"type":"z","payload":9007199254740993,"id":"last"}\r\n');
    expect(status).toBe(202);
    expect(results.map((r) => [r.status, r.problem?.code])).toEqual([
      [202, undefined],
      [400, 'malformed_json'],
      [400, 'invalid_utf8'],
      [422, 'validation_failed'],
      [422, 'validation_failed'],
      [422, 'validation_failed'],
      [202, undefined],
    ]);
    expect((await tenant.get('/events/last')).text).toContain('"payload":9007199254740993');
  });

  it('takes 5,000 lines from a producer that sends as fast as it can, in order', async () => {
    const filler = 'x'.repeat(500);
    const stream = open();
    for (let i = 0; i < 5000; i += 500) {
      const events = Array.from({ length: 500 }, (_, j) =>
        line({ type: 'a', payload: { n: i + j, filler }, correlation_id: 'all' }),
      );
      await stream.write(events.join(''));
    }
    const { results } = await stream.end();
    expect(results).toHaveLength(5000);
    expect(results.every(({ event }, i) => event?.sequence === i + 1)).toBe(true);
  });

  it('is not stuck when the producer reads results only after it has sent all', async () => {
    const body = Array.from({ length: 5000 }, (_, n) => line({ type: 'a', payload: n })).join('');
    const answer = await tenant.client.post(`${tenant.path}/events/batch`, body, {
      'content-type': 'application/x-ndjson',
    });
    expect(answer.text.trimEnd().split('\n')).toHaveLength(5000);
  });

  it('ends with a problem at a line that is too long, and what came before is published', async () => {
    const stream = open();
    await stream.write(line({ type: 'a', payload: 1, id: 'before' }));
    await stream.until(1);
    stream.request.on('error', () => {}); // it may stop reading
    stream.request.write(line({ type: 'a', payload: 'x'.repeat(8 * 1024 * 1024) }));
    await stream.until(2);
    expect(stream.results.map((r) => [r.status, r.problem?.code])).toEqual([
      [202, undefined],
      [413, 'payload_too_large'],
    ]);
    expect((await tenant.get('/events/before')).status).toBe(200);
    stream.request.destroy();
  });

  it('whose producer goes away has published what it was told, and harms nobody', async () => {
    const stream = open();
    await stream.write(`${line({ type: 'a', payload: 1, id: 'told' })}{"type":"a","payl`);
    await stream.until(1);
    stream.request.on('error', () => {});
    stream.request.destroy();
    expect((await tenant.get('/events/told')).status).toBe(200);
    expect((await fetch(`${stack.api.url}/readyz`)).status).toBe(200);
  });

  it('of no line has no result', async () => {
    expect(await open().end()).toEqual({ status: 202, results: [] });
  });

  it('is refused as a whole without a key, for an app that is not there, or with an Idempotency-Key', async () => {
    const body = line({ type: 'a', payload: 1 });
    const ndjson = { 'content-type': 'application/x-ndjson' };
    const send = (path: string, headers: Record<string, string>, client = tenant.client) =>
      client.post(`${path}/events/batch`, body, { ...ndjson, ...headers });
    expect((await send(tenant.path, {}, stack.client.withKey('sk_wrong'))).status).toBe(401);
    expect((await send('/v1/apps/nowhere', {})).json.code).toBe('app_not_found');
    expect((await send(tenant.path, { 'idempotency-key': 'k' })).json.code).toBe('invalid_idempotency_key');
    expect((await tenant.get('/deliveries')).json.pagination.total).toBe(0);
  });
});
