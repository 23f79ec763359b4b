import { Keyring } from '@sealpost/core';
import { Shards } from '@sealpost/queue';
import { Configs, IDLE_MS } from '@sealpost/store';
import { beforeAll, describe, expect, it } from 'vitest';
import { type Loose, Receiver, type Stack, startStack, Tenant, waitFor } from './harness/index.ts';

let stack: Stack;
let shards: Shards;
let configs: Configs;

beforeAll(async () => {
  // Without a worker at first: one looks for idle endpoints when it starts, and then after an hour.
  stack = await startStack({ workers: 0 });
  shards = new Shards(stack.redis.client);
  const keyring = Keyring.fromMasterKeys(Buffer.from(stack.masterKey, 'base64'));
  configs = new Configs({ shards, keyring, shardsForNewApps: 1 });
});

/** Makes of an app's endpoints what they are when they, and the notes about them, are this much older. */
async function age(tenant: Tenant, ms: number): Promise<void> {
  const then = Date.now() - ms;
  const config = await configs.change(tenant.app, ({ endpoints }) => ({
    endpoints: Object.fromEntries(
      [...endpoints.values()].map((one) => [one.id, { ...one, createdAt: then, updatedAt: then }]),
    ),
  }));
  for (const { number } of config.endpoints.values())
    await shards.client.hset(notesOf(config), String(number), String(then));
}

const notesOf = ({ shard, number }: { shard: number; number: number }) =>
  shards.get(shard).key(`idle:${number}`);

const endpointOf = async (tenant: Tenant, { id }: Loose): Promise<Loose> =>
  (await tenant.get(`/endpoints/${id}`)).json;

/** Resolves when a worker has looked at all of an app, and found so many in use. */
async function looked(tenant: Tenant, inUse: number): Promise<void> {
  const config = await configs.newest(tenant.app);
  const isDone = async () => (await shards.client.hlen(notesOf(config))) === inUse;
  await waitFor(isDone, { describe: `the look at ${tenant.app} to be done` });
}

describe('a worker disables endpoints without a delivery for 30 days', () => {
  it('in apps that ask for it and where the wire profile says so, and tells the operators', async () => {
    const receiver = await Receiver.listen();
    await stack.client.put('/v1/apps/sealpost', {});
    const ops = { url: receiver.url('/ops'), event_types: ['endpoint.disabled'] };
    await stack.client.post('/v1/apps/sealpost/endpoints', ops);
    const asking = await Tenant.create(stack.client, { disable_idle_endpoints: true });
    const silent = await Tenant.create(stack.client);
    const tasks = await Tenant.create(stack.client, { wire_profile: 'taskflow' });
    const refusing = await Tenant.create(stack.client, {
      wire_profile: 'taskflow',
      disable_idle_endpoints: false,
    });
    const idle = await asking.endpoint({ url: receiver.url('/idle'), event_types: ['idle'] });
    const used = await asking.endpoint({ url: receiver.url('/used'), event_types: ['order.*'] });
    const ofTasks = await tasks.endpoint({ url: receiver.url('/tasks') });
    const others = [
      [silent, await silent.endpoint({ url: receiver.url() })],
      [refusing, await refusing.endpoint({ url: receiver.url() })],
    ] as const;
    const delivery = await asking.send();
    for (const tenant of [asking, silent, tasks, refusing]) await age(tenant, IDLE_MS + 60_000);
    await shards.client.set(shards.get(0).key('idle:known'), '1');

    await stack.addWorker();
    await looked(asking, 1);
    await looked(tasks, 0);
    expect(await endpointOf(asking, idle)).toMatchObject({ enabled: false, disabled_reason: 'idle' });
    expect(await endpointOf(tasks, ofTasks)).toMatchObject({ enabled: false, disabled_reason: 'idle' });
    expect(await endpointOf(asking, used)).toMatchObject({ enabled: true, disabled_reason: null });
    for (const [tenant, endpoint] of others)
      expect(await endpointOf(tenant, endpoint)).toMatchObject({ enabled: true });
    await asking.ended(delivery);

    const told = await receiver.waitForRequests(2, { path: '/ops' });
    const events = told.map(({ text }) => JSON.parse(text).data);
    expect(events).toEqual(
      expect.arrayContaining([
        { app_id: asking.app, endpoint_id: idle.id, reason: 'idle', disabled_at: expect.any(String) },
        { app_id: tasks.app, endpoint_id: ofTasks.id, reason: 'idle', disabled_at: expect.any(String) },
      ]),
    );

    const skipped = await asking.ended(await asking.send({ type: 'idle' }));
    expect(skipped).toMatchObject({ status: 'skipped', reason: 'endpoint_disabled' });
    await asking.client.patch(`${asking.path}/endpoints/${idle.id}`, { enabled: true });
    await asking.hasStatus(await asking.send({ type: 'idle' }), 'delivered');
  });
});

describe('disable_idle_endpoints', () => {
  it('is shown as it was set, and null where the wire profile decides', async () => {
    const tenant = await Tenant.create(stack.client, { wire_profile: 'taskflow' });
    for (const setting of [true, false, null]) {
      const put = await tenant.client.put(tenant.path, { disable_idle_endpoints: setting });
      expect([put.status, put.json.disable_idle_endpoints], put.text).toEqual([200, setting]);
      expect((await tenant.get('')).json.disable_idle_endpoints).toBe(setting);
    }
    expect((await tenant.client.put(tenant.path, {})).json.disable_idle_endpoints).toBe(null);
    const refused = await tenant.client.put(tenant.path, { disable_idle_endpoints: 'yes' });
    expect([refused.status, refused.json.errors[0].path]).toEqual([422, 'disable_idle_endpoints']);
  });
});
