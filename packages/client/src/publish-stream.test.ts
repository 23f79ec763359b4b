import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { Worker } from 'node:worker_threads';
import { expect, it, onTestFinished } from 'vitest';
import { type ClientOptions, type Retrying, SealpostClient, type SealpostEvent } from './index.ts';

type Line = { id: string };

/** Takes streams of lines; `answer` says what to write upon a line of the n-th stream, if anything. */
async function fakeStreams(
  answer: (line: Line, n: number) => string | undefined,
  options: Partial<ClientOptions> = {},
) {
  const streams: string[][] = [];
  const firstClosed = Promise.withResolvers<void>();
  const server = createServer((request, response) => {
    const ids: string[] = [];
    streams.push(ids);
    const n = streams.length;
    let open = '';
    let silent = false;
    request.on('data', (chunk) => {
      const lines = (open + chunk).split('\n');
      open = lines.pop()!;
      for (const line of lines.map((text) => JSON.parse(text) as Line)) {
        ids.push(line.id);
        const text = answer(line, n);
        if (text === 'silence') silent = true;
        else if (text === 'cut') response.write('', () => response.destroy());
        else if (text && !response.destroyed) {
          if (!response.headersSent) response.writeHead(202, { 'content-type': 'application/x-ndjson' });
          response.write(`${text}\n`);
        }
      }
    });
    request.on('end', () => silent || response.end()).on('error', () => {});
    response.on('close', firstClosed.resolve);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const client = new SealpostClient({ url, key: 'k', lingerMs: 1, ...options });
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
    return client.close({ withinMs: 0 });
  });
  return { streams, client, firstClosed: firstClosed.promise };
}

const ok = ({ id }: Line) => JSON.stringify({ status: 202, event: { id, deliveries: [] } });
const ender = (status: number, code: string) =>
  JSON.stringify({ status, problem: { status, code, detail: code } });
const events = (count: number): SealpostEvent[] =>
  Array.from({ length: count }, (_, n) => ({ id: `e${n}`, type: 'a', payload: n }));

async function idsOf(client: SealpostClient, source: Iterable<SealpostEvent> | AsyncIterable<SealpostEvent>) {
  const ids: string[] = [];
  for await (const { id, error } of client.publishAll(source)) ids.push(error ? `${id} ${error.code}` : id);
  return ids;
}

const IDS = ['e0', 'e1', 'e2', 'e3', 'e4'];

it.each([
  ['that breaks off', 'cut', {}],
  ['on which nothing comes', 'silence', { timeoutMs: 1000 }],
  ['that ends with a transient problem', ender(503, 'queue_unavailable'), {}],
])('a stream %s is followed by another, with what has no result', async (_, trouble, options) => {
  let troubled = false;
  const { streams, client } = await fakeStreams((line, n) => {
    if (n === 1 && (line.id === 'e2' || troubled)) {
      troubled = true;
      return trouble;
    }
    return ok(line);
  }, options);
  expect(await idsOf(client, events(5))).toEqual(IDS);
  expect(streams).toHaveLength(2);
  expect(streams[1]).toEqual(['e2', 'e3', 'e4']);
});

it('the next stream begins no sooner than the last line of the one before it asked for', async () => {
  const retries: Retrying[] = [];
  const problem = { status: 503, code: 'overloaded', detail: 'full', retry_after_seconds: 1 };
  const { client } = await fakeStreams(
    (line, n) => (n === 1 ? JSON.stringify({ status: 503, problem }) : ok(line)),
    { onRetry: (retrying) => retries.push(retrying) },
  );
  expect(await idsOf(client, events(1))).toEqual(['e0']);
  expect(retries[0]!.delayMs).toBeGreaterThanOrEqual(1000);
});

it('a stream that ends with a problem for good ends it all, after the results that came before', async () => {
  const { streams, client } = await fakeStreams((line) =>
    line.id === 'e2' ? ender(404, 'app_not_found') : ok(line),
  );
  const results = client.publishAll(events(5));
  expect([(await results.next()).value?.id, (await results.next()).value?.id]).toEqual(['e0', 'e1']);
  await expect(results.next()).rejects.toMatchObject({ code: 'app_not_found', status: 404 });
  expect(streams).toHaveLength(1);
});

it('a source that is slow outlives a stream that was idle for too long, which is no trouble', async () => {
  const retries: unknown[] = [];
  const options = { timeoutMs: 1000, onRetry: (retrying: unknown) => retries.push(retrying) };
  const { streams, client, firstClosed } = await fakeStreams(ok, options);
  async function* slow() {
    yield* events(2);
    await firstClosed;
    yield* events(5).slice(2);
  }
  expect(await idsOf(client, slow())).toEqual(IDS);
  expect(streams).toEqual([IDS.slice(0, 2), IDS.slice(2)]);
  expect(retries).toEqual([]);
});

it('an API that is away is given up, also when nothing could be written before it was known to be', async () => {
  const client = new SealpostClient({ url: 'http://127.0.0.1:1', key: 'k', lingerMs: 200, retryForMs: 0 });
  async function* slow() {
    yield* events(1);
    await new Promise(() => {});
  }
  await expect(client.publishAll(slow()).next()).rejects.toMatchObject({ code: 'unreachable' });
});

it('a signal ends it as `aborted`, before it begins or in its midst', async () => {
  const { client } = await fakeStreams(() => undefined);
  const [stop, reason] = [new AbortController(), new Error('enough')];
  const { signal } = stop;
  const first = client.publishAll(events(1), { signal }).next();
  stop.abort(reason);
  await expect(first).rejects.toMatchObject({ name: 'PublishError', code: 'aborted', cause: reason });
  const late = client.publishAll(events(1), { signal });
  await expect(late.next()).rejects.toMatchObject({ name: 'PublishError', code: 'aborted', cause: reason });
});

it('a connection that does not come about is given up in time', async () => {
  const client = new SealpostClient({ url: await fullListener(), key: 'k', timeoutMs: 100, retryForMs: 0 });
  await expect(client.publishAll(events(1)).next()).rejects.toMatchObject({
    code: 'unreachable',
    cause: { event: 'connect' },
  });
});

/** A URL whose connections stay half open: nobody accepts any, and as many wait as may. */
async function fullListener(): Promise<string> {
  const script = `
    const { parentPort } = require('node:worker_threads');
    const server = require('node:net').createServer().listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
      parentPort.postMessage(server.address().port);
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
    });`;
  const listener = new Worker(script, { eval: true });
  onTestFinished(async () => void (await listener.terminate()));
  const [port] = (await once(listener, 'message')) as [number];
  // Linux has one more wait than the backlog says.
  for (const waiting of [connect(port, '127.0.0.1'), connect(port, '127.0.0.1')]) {
    waiting.on('error', () => {}); // when the listener ends
    onTestFinished(() => void waiting.destroy());
    await once(waiting, 'connect');
  }
  return `http://127.0.0.1:${port}`;
}
