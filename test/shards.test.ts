import { expect, it } from 'vitest';
import { Receiver, startStack, waitFor } from './harness/index.ts';

it('apps are spread over the shards, stay where they are, and every worker serves them all', async () => {
  const stack = await startStack({ apiEnv: { SEALPOST_SHARDS: '3' } });
  const receiver = await Receiver.listen();
  const apps = Array.from({ length: 12 }, (_, i) => `app-${i}`);
  for (const app of apps) {
    await stack.client.put(`/v1/apps/${app}`, {});
    await stack.client.post(`/v1/apps/${app}/endpoints`, { url: receiver.url(`/${app}`) });
  }
  const directory = await stack.redis.client.hgetall('sp:apps');
  const shards = new Set(apps.map((app) => directory[app]!.split(':')[0]));
  expect(shards.size).toBe(3);

  // The setting counts for new apps alone: an API with another one finds every app.
  const one = await stack.addApi({ SEALPOST_SHARDS: '1' });
  for (const app of apps) {
    const published = await fetch(`${one.url}/v1/apps/${app}/events`, {
      method: 'POST',
      headers: { authorization: `Bearer ${stack.apiKey}`, 'content-type': 'application/json' },
      body: JSON.stringify({ type: 'a.b', payload: app }),
    });
    expect(published.status).toBe(202);
  }
  await receiver.waitForRequests(apps.length);
  expect(new Set(receiver.requests.map(({ path }) => path))).toEqual(new Set(apps.map((app) => `/${app}`)));
  for (const key of await stack.redis.client.keys('*')) expect(key).toMatch(/^(sp:|\{sp:[012]\}:)/);
  await waitFor(async () => (await stack.client.get('/admin/queues/api/queues')).json.queues.length >= 3, {
    describe: 'Bull Board to show all queues',
  });
});
