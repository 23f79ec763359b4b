import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { Keyring } from '@sealpost/core';
import { ManagedProcess } from '@sealpost/scripts/managed-process';
import { beforeAll, describe, expect, it } from 'vitest';
import { stopAfterAll } from './harness/cleanup.ts';
import {
  ApiClient,
  type AppProcess,
  type Loose,
  Receiver,
  type Stack,
  spawnApp,
  startStack,
  Tenant,
  untilEnded,
  verifySignature,
  waitFor,
  watchProcess,
} from './harness/index.ts';

const ROOT = join(import.meta.dirname, '..');
const WAITING = 1500;
/** Deliveries of an endpoint that go out while all is written anew. */
const BUSY = 500;
const NEW_KEY = randomBytes(32).toString('base64');
const idOf = (masterKey: string) => Keyring.fromMasterKeys(Buffer.from(masterKey, 'base64')).keyId;

/** `npm run rotate-master-key`, as a process that can be killed. */
function startRotation(env: Record<string, string>): { process: ManagedProcess; output: () => string } {
  const lines: string[] = [];
  const rotation = new ManagedProcess({
    name: 'rotate-master-key',
    command: process.execPath,
    args: [join(ROOT, 'packages/store/src/rotate/main.ts')],
    cwd: ROOT,
    env: { PATH: process.env.PATH, ...env },
    onLine: (line) => lines.push(line),
  });
  watchProcess(rotation);
  stopAfterAll(() => rotation.stop(5000));
  return { process: rotation, output: () => lines.join('\n') };
}

/** How many delivery records there are under each master key, by its id. */
async function deliveriesByKey({ redis }: Stack): Promise<Map<string, number>> {
  const counts = new Map<string, number>();
  for (const key of await redis.client.keys('{sp:0}:d:*')) {
    for (const bytes of Object.values(await redis.client.hgetallBuffer(key))) {
      if (bytes.length !== 63) continue;
      const id = bytes.toString('hex', 39, 43);
      counts.set(id, (counts.get(id) ?? 0) + 1);
    }
  }
  return counts;
}

/** Everything in Redis that names a master key, but what is kept for the keys of apps. */
async function placesNaming(stack: Stack, keyId: string): Promise<string[]> {
  const { client } = stack.redis;
  const found: string[] = [];
  for (const key of await client.keys('*')) {
    const type = await client.type(key);
    const text =
      type === 'hash'
        ? JSON.stringify(await client.hgetall(key))
        : type === 'string'
          ? await client.get(key)
          : type === 'set'
            ? (await client.smembers(key)).join(' ')
            : '';
    if (key !== 'sp:former' && text?.includes(keyId)) found.push(key);
  }
  return found;
}

