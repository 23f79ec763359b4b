import type { Keyring } from '@sealpost/core';
import { Redis } from 'ioredis';
import { ClusterConnection, nodeName } from './cluster-connection.ts';
import type { RedisClient } from './connection.ts';
import { DIRECTORY } from './keys.ts';

/** Redis is not fit to hold deliveries; the message says what is wrong and what to do. */
export class ServerCheckError extends Error {
  override readonly name = 'ServerCheckError';
}

const OLDEST: Version = [6, 2];

type Version = [major: number, minor: number];

/** What one server says of itself. `config` is empty where the CONFIG command is forbidden, as at some providers. */
type Server = { name: string; info: Map<string, string>; config: Map<string, string> };

/**
 * Checks at start that Redis is one that can be trusted with deliveries: its version, role and eviction policy, and
 * that its data was not written with another master key. Of a Cluster every master is checked.
 * Resolves to warnings for the log. @throws ServerCheckError
 */
export async function checkServer(client: RedisClient, options: { keyring: Keyring }): Promise<string[]> {
  const warnings = new Set<string>();
  const { servers, away } = await describeServers(client);
  for (const name of away) warnings.add(`${name} does not answer, and is used unchecked when it does.`);
  for (const server of servers) {
    checkFitness(server, client instanceof ClusterConnection);
    const warning = persistenceWarning(server);
    if (warning) warnings.add(warning);
  }
  await checkMasterKey(client, options.keyring);
  return [...warnings];
}

/**
 * How a connection makes sure that what was accepted is as durable as `mode` says: `none`: nothing to wait for;
 * `waitaof`: WAITAOF (Redis ≥ 7.2); `wait`: WAIT for a replica. Resolves to warnings as well.
 * @throws ServerCheckError when this Redis cannot give that
 */
export async function checkDurability(
  client: RedisClient,
  mode: 'process' | 'disk' | 'replica',
): Promise<{ barrier: 'none' | 'waitaof' | 'wait'; warnings: string[] }> {
  if (mode === 'process') return { barrier: 'none', warnings: [] };
  const { servers, away } = await describeServers(client);
  if (mode === 'disk') {
    const every = servers.map(diskBarrier);
    if (every.includes('waitaof')) return { barrier: 'waitaof', warnings: [] };
    if (away.length === 0) return { barrier: 'none', warnings: [] };
    if (servers.every(hasWaitAof)) return { barrier: 'waitaof', warnings: [] };
    throw new ServerCheckError(
      `SEALPOST_DURABILITY=disk needs to know of every master whether it writes with "appendfsync always", ` +
        `and ${away.join(', ')} does not answer. Start again when it does.`,
    );
  }
  const alone = servers.filter(({ info }) => Number(info.get('connected_slaves') ?? 0) === 0);
  const warnings = alone.map(
    ({ name }) =>
      `${name} has no replica yet: with SEALPOST_DURABILITY=replica nothing is published until it has.`,
  );
  return { barrier: 'wait', warnings };
}

function diskBarrier({ name, info, config }: Server): 'none' | 'waitaof' {
  if (info.get('aof_enabled') !== '1') {
    throw new ServerCheckError(
      `SEALPOST_DURABILITY=disk needs the append-only file, which is off at ${name}. Set "appendonly yes" there.`,
    );
  }
  if (config.get('appendfsync') === 'always') return 'none';
  if (hasWaitAof({ info })) return 'waitaof';
  throw new ServerCheckError(
    `SEALPOST_DURABILITY=disk needs "appendfsync always" at ${name}, or Redis 7.2 or newer; ` +
      `it runs ${info.get('redis_version')}${config.size === 0 ? ' and does not show its configuration' : ''}.`,
  );
}

function hasWaitAof({ info }: Pick<Server, 'info'>): boolean {
  return isAtLeast(versionOf(info), [7, 2]);
}

