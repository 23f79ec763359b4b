import { Webhook } from 'standardwebhooks';
import { expect, it } from 'vitest';
import { ApiClient, inTurn, Receiver, startStack, Tenant, waitFor } from './harness/index.ts';

// What a client must do is in apps/worker's conformance tests, which run for each; this is that a worker uses it.
it.each([
  ['got', undefined],
  ['undici', 'undici'],
])(
  '%s posts, signed, what a worker delivers with HTTP_CLIENT=%s, and keeps its connection',
  async (name, set) => {
    const stack = await startStack({ workerEnv: { HTTP_CLIENT: set } });
    const said = () => stack.workers[0]!.logs.find(({ msg }) => msg === 'worker ready');
    const ready = await waitFor(said, { describe: 'the worker to say that it is ready' });
    expect(ready).toMatchObject({ client: name });
    const receiver = await Receiver.listen();
    const tenant = await Tenant.create(stack.client);
    const { secret } = await tenant.endpoint({ url: receiver.url('/hook'), retry: { base_seconds: 0.1 } });
    receiver.respond(inTurn(500, 200));
    await tenant.publish({ type: 'a.b', payload: { text: 'ö€😀' } });
    const [first, second] = await receiver.waitForRequests(2);
    for (const request of [first!, second!]) new Webhook(secret).verify(request.text, request.headers);
    expect(JSON.parse(second!.text)).toMatchObject({ data: { text: 'ö€😀' } });
  },
);

it('undici reaches no private address either, whatever the API let pass', async () => {
  const stack = await startStack({
    env: { SEALPOST_ALLOW_SUBNETS: undefined },
    workerEnv: { HTTP_CLIENT: 'undici' },
  });
  const receiver = await Receiver.listen();
  const api = await stack.addApi({ SEALPOST_ALLOW_SUBNETS: '127.0.0.0/8' });
  const tenant = (await Tenant.create(stack.client)).through(new ApiClient(api.url, stack.apiKey));
  await tenant.endpoint({ url: receiver.url('/hook'), retry: { max_retries: 0 } });
  const published = await tenant.publish({ type: 'a.b', payload: 1 });
  const delivery = await tenant.ended(published.deliveries[0].id);
  expect(delivery.attempts).toMatchObject([{ error: 'address_blocked' }]);
  expect(receiver.requests).toHaveLength(0);
});
