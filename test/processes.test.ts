import { Agent, request } from 'node:http';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  type AppProcess,
  childrenOf,
  Receiver,
  type Stack,
  spawnApp,
  startRedis,
  startStack,
  Tenant,
  untilAllReady,
  untilEnded,
  waitFor,
} from './harness/index.ts';

const MASTER = Buffer.alloc(32, 3).toString('base64');

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function readyz(app: AppProcess): Promise<string> {
  const answer = await fetch(`${app.url}/readyz`);
  return `${answer.status} ${await answer.text()}`;
}

const untilReady = (app: AppProcess, what = '200') =>
  waitFor(async () => (await readyz(app)).includes(what), { describe: `readyz to say ${what}` });

const untilAllGone = (pids: number[]) =>
  waitFor(() => !pids.some(isAlive), { describe: `the processes ${pids} to be gone` });

describe('WORKER_PROCESSES', () => {
  // Each test goes on where the one before ended.
  let stack: Stack;
  let worker: AppProcess;

  beforeAll(async () => {
    stack = await startStack({ workerEnv: { WORKER_PROCESSES: '3', WORKER_CONCURRENCY: '5' } });
    [worker] = stack.workers as [AppProcess];
    await untilAllReady(worker, 'all workers ready');
  });

  it('they are ready when all that run are, and it says which is not', async () => {
    const [, second] = childrenOf(worker);
    process.kill(second!, 'SIGSTOP');
    await untilReady(worker, 'process 2 does not answer');
    expect(await readyz(worker)).toMatch(/^503 /);
    expect((await fetch(`${worker.url}/livez`)).status).toBe(200);
    process.kill(second!, 'SIGCONT');
    await untilReady(worker);
  });

  it('one that dies is started again, the others go on, and nothing is lost', async () => {
    const before = childrenOf(worker);
    expect(new Set(before).size).toBe(3);
    const receiver = await Receiver.listen();
    const tenant = await Tenant.create(stack.client);
    await tenant.endpoint({ url: receiver.url('/hook') });
    const sent = await Promise.all(Array.from({ length: 60 }, () => tenant.send()));
    process.kill(before[1]!, 'SIGKILL');
    await waitFor(() => childrenOf(worker).length === 4, { describe: 'another to be started' });
    expect(worker.logs.find(({ msg }) => msg?.startsWith('a process died'))).toMatchObject({
      process: 2,
      child: before[1],
      signal: 'SIGKILL',
    });
    await untilReady(worker);
    // What the dead one had under way comes back when its locks have run out.
    for (const id of sent) await tenant.hasStatus(id, 'delivered');
    const newest = childrenOf(worker).at(-1)!;
    await waitFor(() => worker.logs.some(({ msg, pid }) => msg === 'worker ready' && pid === newest), {
      describe: 'it to be ready',
    });
  });

  it('on SIGTERM all finish what is under way, and the parent ends with 0 after them', async () => {
    const children = childrenOf(worker).filter(isAlive);
    expect(children).toHaveLength(3);
    const receiver = await Receiver.listen();
    const held: (() => void)[] = [];
    receiver.respond(() => new Promise((resolve) => held.push(() => resolve(200))));
    const tenant = await Tenant.create(stack.client);
    await tenant.endpoint({ url: receiver.url('/hook') });
    const sent = await Promise.all(Array.from({ length: 2 }, () => tenant.send()));
    await receiver.waitForRequests(2);
    const stopping = worker.stop();
    await untilReady(worker, 'draining');
    // As a service manager does that signals every process; the other one hears of it from its parent alone.
    process.kill(children[0]!, 'SIGTERM');
    for (const release of held) release();
    expect(await stopping).toMatchObject({ code: 0 });
    await untilAllGone(children);
    for (const id of sent)
      expect(await tenant.delivery(id)).toMatchObject({ status: 'delivered', attempt_count: 1 });
    expect(receiver.requests).toHaveLength(2);
    expect(worker.logs.filter(({ msg }) => msg === 'drained')).toHaveLength(3);
  });
});