function checkFitness({ name, info }: Server, inCluster: boolean): void {
  if (!isAtLeast(versionOf(info), OLDEST)) {
    throw new ServerCheckError(
      `${name} runs Redis ${info.get('redis_version') ?? 'of an unknown version'}; Sealpost needs ${OLDEST.join('.')} or newer.`,
    );
  }
  // Valkey ≥ 8.1 says it by its own name.
  if (!inCluster && (info.get('redis_mode') ?? info.get('server_mode')) === 'cluster') {
    throw new ServerCheckError(
      `${name} is a node of a Redis Cluster; name several of its nodes in REDIS_URL, separated by commas.`,
    );
  }
  const role = info.get('role');
  if (role !== 'master') {
    throw new ServerCheckError(
      `${name} is a ${role === 'slave' ? 'replica' : role}; set REDIS_URL to its master.`,
    );
  }
  const policy = info.get('maxmemory_policy');
  if (policy !== 'noeviction') {
    throw new ServerCheckError(
      `${name} has maxmemory-policy ${policy}, so that it would throw deliveries away when it is full. ` +
        'Set "maxmemory-policy noeviction" there.',
    );
  }
}

function persistenceWarning({ name, info, config }: Server): string | undefined {
  if (info.get('aof_enabled') === '1') return undefined;
  // Without CONFIG only INFO is left, which tells of snapshots once there was one.
  const snapshots = config.has('save') ? config.get('save') !== '' : Number(info.get('rdb_saves') ?? 0) > 0;
  return snapshots
    ? `${name} keeps its data in snapshots only: a crash loses what came after the last one. Set "appendonly yes".`
    : `${name} keeps its data in memory only: a restart loses every delivery. Set "appendonly yes".`;
}

/**
 * The ids of all master keys with which something in this Redis was written. Adds the present one, in one step with
 * looking whether there is one that is not known.
 */
const CLAIM_MASTER_KEY = `
local known = {}
for i = 1, #ARGV do known[ARGV[i]] = true end
local present = false
for _, id in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  if not known[id] then return id end
  present = present or id == ARGV[1]
end
-- A Redis that is full refuses a write, and a worker must be able to start and drain it.
if not present then redis.call('SADD', KEYS[1], ARGV[1]) end
return false`;

async function checkMasterKey(client: RedisClient, keyring: Keyring): Promise<void> {
  const present = await client.smembers(DIRECTORY.master);
  const known = [keyring.keyId, ...present.filter((id) => keyring.knows(id))];
  const unknown = await client.eval(CLAIM_MASTER_KEY, 1, DIRECTORY.master, ...known);
  if (unknown === null) return;
  throw new ServerCheckError(
    `The data in Redis was written with another master key (id ${String(unknown)}; SEALPOST_MASTER_KEY has the id ` +
      `${keyring.keyId}). Set SEALPOST_MASTER_KEY to that key, or SEALPOST_MASTER_KEY_PREVIOUS if it has been replaced.`,
  );
}

/**
 * All masters. One of a Cluster may be away: a process that would not start for that could serve none of the others.
 * @throws Redis' error when none answers
 */
async function describeServers(client: RedisClient): Promise<{ servers: Server[]; away: string[] }> {
  const nodes = client instanceof Redis ? [client] : client.nodes('master');
  const told = await Promise.allSettled(nodes.map(describe));
  const servers = told.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  const failed = told.find((one) => one.status === 'rejected');
  if (servers.length === 0 && failed) throw failed.reason;
  const away = nodes.filter((_, i) => told[i]!.status === 'rejected').map(nameOf);
  return { servers, away };
}

function nameOf(node: Redis): string {
  return `Redis at ${nodeName(node)}`;
}

async function describe(node: Redis): Promise<Server> {
  const info = new Map<string, string>();
  for (const line of (await node.info()).split('\r\n')) {
    const colon = line.indexOf(':');
    if (colon > 0 && !line.startsWith('#')) info.set(line.slice(0, colon), line.slice(colon + 1));
  }
  return { name: nameOf(node), info, config: await readConfig(node) };
}

async function readConfig(node: Redis): Promise<Map<string, string>> {
  const config = new Map<string, string>();
  for (const name of ['save', 'appendfsync']) {
    try {
      const [, value] = (await node.config('GET', name)) as string[];
      if (value !== undefined) config.set(name, value);
    } catch {
      return config; // Forbidden at many providers; what it says is a bonus.
    }
  }
  return config;
}

/** Valkey calls itself a Redis of the version that it is compatible with. */
function versionOf(info: Map<string, string>): Version {
  const [major, minor] = (info.get('redis_version') ?? '0.0').split('.').map(Number);
  return [major ?? 0, minor ?? 0];
}

function isAtLeast([major, minor]: Version, [leastMajor, leastMinor]: Version): boolean {
  return major > leastMajor || (major === leastMajor && minor >= leastMinor);
}
