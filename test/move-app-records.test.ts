import { beforeAll, describe, expect, it } from 'vitest';
import {
  type Loose,
  moveApp,
  Receiver,
  type Stack,
  startMove,
  startStack,
  Tenant,
  verifySignature,
  waitFor,
} from './harness/index.ts';

describe('what was accepted before its app was moved', () => {
  let stack: Stack;
  let receiver: Receiver;
  let tenant: Tenant;
  const publish = async (type: string, n: number) => {
    const { deliveries } = await tenant.publish({ type, payload: { n } });
    expect(deliveries).toHaveLength(1);
    return deliveries[0].id as string;
  };
  const post = async (path: string, body: object = {}) => {
    const answer = await stack.client.post(tenant.path + path, body);
    expect(answer.status, answer.text).toBeLessThan(300);
    return answer.json;
  };
  const numbersAt = (path: string) => receiver.to(path).map(({ text }) => JSON.parse(text).data.n as number);

  beforeAll(async () => {
    stack = await startStack();
    receiver = await Receiver.listen();
    tenant = await Tenant.create(stack.client);
  });

  it('waits, follows the changes of its endpoint, and goes out before what comes after', async () => {
    const endpoint = await tenant.endpoint({ url: receiver.url('/before'), event_types: ['held.*'] });
    await post(`/endpoints/${endpoint.id}/pause`);
    for (const n of [1, 2, 3]) await publish('held.before', n);
    const moving = startMove(stack, ['--app', tenant.app, '--to', '1']);
    await moving.says('1 lane waits until what was accepted before has gone out');
    for (const n of [4, 5, 6]) await publish('held.after', n);
    const stats = (await tenant.get(`/endpoints/${endpoint.id}/stats`)).json;
    expect(stats).toMatchObject({ counts: { pending: 6 }, lane: { state: 'paused', queued: 6 } });
    const moved = { url: receiver.url('/changed'), max_concurrency: 1 };
    const changed = await stack.client.patch(`${tenant.path}/endpoints/${endpoint.id}`, moved);
    expect(changed.status, changed.text).toBe(200);
    const { secret } = await post(`/endpoints/${endpoint.id}/secret/rotate`, { overlap_seconds: 0 });
    expect(receiver.requests).toHaveLength(0);
    await post(`/endpoints/${endpoint.id}/resume`);
    const requests = await receiver.waitForRequests(6, { path: '/changed' });
    expect(numbersAt('/changed')).toEqual([1, 2, 3, 4, 5, 6]);
    for (const request of requests) verifySignature(request, secret);
    expect((await moving.process.exited).code, moving.output()).toBe(0);
    expect(moving.output()).toContain('All its lanes send from there');
  });

  it('is retried, replayed and cancelled where it is, and deleted with its app', async () => {
    const other = await Tenant.create(stack.client);
    tenant = other;
    receiver.respond('/dead', 500);
    const retry = { max_retries: 0 };
    const dead = await tenant.endpoint({ url: receiver.url('/dead'), event_types: ['dies'], retry });
    const paused = await tenant.endpoint({ url: receiver.url('/never'), event_types: ['waits'] });
    await post(`/endpoints/${paused.id}/pause`);
    const [first, second] = [await publish('dies', 1), await publish('dies', 2)];
    const [cancelled, left] = [await publish('waits', 1), await publish('waits', 2)];
    for (const id of [first, second]) await tenant.hasStatus(id, 'dead');
    await moveApp(stack, tenant.app, 2);
    const third = await publish('dies', 3);
    await tenant.hasStatus(third, 'dead');

    receiver.respond('/dead', 200);
    await post(`/deliveries/${first}/retry`);
    await tenant.hasStatus(first, 'delivered');
    const replay = await post(`/endpoints/${dead.id}/replay`);
    expect(replay).toMatchObject({ endpoint_id: dead.id, total: 3 });
    const done = async () => {
      const { json } = await tenant.get(`/replays/${replay.id}`);
      return json.state === 'completed' ? json : undefined;
    };
    expect(await waitFor(done, { describe: 'the replay to end' })).toMatchObject({ scanned: 3, replayed: 2 });
    for (const id of [second, third]) await tenant.hasStatus(id, 'delivered');
    expect(await post(`/deliveries/${cancelled}/cancel`)).toMatchObject({ status: 'cancelled' });
    expect((await tenant.get(`/endpoints/${dead.id}/stats`)).json.counts.delivered).toBe(3);
    const byEndpoint = (await tenant.get(`/deliveries?endpoint_id=${dead.id}`)).json;
    expect(byEndpoint.data.map(({ id }: Loose) => id)).toEqual([third, second, first]);

    // Gone, says the receiver to what is sent from the former shard.
    receiver.respond('/dead', 410);
    await post(`/deliveries/${second}/retry`);
    const isDisabled = async () => !(await tenant.get(`/endpoints/${dead.id}`)).json.enabled;
    await waitFor(isDisabled, { describe: 'the endpoint to be disabled' });

    const [app] = Object.entries(await stack.redis.client.hgetall('{sp:0}:left')).find(
      ([, name]) => name === tenant.app,
    )!;
    const pending = () => stack.redis.client.hget(`{sp:0}:c:${app}`, '0');
    expect(await pending()).toBe('1');
    expect((await stack.client.delete(tenant.path)).status).toBe(204);
    await waitFor(async () => (await pending()) === '0', { describe: `delivery ${left} to be cancelled` });
    expect(receiver.to('/never')).toHaveLength(0);
  });
});

describe('npm run move-app', () => {
  let stack: Stack;
  let tenant: Tenant;
  const run = async (args: string[], env: Record<string, string> = {}) => {
    const moving = startMove(stack, args, env);
    const { code } = await moving.process.exited;
    return { code, output: moving.output() };
  };

  beforeAll(async () => {
    stack = await startStack({ workers: 0 });
    tenant = await Tenant.create(stack.client);
    await tenant.endpoint({ url: 'http://127.0.0.1:1/' });
    await tenant.send();
  });

  it.each([
    [['--app', 'x'], {}, '--app and --to are needed'],
    [['--app', 'nobody', '--to', '1'], {}, 'There is no app nobody'],
    [
      ['--app', 'default', '--to', '9'],
      {},
      'Shard 9 is unknown: Redis knows shard 0, and SEALPOST_SHARDS is 4',
    ],
    [['--app', 'default', '--to', '1'], { REDIS_URL: 'redis://127.0.0.1:1' }, 'does not answer'],
    [
      ['--app', 'default', '--to', '1'],
      { SEALPOST_MASTER_KEY: Buffer.alloc(32).toString('base64') },
      'master key',
    ],
  ])('%j %j says why not', async (args, env, says) => {
    const { code, output } = await run(args as string[], env as Record<string, string>);
    expect(code).toBe(1);
    expect(output).toContain('The app is not moved, or not yet.');
    expect(output).toContain(says);
  });

  it('tells what it would do, and which app is busy', async () => {
    const dry = await run(['--app', tenant.app, '--to', '1', '--dry-run']);
    expect(dry).toMatchObject({ code: 0 });
    expect(dry.output).toContain('1 endpoints, 1 deliveries open');
    expect(dry.output).toContain('Nothing has been changed.');
    expect(await stack.redis.client.hget('sp:apps', tenant.app)).toMatch(/^0:/);
    const list = await run(['--list']);
    expect(list.output).toMatch(
      new RegExp(`shard 0: 2 apps, 1 deliveries kept\\n +1 kept +1 open +${tenant.app}`),
    );
    expect(await run(['--app', tenant.app, '--to', '0'])).toMatchObject({ code: 0 });
  });
});