describe('API_PROCESSES', () => {
  // Each test goes on where the one before ended.
  let stack: Stack;

  beforeAll(async () => {
    stack = await startStack({ workers: 0, apiEnv: { API_PROCESSES: '2' } });
    await untilAllReady(stack.api, 'all apis ready');
  });

  it('a port that is taken is not shared with who has it', async () => {
    const env = {
      REDIS_URL: stack.redis.url,
      SEALPOST_API_KEYS: stack.apiKey,
      SEALPOST_MASTER_KEY: stack.masterKey,
    };
    const port = new URL(stack.api.url).port;
    const second = await spawnApp('API', { ...env, PORT: port, API_PROCESSES: '2' });
    expect((await untilEnded(second)).code).toBe(1);
    expect(second.output).toContain('EADDRINUSE');
  });

  it('an unready one makes all unready, whoever is asked; a log-in to Bull Board holds at both', async () => {
    const board = (path: string, headers: object, body?: string) =>
      fetch(`${stack.api.url}${path}`, {
        method: body === undefined ? 'GET' : 'POST',
        headers: { connection: 'close', origin: stack.api.url, ...headers },
        redirect: 'manual',
        ...(body === undefined ? {} : { body }),
      });
    const form = { 'content-type': 'application/x-www-form-urlencoded' };
    const loggedIn = await board('/admin/login', form, `key=${stack.apiKey}`);
    const cookie = loggedIn.headers.get('set-cookie')!.split(';')[0]!;
    // Each comes by a connection of its own: that all 20 meet the same process is one in half a million.
    for (let i = 0; i < 20; i++)
      expect((await board('/admin/queues/api/queues', { cookie })).status).toBe(200);
    const [first] = childrenOf(stack.api);
    process.kill(first!, 'SIGSTOP');
    // What connections the stopped one gets are answered when it goes on; it cannot get them all.
    const answers: Promise<string>[] = [];
    const told = async () => {
      const more = Array.from({ length: 20 }, () => readyz(stack.api));
      answers.push(...more);
      return /^503 .*process 1 does not answer/.test(await Promise.race(more));
    };
    await waitFor(told, { describe: 'process 1 to be missed' });
    process.kill(first!, 'SIGCONT');
    await Promise.all(answers);
    await untilReady(stack.api);
  });

  it('share the port; one that dies is started again, and on SIGTERM nobody is cut off', async () => {
    const { api } = stack;
    const agent = new Agent({ keepAlive: true, maxSockets: 10 });
    const outcomes: string[] = [];
    const publish = () =>
      new Promise<string>((resolve) => {
        const headers = { authorization: `Bearer ${stack.apiKey}`, 'content-type': 'application/json' };
        const post = request(`${api.url}/v1/apps/default/events`, { agent, method: 'POST', headers });
        post.on('response', (response) =>
          response.resume().on('end', () => resolve(String(response.statusCode))),
        );
        post.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
        post.end('{"type":"a.b","payload":1}');
      });
    const first = childrenOf(api);
    process.kill(first[0]!, 'SIGKILL');
    await waitFor(() => childrenOf(api).length === 3, { describe: 'another to be started' });
    await untilReady(api);
    const third = childrenOf(api)[2];
    await waitFor(() => api.logs.some(({ msg, pid }) => msg === 'api ready' && pid === third), {
      describe: 'it to be ready',
    });
    const busy = Array.from({ length: 10 }, async () => {
      for (let outcome = ''; outcome !== 'ECONNREFUSED'; ) {
        outcome = await publish();
        outcomes.push(outcome);
      }
    });
    await waitFor(() => outcomes.length > 200, { describe: 'the clients to be busy' });
    expect(await api.stop()).toMatchObject({ code: 0 });
    await Promise.all(busy);
    agent.destroy();
    expect(new Set(outcomes)).toEqual(new Set(['202', 'ECONNREFUSED']));
  });
});

describe('several processes', () => {
  it('all end when the parent is killed', async () => {
    const stack = await startStack({
      workerEnv: { WORKER_PROCESSES: '2' },
      apiEnv: { API_PROCESSES: '2' },
    });
    const [worker] = stack.workers;
    await untilAllReady(worker!, 'all workers ready');
    await untilAllReady(stack.api, 'all apis ready');
    const children = [...childrenOf(worker!), ...childrenOf(stack.api)];
    expect(children.filter(isAlive)).toHaveLength(4);
    await Promise.all([worker!.kill(), stack.api.kill()]);
    await untilAllGone(children);
  });

  it.each(['API', 'worker'] as const)(
    'when one %s cannot start none does, and it says why, once',
    async (app) => {
      const redis = await startRedis();
      await redis.client.config('SET', 'maxmemory-policy', 'allkeys-lru');
      const parent = await spawnApp(app, {
        REDIS_URL: redis.url,
        SEALPOST_API_KEYS: 'sk_0123456789abcdef0123',
        SEALPOST_MASTER_KEY: MASTER,
        API_PROCESSES: '2',
        WORKER_PROCESSES: '2',
      });
      expect((await untilEnded(parent)).code).toBe(1);
      expect(parent.output.match(/cannot start.*noeviction/g)).toHaveLength(1);
      await untilAllGone(childrenOf(parent));
    },
  );
});
