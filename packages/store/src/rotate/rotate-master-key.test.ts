import { formatId, Keyring } from '@sealpost/core';
import {
  accept,
  type EventRecord,
  eventId,
  FLAG,
  hashEvent,
  type RedisClient,
  Shards,
  sealedFields,
  webhookSecretAad,
} from '@sealpost/queue';
import { startTestRedis, type TestRedis } from '@sealpost/queue/testing';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { openEndpoint, openSigningSecret } from '../config-records.ts';
import { Configs } from '../configs.ts';
import { createEndpoint } from '../create-endpoint.ts';
import { Idempotency } from '../idempotency.ts';
import { AppKeys } from '../keys.ts';
import { adoptFormerApiKeys } from './former-api-keys.ts';
import { rotateMasterKey, type Tally } from './rotate-master-key.ts';

const [OLD, NEW, NEXT] = [1, 2, 3].map((byte) => Buffer.alloc(32, byte)) as [Buffer, Buffer, Buffer];
const old = Keyring.fromMasterKeys(OLD);
const both = () => Keyring.fromMasterKeys(NEW, OLD);
const BODY = '{"n":1}';
const ANSWER = { status: 202, headers: {}, json: '{"id":"evt"}' };

let redis: TestRedis;
let shards: Shards;
let apiKey: string;
let app: { shard: number; number: number };
let endpoint: { id: string; number: number };

beforeAll(async () => {
  redis = await startTestRedis();
  shards = new Shards(redis.client);
});
afterAll(() => redis.stop());

const tally = (): Tally => ({ records: 0, events: 0, deliveries: 0, answers: 0, damaged: 0 });
const request = () => ({ app: 'shop', owner: app.number, route: '/v1/x', key: 'k1', body: '{}' });
const configsOf = (keyring: Keyring) => new Configs({ shards, keyring, shardsForNewApps: 1 });

beforeEach(() => writeAll());

/** An app with an endpoint, a key, a kept answer, and three events of which one has a secret; all under the old key. */
async function writeAll(): Promise<void> {
  await redis.client.flushall();
  await redis.client.sadd('sp:master', old.keyId, both().keyId);
  const configs = configsOf(old);
  const record = {
    app: 'shop',
    name: null,
    wireProfile: 'standard' as const,
    signingSecretSealed: old.encrypt('signing', { app: 'shop', record: 'app', field: 'signing_secret' }),
    defaults: {},
    maxEndpoints: null,
    operationalEvents: false,
    metadata: {},
    createdAt: 1,
    updatedAt: 1,
  };
  await configs.put('shop', () => record);
  const made = await createEndpoint(
    { configs, keyring: old },
    'shop',
    {
      url: 'https://receiver.example/',
      description: `a tenant's text that looks like what is encrypted: v1.${old.keyId}.x`,
      event_types: [],
      environments: [],
      enabled: true,
      ordered: false,
      metadata: {},
      secret: 'endpoint-secret',
      headers: { 'x-token': 'header-secret' },
    } as never,
    1,
  );
  endpoint = made.endpoint;
  ({ key: apiKey } = await new AppKeys({ shards, configs, keyring: old }).create('shop', {}, 1));
  app = (await configs.load('shop'))!;
  const idempotency = new Idempotency(old);
  await idempotency.begin(shards.get(0), request());
  await idempotency.finish(shards.get(0), request(), ANSWER);
  for (let number = 1; number <= 3; number++)
    await acceptEvent(number, number === 2 ? 'event-secret' : undefined);
}

async function acceptEvent(number: number, secret?: string): Promise<void> {
  const shard = shards.get(0);
  const record: EventRecord = { a: 'shop', n: app.number, t: 'a.b', at: Date.now(), k: 1 };
  if (secret) record.s = old.encrypt(secret, webhookSecretAad('shop', 0, number));
  const text = JSON.stringify(record);
  const { version } = (await configsOf(old).load('shop'))!;
  const delivery = formatId('dlv', 0, number);
  const event = eventId(0, number, record);
  const fields = { delivery, event, endpointId: endpoint.id, recordHash: hashEvent(text, BODY) };
  const accepted = await accept(shard, {
    app: app.number,
    configVersion: version,
    number,
    record: text,
    body: BODY,
    ownId: undefined,
    correlationId: undefined,
    waitChannel: undefined,
    deliveries: [
      {
        status: 'pending',
        flags: FLAG.wait,
        generation: 1,
        attempts: 0,
        jobBase: 0,
        retryBase: 0,
        event: number,
        app: app.number,
        endpoint: endpoint.number,
        createdAt: record.at,
        dueAt: record.at,
        statusCode: 0,
        reason: 'none',
        keyId: old.keyId,
        seal: old.seal(sealedFields(record, fields)),
      },
    ],
    retention: { recordsMs: 1e9, bodiesMs: 1e9 },
  });
  expect(accepted.result).toBe('accepted');
}

