import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Answer as ApiAnswer, ApiClient, type Loose } from '../harness/api-client.ts';
import { stopAfterAll } from '../harness/cleanup.ts';
import { startRedis, type TestRedis } from '../harness/redis.ts';
import { CHARACTERS, type Character, ELSEWHERE, OPERATORS, SHARED_TYPE, typeOf } from './characters.ts';
import { Member } from './member.ts';
import type { Random } from './random.ts';
import { Receivers } from './receivers.ts';
import { SmallDisk } from './small-disk.ts';

export type Durability = 'process' | 'disk' | 'replica';
export const WORKER_SLOTS = 20;
export const APP = 'faults';

export type WorldOptions = { durability: Durability; random: Random; apis: number; workers: number };

/** An endpoint as it was made. */
export type Endpoint = { id: string; app: string; character: Character };

/** The whole system under test: Redis, its proxies, the fleet, the receivers. */
export class World {
  readonly durability: Durability;
  readonly receivers: Receivers;
  readonly members: readonly Member[];
  readonly endpoints: Endpoint[] = [];
  readonly apiKey: string;
  readonly elsewhereSecret = `whsec_${randomBytes(24).toString('base64')}`;
  /** Undefined, with the reason: no disk can be filled here. */
  readonly disk: SmallDisk | undefined;
  readonly noDisk: string | undefined;
  /** The one that takes writes. */
  redis: TestRedis;
  /** With `replica` durability. */
  replica: TestRedis | undefined;

  private constructor(
    options: WorldOptions,
    parts: Pick<World, 'receivers' | 'members' | 'apiKey' | 'disk' | 'noDisk' | 'redis' | 'replica'>,
  ) {
    this.durability = options.durability;
    this.receivers = parts.receivers;
    this.members = parts.members;
    this.apiKey = parts.apiKey;
    this.disk = parts.disk;
    this.noDisk = parts.noDisk;
    this.redis = parts.redis;
    this.replica = parts.replica;
  }

  static async create(options: WorldOptions): Promise<World> {
    const mounted = await SmallDisk.mount();
    const disk = typeof mounted === 'string' ? undefined : mounted;
    if (disk) stopAfterAll(() => disk.unmount(), 'last');
    const appendfsync = options.durability === 'disk' ? 'always' : 'everysec';
    const files = await mkdtemp(join(tmpdir(), 'sealpost-faults-clocks-'));
    stopAfterAll(() => rm(files, { recursive: true, force: true }), 'last');
    const server = async (name: string) =>
      startRedis({
        appendfsync,
        ...(disk ? { dir: await disk.folder(name) } : {}),
      });
    const redis = await server('one');
    const replica = options.durability === 'replica' ? await server('two') : undefined;
    if (replica) await follow(replica, redis);

    const receivers = await Receivers.listen(options.random.fork());
    stopAfterAll(() => receivers.stop());
    const apiKey = `sk_${randomBytes(24).toString('base64url')}`;
    const env = {
      SEALPOST_API_KEYS: apiKey,
      SEALPOST_MASTER_KEY: randomBytes(32).toString('base64'),
      SEALPOST_ALLOW_SUBNETS: '127.0.0.0/8,::1/128',
      SEALPOST_DURABILITY: options.durability,
      WORKER_CONCURRENCY: String(WORKER_SLOTS),
    };
    const join_ = (kind: 'API' | 'worker', n: number) => {
      const name = `${kind} ${n + 1}`;
      return Member.join(name, kind, redis.port, env, join(files, name.replace(' ', '-')));
    };
    const members = await Promise.all([
      ...Array.from({ length: options.apis }, (_, n) => join_('API', n)),
      ...Array.from({ length: options.workers }, (_, n) => join_('worker', n)),
    ]);
    for (const { proxy } of members) stopAfterAll(() => proxy.stop(), 'last');
    const noDisk = typeof mounted === 'string' ? mounted : undefined;
    return new World(options, { receivers, members, apiKey, disk, noDisk, redis, replica });
  }

  get apis(): Member[] {
    return this.members.filter(({ kind }) => kind === 'API');
  }

  get workers(): Member[] {
    return this.members.filter(({ kind }) => kind === 'worker');
  }

  /** Any API that runs. */
  get client(): ApiClient {
    const api = this.apis.find(({ runs, busy }) => runs && !busy) ?? this.apis[0]!;
    return new ApiClient(api.url, this.apiKey);
  }

  async start(): Promise<void> {
    await Promise.all(this.members.map((member) => member.start()));
    const { receivers } = this;
    ok(await this.client.put(`/v1/apps/${APP}`, {}));
    ok(await this.client.put('/v1/apps/sealpost', {}));
    for (const character of [...CHARACTERS, OPERATORS]) {
      const app = character === OPERATORS ? 'sealpost' : APP;
      const types =
        character === OPERATORS ? [] : [typeOf(character), ...(character.shared ? [SHARED_TYPE] : [])];
      const input = { name: character.name, url: receivers.url(character), event_types: types };
      const made = ok(
        await this.client.post(`/v1/apps/${app}/endpoints`, { ...input, ...character.settings }),
      );
      receivers.add(character, made.secret);
      this.endpoints.push({ id: made.id, app, character });
    }
    receivers.add(ELSEWHERE, this.elsewhereSecret);
  }

  /** Who gets an event of this type. */
  endpointsFor(type: string): Endpoint[] {
    return this.endpoints.filter(
      ({ app, character }) =>
        app === APP && (type === typeOf(character) || (type === SHARED_TYPE && character.shared)),
    );
  }

  /** Ends every process of the fleet at once, however frozen. */
  async halt(): Promise<void> {
    this.redis.thaw();
    await Promise.all(this.members.map((member) => member.stop()));
  }

  /** The replica is the master from now on, and the other one, when it runs again, follows it. */
  async promote(): Promise<void> {
    const { redis: old, replica } = this;
    if (!replica) throw new Error('there is no replica');
    await replica.client.call('REPLICAOF', 'NO', 'ONE');
    this.redis = replica;
    this.replica = old;
    for (const { proxy } of this.members) {
      proxy.target = replica.port;
      proxy.cut();
    }
  }

  /** The replica takes what the master has, and is in step. */
  async follow(): Promise<void> {
    if (this.replica) await follow(this.replica, this.redis);
  }
}

async function follow(replica: TestRedis, master: TestRedis): Promise<void> {
  await replica.client.call('REPLICAOF', '127.0.0.1', String(master.port));
  for (let inStep = false; !inStep; await new Promise((resolve) => setTimeout(resolve, 100))) {
    const info = await replica.client.info('replication');
    inStep = info.includes('master_link_status:up') && info.includes(`master_port:${master.port}`);
  }
}

export function ok(answer: ApiAnswer<Loose>): Loose {
  if (answer.status >= 300) throw new Error(`${answer.status} ${answer.text}`);
  return answer.json;
}