describe('the master key is rotated under a running Sealpost', () => {
  let stack: Stack;
  let receiver: Receiver;
  let tenant: Tenant;
  let endpoint: Loose;
  let busy: Loose;
  let appKey: string;
  let api: AppProcess;
  let worker: AppProcess;
  let onceDelivery: string;
  let deadDelivery: string;
  let both: Record<string, string>;
  const onceSecret = 'per-request-secret-5e5e';
  const signingSecret = 'signing-secret-of-the-app';
  /** In the form that the library takes; the receivers' own is the text. */
  const secretOf = (text: string) => `whsec_${Buffer.from(text).toString('base64')}`;
  const keyed = { type: 'keyed.once', payload: { n: 1 } };

  beforeAll(async () => {
    stack = await startStack();
    both = { SEALPOST_MASTER_KEY: NEW_KEY, SEALPOST_MASTER_KEY_PREVIOUS: stack.masterKey };
    receiver = await Receiver.listen();
    receiver.respond('/once', 500);
    receiver.respond('/dead', 500);
    tenant = await Tenant.create(stack.client, { signing_secret: signingSecret });
    appKey = (await stack.client.post(`${tenant.path}/keys`, {})).json.key;
    endpoint = await tenant.endpoint({
      url: receiver.url('/waiting'),
      event_types: ['waits.*'],
      secret: `whsec_${Buffer.alloc(24, 7).toString('base64')}`,
      headers: { 'x-token': 'header-secret-91bc' },
    });
    await tenant.endpoint({
      url: receiver.url('/dead'),
      event_types: ['dies.*'],
      retry: { max_retries: 0 },
    });
    busy = await tenant.endpoint({ url: receiver.url('/busy'), event_types: ['busy.*'] });
    await stack.client.post(`${tenant.path}/endpoints/${endpoint.id}/pause`);
    await stack.client.post(`${tenant.path}/endpoints/${busy.id}/pause`);
    for (let n = 0; n < WAITING; n += 500) await publishMany('waits.long', 500);
    await publishMany('busy.early', BUSY);
    onceDelivery = await tenant.send({
      type: 'sent.once',
      webhook_url: receiver.url('/once'),
      webhook_secret: onceSecret,
      // Long enough for the whole rotation.
      retry: { base_seconds: 25, factor: 1 },
    });
    deadDelivery = await tenant.send({ type: 'dies.soon' });
    await tenant.hasStatus(onceDelivery, 'retrying');
    await tenant.hasStatus(deadDelivery, 'dead');
    await tenant.publish(keyed, { 'idempotency-key': 'rotation' });
  });

  async function publishMany(type: string, count: number): Promise<void> {
    const events = Array.from({ length: count }, (_, payload) => ({ type, payload }));
    const answer = await tenant.client.post(`${tenant.path}/events/batch`, { events });
    expect(answer.status, answer.text).toBe(202);
    expect(answer.json.results.every(({ status }: Loose) => status === 202)).toBe(true);
  }

  it('does not begin before any process has the new key', async () => {
    const rotation = startRotation({ REDIS_URL: stack.redis.url, ...both });
    expect((await rotation.process.exited).code).toBe(1);
    expect(rotation.output()).toContain(`No process has been started with the key ${idOf(NEW_KEY)}`);
    expect(await placesNaming(stack, idOf(NEW_KEY))).toEqual([]);
  });

  it('one process after the other gets both keys, and what one cannot read yet is not dead but waits', async () => {
    api = await stack.addApi(both);
    const client = new ApiClient(api.url, stack.apiKey);
    // Sealed under the new key, while the only worker has the old one.
    const early = await tenant.through(client).send({ type: 'dies.early' });
    await waitFor(async () => !(await fetch(`${stack.workers[0]!.url}/readyz`)).ok, {
      describe: 'the worker with the old key to be no longer ready',
    });
    expect((await tenant.through(client).delivery(early)).status).toBe('pending');
    worker = await stack.addWorker(both);
    expect(await tenant.through(client).ended(early)).toMatchObject({
      status: 'dead',
      attempts: [{ status_code: 500 }],
    });
    await Promise.all([stack.api.stop(), stack.workers[0]!.stop()]);
    stack.client = client;
    tenant = tenant.through(client);
    expect((await client.withKey(appKey).get(tenant.path)).status).toBe(200);
  });

  it('a rotation that is killed in the middle goes on where it was', async () => {
    const env = { REDIS_URL: stack.redis.url, ...both };
    const [oldId, newId] = [idOf(stack.masterKey), idOf(NEW_KEY)];
    const first = startRotation(env);
    const under = async (id: string) => (await deliveriesByKey(stack)).get(id) ?? 0;
    // It stands still while it is looked at, or it might be done before it is known to have begun.
    const begun = async () => {
      void first.process.kill('SIGSTOP');
      if ((await under(newId)) > 100) return true;
      void first.process.kill('SIGCONT');
      return false;
    };
    await waitFor(begun, { describe: 'the first deliveries to be sealed anew' });
    await first.process.kill('SIGKILL');
    // What it had sent before its end may still be on the way.
    let left = -1;
    const settled = async () => {
      const before = left;
      left = await under(oldId);
      return left === before;
    };
    await waitFor(settled, { describe: 'the last of what it sent to be done' });
    expect(left).toBeGreaterThan(0);
    expect(await stack.redis.client.smembers('sp:master')).toContain(oldId);

    // Everything goes on meanwhile: deliveries go out, new ones come, endpoints are changed.
    await tenant.client.post(`${tenant.path}/endpoints/${busy.id}/resume`);
    const second = startRotation(env);
    for (let i = 0; i < 20; i++) {
      await publishMany('busy.late', 5);
      const change = { description: `${i}` };
      expect((await tenant.client.patch(`${tenant.path}/endpoints/${busy.id}`, change)).status).toBe(200);
    }
    const { code } = await second.process.exited;
    expect(code, second.output()).toBe(0);
    expect(second.output()).toContain(`Nothing is left under ${oldId}`);
    // What the first one had done, and what the second one says it did, are all that there was.
    const [, counted] = /Written anew: .* (\d+) deliveries/.exec(second.output())!;
    expect(Number(counted)).toBe(left);
    expect(await under(oldId)).toBe(0);
    expect(await stack.redis.client.smembers('sp:master')).toEqual([newId]);
    expect(await placesNaming(stack, oldId)).toEqual([]);
    const arrived = await receiver.waitForRequests(BUSY + 100, { path: '/busy' });
    for (const request of arrived) verifySignature(request, secretOf(signingSecret));
  });

  it('then every process runs with the new key alone, and nothing is lost', async () => {
    const only = { SEALPOST_MASTER_KEY: NEW_KEY };
    const [next, nextWorker] = await Promise.all([stack.addApi(only), stack.addWorker(only)]);
    await Promise.all([api.stop(), worker.stop()]);
    const client = new ApiClient(next.url, stack.apiKey);
    tenant = tenant.through(client);
    worker = nextWorker;

    // Secrets, and the key that was made before.
    const secret = await client.withKey(appKey).get(`${tenant.path}/endpoints/${endpoint.id}/secret`);
    expect(secret.json.secret).toBe(endpoint.secret);
    const again = await tenant.client.post(`${tenant.path}/events`, keyed, { 'idempotency-key': 'rotation' });
    expect([again.status, again.headers.get('idempotent-replayed')]).toEqual([202, 'true']);

    // What was waiting, what was to be retried, what was dead.
    await client.post(`${tenant.path}/endpoints/${endpoint.id}/resume`);
    const waited = await receiver.waitForRequests(WAITING, { path: '/waiting' });
    expect(new Set(waited.map(({ headers }) => headers['webhook-id'])).size).toBe(WAITING);
    for (const request of waited.slice(0, 20)) {
      verifySignature(request, endpoint.secret);
      expect(request.headers['x-token']).toBe('header-secret-91bc');
    }
    receiver.respond('/once', 200);
    receiver.respond('/dead', 200);
    const retried = await client.post(`${tenant.path}/deliveries/${deadDelivery}/retry`);
    expect(retried.status, retried.text).toBe(202);
    await tenant.hasStatus(deadDelivery, 'delivered');
    await tenant.hasStatus(onceDelivery, 'delivered');
    verifySignature(receiver.to('/once').at(-1)!, secretOf(onceSecret));
    const dead = await tenant.get('/deliveries?status=dead');
    expect(dead.json.data.map(({ event_type }: Loose) => event_type)).toEqual(['dies.early']);

    // A key that is revoked now is refused, whatever it was hashed under.
    const { json } = await client.get(`${tenant.path}/keys`);
    expect((await client.delete(`${tenant.path}/keys/${json.data[0].id}`)).status).toBe(204);
    expect((await client.withKey(appKey).get(tenant.path)).status).toBe(401);
  });

  it('the old key alone is refused', async () => {
    for (const kind of ['API', 'worker'] as const) {
      const refused = await spawnApp(kind, {
        REDIS_URL: stack.redis.url,
        SEALPOST_API_KEYS: stack.apiKey,
        SEALPOST_MASTER_KEY: stack.masterKey,
      });
      const { code } = await untilEnded(refused);
      expect(code).toBe(1);
      expect(refused.output).toContain('was written with another master key');
    }
  });
});