/** What a process with this keyring makes of everything stored. */
async function readAll(keyring: Keyring): Promise<unknown> {
  await adoptFormerApiKeys(redis.client, keyring);
  const config = (await configsOf(keyring).load('shop'))!;
  const seals: string[] = [];
  const secrets: string[] = [];
  for (let number = 1; number <= 3; number++) {
    const bytes = (await redis.client.hgetBuffer('{sp:0}:d:0', String(number)))!;
    const text = (await redis.client.hget('{sp:0}:e:0', String(number)))!;
    const record = JSON.parse(text) as EventRecord;
    const fields = sealedFields(record, {
      delivery: formatId('dlv', 0, number),
      event: eventId(0, number, record),
      endpointId: endpoint.id,
      recordHash: hashEvent(text, BODY),
    });
    seals.push(keyring.verifySeal(bytes.toString('hex', 39, 43), fields, bytes.subarray(43)));
    if (record.s) secrets.push(keyring.decrypt(record.s, webhookSecretAad('shop', 0, number)));
  }
  const opened = openEndpoint(keyring, 'shop', config.endpoints.get(endpoint.id)!);
  return {
    signing: openSigningSecret(keyring, config.record),
    ...opened,
    apiKey: keyring.hashesOfApiKey(apiKey).some((hash) => config.keys.has(hash)),
    answer: await new Idempotency(keyring).begin(shards.get(0), request()),
    seals,
    event: secrets,
  };
}

const WHOLE = {
  signing: 'signing',
  headers: { 'x-token': 'header-secret' },
  secrets: [{ value: 'endpoint-secret' }],
  apiKey: true,
  answer: { state: 'replay', answer: ANSWER },
  seals: ['valid', 'valid', 'valid'],
  event: ['event-secret'],
};

