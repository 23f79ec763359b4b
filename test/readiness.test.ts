import { createServer, type Server, type Socket } from 'node:net';
import { expect, it } from 'vitest';
import { type AppProcess, Receiver, type Stack, startStack, waitFor } from './harness/index.ts';

type Fault = {
  name: string;
  begin: (stack: Stack) => Promise<unknown>;
  end: (stack: Stack) => Promise<unknown>;
};

const asking = new Set<Socket>();

/** Answers as a Redis that is still reading its append-only file. */
async function listenLoading(port: number): Promise<Server> {
  const server = createServer((socket) => {
    asking.add(socket);
    socket.on('error', () => {});
    socket.on('data', (data) => {
      const commands = data.toString('latin1').match(/\*\d+\r\n\$\d+\r\n\w+/g) ?? [];
      for (const command of commands) {
        const info = 'loading:1\r\nloading_eta_seconds:1\r\n';
        if (/info$/i.test(command)) socket.write(`$${info.length}\r\n${info}\r\n`);
        else socket.write('-LOADING Redis is loading the dataset in memory\r\n');
      }
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  return server;
}

let loading: Server;
const FAULTS: Fault[] = [
  { name: 'is away', begin: ({ redis }) => redis.kill(), end: ({ redis }) => redis.restart() },
  { name: 'hangs', begin: async ({ redis }) => redis.freeze(), end: async ({ redis }) => redis.thaw() },
  {
    name: 'is full',
    begin: ({ redis }) => redis.client.config('SET', 'maxmemory', '1mb'),
    end: ({ redis }) => redis.client.config('SET', 'maxmemory', '0'),
  },
  {
    name: 'is read-only',
    begin: ({ redis }) => redis.client.replicaof('127.0.0.1', 1),
    end: ({ redis }) => redis.client.replicaof('NO', 'ONE'),
  },
  {
    name: 'is loading its data',
    begin: async ({ redis }) => {
      await redis.kill();
      loading = await listenLoading(redis.port);
    },
    end: async ({ redis }) => {
      loading.close();
      for (const socket of asking) socket.destroy();
      await redis.restart();
    },
  },
];

const status = async ({ url }: AppProcess, path: string) => (await fetch(url + path)).status;

it.concurrent('API and worker say that they are not ready, though alive, while Redis is away, hangs, is full, read-only or loading, and are ready after', async () => {
  const stack = await startStack();
  const both = [stack.api, stack.workers[0]!];
  const all = async (expected: number) => {
    const found = await Promise.all(both.map((app) => status(app, '/readyz')));
    return found.every((each) => each === expected);
  };
  for (const { name, begin, end } of FAULTS) {
    await begin(stack);
    await waitFor(() => all(503), { describe: `both to be unready while Redis ${name}` });
    expect(await Promise.all(both.map((app) => status(app, '/livez')))).toEqual([200, 200]);
    await end(stack);
    await waitFor(() => all(200), { describe: `both to be ready after Redis ${name}` });
  }
}, 240_000);

it.concurrent('an API that refuses events for their number is ready and says so; it answers reads, and takes events again by itself', async () => {
  const stack = await startStack({ workers: 0, apiEnv: { SEALPOST_SHED_DEPTH: '50' } });
  const receiver = await Receiver.listen();
  const endpoint = await stack.client.post('/v1/apps/default/endpoints', { url: receiver.url('/hook') });
  const publish = () => stack.client.post('/v1/apps/default/events', { type: 'a.b', payload: 1 });
  for (let i = 0; i < 50; i++) expect((await publish()).status).toBe(202);
  const refused = await publish();
  expect([refused.status, refused.json.code]).toEqual([503, 'overloaded']);
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
  const ready = async () => (await stack.client.get('/readyz')).json;
  expect(await ready()).toEqual({ status: 'ok', sheds: 'too many deliveries wait' });
  const { json } = await stack.client.get('/v1/apps/default/deliveries?status=pending');
  expect(json.pagination.total).toBe(50);
  const pause = `/v1/apps/default/endpoints/${endpoint.json.id}`;
  expect((await stack.client.post(`${pause}/pause`)).status).toBe(200);
  expect((await stack.client.post(`${pause}/resume`)).status).toBe(200);

  await stack.addWorker();
  await receiver.waitForRequests(50);
  await waitFor(async () => (await ready()).sheds === undefined, {
    describe: 'nothing to be refused any more',
  });
  expect((await publish()).status).toBe(202);
});

it.concurrent('an API that lacks any one of its connections to Redis is not ready', async () => {
  const { redis, api } = await startStack({ workers: 0, apiEnv: { SEALPOST_DURABILITY: 'replica' } });
  const own = await redis.client.client('ID');
  const others = async () => {
    const list = String(await redis.client.call('CLIENT', 'LIST', 'TYPE', 'normal'));
    return [...list.matchAll(/^id=(\d+)/gm)].map(([, id]) => Number(id)).filter((id) => id !== own);
  };
  // For publishing, for waiting until that is durable, and for all else.
  const count = (await others()).length;
  expect(count).toBe(3);
  for (let i = 0; i < count; i++) {
    await redis.client.config('SET', 'maxclients', String(count));
    const [oldest] = await others();
    await redis.client.client('KILL', 'ID', oldest!);
    const describe = `readiness to tell of connection ${i + 1}`;
    await waitFor(async () => (await status(api, '/readyz')) === 503, { describe });
    await redis.client.config('SET', 'maxclients', '1000');
    await waitFor(async () => (await status(api, '/readyz')) === 200, { describe });
  }
});
