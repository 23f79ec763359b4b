import { expect, it } from 'vitest';
import { Receiver, startStack, type TestRedis, waitFor } from './harness/index.ts';

it('no secret is in Redis in the clear, nor in any log', async () => {
  const stack = await startStack();
  const receiver = await Receiver.listen();
  receiver.respond('/dead', 500);
  const secret = 'whsec_MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1ub3BxcnN0dXY=';
  const { client } = stack;
  await client.put('/v1/apps/vault', { signing_secret: 'app-signing-secret-7f3a' });
  const key = await client.post('/v1/apps/vault/keys', {}, { 'idempotency-key': 'make-a-key' });
  expect(key.status).toBe(201);
  const made = await client.post('/v1/apps/vault/endpoints', {
    url: receiver.url('/good'),
    secret,
    headers: { authorization: 'Bearer header-secret-91bc' },
  });
  expect(made.status).toBe(201);
  const dead = await client.post('/v1/apps/vault/endpoints', {
    url: receiver.url('/dead'),
    retry: { max_retries: 0 },
  });
  const rotated = await client.post(`/v1/apps/vault/endpoints/${made.json.id}/secret/rotate`, {});
  expect(rotated.status).toBe(200);
  const published = await client.post('/v1/apps/vault/events', {
    type: 'a.b',
    payload: { open: 'payload-text' },
    webhook_url: receiver.url('/once'),
    webhook_secret: 'per-request-secret-5e5e',
  });
  expect(published.status).toBe(202);
  await receiver.waitForRequests(3);
  await waitFor(
    async () =>
      (await client.get('/v1/apps/vault/deliveries?status=delivered,dead')).json.pagination.total === 3,
    { describe: 'all three deliveries to end' },
  );

  const secrets = [
    stack.apiKey,
    stack.masterKey,
    Buffer.from(stack.masterKey, 'base64').toString('latin1'),
    key.json.key,
    secret,
    secret.slice('whsec_'.length),
    Buffer.from(secret.slice('whsec_'.length), 'base64').toString('latin1'),
    rotated.json.secret,
    dead.json.secret,
    'app-signing-secret-7f3a',
    'header-secret-91bc',
    'per-request-secret-5e5e',
  ];
  const dump = await everythingIn(stack.redis);
  expect(dump).toContain('payload-text'); // the dump does see values
  const logs = [stack.api, ...stack.workers].map(({ output }) => output).join('\n');
  expect(logs).toContain('attempt');
  for (const text of secrets) {
    expect(dump.includes(text), `${text.slice(0, 12)}… in Redis`).toBe(false);
    expect(logs.includes(text), `${text.slice(0, 12)}… in a log`).toBe(false);
  }
});

/** All keys and values, as Latin-1 text so that bytes stay what they are. */
async function everythingIn({ client }: TestRedis): Promise<string> {
  const parts: string[] = [];
  const add = (value: unknown): void => {
    if (Buffer.isBuffer(value)) parts.push(value.toString('latin1'));
    else if (Array.isArray(value)) value.forEach(add);
    else if (value !== null && typeof value === 'object') Object.entries(value).forEach(add);
    else parts.push(String(value));
  };
  for (const key of await client.keys('*')) {
    parts.push(key);
    const type = await client.type(key);
    if (type === 'hash') add(await client.callBuffer('HGETALL', key));
    else if (type === 'list') add(await client.callBuffer('LRANGE', key, '0', '-1'));
    else if (type === 'zset') add(await client.callBuffer('ZRANGE', key, '0', '-1'));
    else if (type === 'set') add(await client.callBuffer('SMEMBERS', key));
    else if (type === 'stream') add(await client.callBuffer('XRANGE', key, '-', '+'));
    else if (type === 'string') add(await client.callBuffer('GET', key));
    else if (type === 'none')
      continue; // a lock of a job that has just ended
    else throw new Error(`a key of type ${type} was not looked into`);
  }
  return parts.join('\n');
}