describe('rotating the master key', () => {
  it('leaves nothing that needs the old one', async () => {
    expect(await readAll(old)).toEqual(WHOLE);
    const counted = tally();
    expect(await rotateMasterKey(shards, both(), counted)).toEqual({ done: true });
    expect(counted).toEqual({ records: 3, events: 1, deliveries: 3, answers: 1, damaged: 0 });
    expect(await redis.client.smembers('sp:master')).toEqual([both().keyId]);
    expect(await readAll(Keyring.fromMasterKeys(NEW))).toEqual(WHOLE);
    expect(await redis.client.ttl((await redis.client.keys('{sp:0}:i:*'))[0]!)).toBeGreaterThan(86_000);
  });

  it('keeps the keys of apps through a second one', async () => {
    await rotateMasterKey(shards, both(), tally());
    await rotateMasterKey(shards, Keyring.fromMasterKeys(NEXT, NEW), tally());
    expect(await readAll(Keyring.fromMasterKeys(NEXT))).toEqual(WHOLE);
  });

  it('can be broken off at any command, and everything can be read all the time, and again run to its end', async () => {
    for (let most = 0, done = false; !done; most++) {
      await writeAll();
      const first = await rotateMasterKey(breakingShards(most), both(), tally()).catch(() => undefined);
      expect(await readAll(both()), `broken off after ${most} commands`).toEqual(WHOLE);
      expect(await rotateMasterKey(shards, both(), tally())).toEqual({ done: true });
      expect(await readAll(Keyring.fromMasterKeys(NEW)), `after ${most} commands`).toEqual(WHOLE);
      done = first?.done ?? false;
      if (done) expect(most).toBeGreaterThan(20);
    }
  });

  it('two at once do no harm', async () => {
    await Promise.all([rotateMasterKey(shards, both(), tally()), rotateMasterKey(shards, both(), tally())]);
    expect(await readAll(Keyring.fromMasterKeys(NEW))).toEqual(WHOLE);
  });

  it('makes nothing valid that somebody else has written', async () => {
    await redis.client.hset('{sp:0}:b:0', '1', '{"n":1000000}');
    const key = `{sp:0}:cfg:${app.number}`;
    const stored = (await redis.client.hget(key, endpoint.id))!;
    await redis.client.hset(key, endpoint.id, stored.replace('receiver', 'attacker'));
    const counted = tally();
    expect(await rotateMasterKey(shards, both(), counted)).toEqual({ done: true });
    expect(counted.damaged).toBe(2);
    const alone = Keyring.fromMasterKeys(NEW);
    // Refused for what it is: `unknown_key` would make every process unready.
    await expect(configsOf(alone).load('shop')).rejects.toMatchObject({ code: 'config_invalid' });
    const bytes = (await redis.client.hgetBuffer('{sp:0}:d:0', '1'))!;
    expect(bytes.toString('hex', 39, 43)).toBe(alone.keyId);
  });

  it('goes on while endpoints are changed', async () => {
    const configs = configsOf(both());
    await configs.load('shop');
    const rotation = rotateMasterKey(shards, both(), tally());
    for (let i = 0; i < 20; i++) {
      await configs.change('shop', (config) => ({
        endpoints: { [endpoint.id]: { ...config.endpoints.get(endpoint.id)!, description: `${i}` } },
      }));
    }
    expect(await rotation).toEqual({ done: true });
    const alone = Keyring.fromMasterKeys(NEW);
    expect(await readAll(alone)).toEqual(WHOLE);
    expect((await configsOf(alone).load('shop'))!.endpoints.get(endpoint.id)!.description).toBe('19');
  });

  it('what a process had read before it is not written back after it', async () => {
    const configs = configsOf(both());
    await configs.load('shop');
    expect(await rotateMasterKey(shards, both(), tally())).toEqual({ done: true });
    await configs.change('shop', (config) => ({
      endpoints: { [endpoint.id]: { ...config.endpoints.get(endpoint.id)!, description: 'new' } },
    }));
    expect(await readAll(Keyring.fromMasterKeys(NEW))).toEqual(WHOLE);
  });

  it('writes a config in stretches, all of which are read again by who knew it', async () => {
    const configs = configsOf(old);
    const present = (await configs.load('shop'))!.endpoints.get(endpoint.id)!;
    const ids = [1, 2, 3, 4].map((n) => formatId('ep', 0, 1000 + n));
    for (const id of ids) {
      const large = { ...present, id, headersSealed: {}, secrets: [], description: 'x'.repeat(600_000) };
      await configs.change('shop', () => ({ endpoints: { [id]: large } }));
    }
    const counted = tally();
    expect(await rotateMasterKey(shards, both(), counted)).toEqual({ done: true });
    expect(counted.records).toBe(7);
    const config = (await configsOf(Keyring.fromMasterKeys(NEW)).load('shop'))!;
    for (const id of ids) expect(config.endpoints.get(id)!.description).toHaveLength(600_000);
  });

  it('keeps everything else of a delivery that moves on meanwhile', async () => {
    const before = (await redis.client.hgetBuffer('{sp:0}:d:0', '1'))!;
    await rotateMasterKey(shards, both(), tally());
    const after = (await redis.client.hgetBuffer('{sp:0}:d:0', '1'))!;
    expect(after.subarray(0, 39)).toEqual(before.subarray(0, 39));
    expect(after).toHaveLength(63);
  });
});

/** Shards whose connection takes so many commands, and fails at every one after them. */
function breakingShards(most: number): Shards {
  let used = 0;
  const client = new Proxy(redis.client, {
    get(target, name) {
      const value = Reflect.get(target, name, target) as unknown;
      if (typeof value !== 'function') return value;
      return (...args: unknown[]) => {
        if (name !== 'defineCommand' && ++used > most) throw new Error('broken off');
        return (value as (...all: unknown[]) => unknown).apply(target, args);
      };
    },
  });
  return new Shards(client as RedisClient);
}
