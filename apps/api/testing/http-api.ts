import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { AddressPolicy, inputParser, Keyring } from '@sealpost/core';
import { type RedisClient, Shards } from '@sealpost/queue';
import { Configs, ensureApp, Idempotency } from '@sealpost/store';
import { createLogger, createMetrics, Tracing } from '@sealpost/telemetry';
import { ADMIN_PATH, adminRouter } from '../src/admin/admin-router.ts';
import { createApp } from '../src/app.ts';
import { Authenticator } from '../src/http/authenticate.ts';
import type { Route } from '../src/http/route.ts';
import type { Services } from '../src/services.ts';
import { MASTER_KEY } from './config-api.ts';

export const OPERATOR_KEY = 'operator-key-0123456789';
export const BODY_LIMIT = 64 * 1024;

/** The HTTP surface with routes of a test's own, on a real server: what all routes have in common. */
export type HttpApi = {
  url: string;
  services: Services;
  /** Lines that were logged, parsed. */
  logs: Record<string, unknown>[];
  call(
    method: string,
    path: string,
    options?: { key?: string; body?: string | Buffer; headers?: Record<string, string> },
  ): Promise<Response>;
  /** A new key of this app, which is made if it is not there. */
  keyOf(app: string): Promise<string>;
  stop(): Promise<void>;
};

export async function startHttpApi(
  client: RedisClient,
  routes: (services: Services) => Route[],
  options: { apiKeys?: string[]; onUnknownKey?: () => void } = {},
): Promise<HttpApi> {
  const logs: Record<string, unknown>[] = [];
  const logger = createLogger({
    name: 'test',
    level: 'info',
    destination: { write: (line: string) => void logs.push(JSON.parse(line)) },
  });
  const keyring = Keyring.fromMasterKeys(MASTER_KEY);
  const shards = new Shards(client);
  const configs = new Configs({ shards, keyring, shardsForNewApps: 1 });
  const policy = new AddressPolicy([]);
  // The parts that no route of these tests asks for are left out.
  const services = {
    settings: { bodyLimitBytes: BODY_LIMIT },
    logger,
    metrics: createMetrics('api'),
    tracing: new Tracing(),
    keyring,
    policy,
    parser: inputParser({ httpsOnly: false, policy }),
    shards,
    configs,
    idempotency: new Idempotency(keyring),
    ...(options.onUnknownKey && { onUnknownKey: options.onUnknownKey }),
  } as unknown as Services;
  const authenticator = new Authenticator(services, options.apiKeys ?? [OPERATOR_KEY]);
  const router = adminRouter({ keyring, shards, authenticator, writable: false, logger });
  const { messages, listener } = createApp(services, authenticator, routes(services), {
    path: ADMIN_PATH,
    router,
  });
  const server = createServer(messages, listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url,
    services,
    logs,
    call: (method, path, { key, body, headers = {} } = {}) =>
      fetch(url + path, {
        method,
        redirect: 'manual',
        headers: {
          ...(key !== undefined && { authorization: `Bearer ${key}` }),
          ...(body !== undefined && { 'content-type': 'application/json' }),
          ...headers,
        },
        ...(body !== undefined && { body: body as string }),
      }),
    keyOf: async (app) => {
      await ensureApp(configs, keyring, app, Date.now());
      const key = `sk_${crypto.randomUUID()}`;
      const hash = keyring.hashApiKey(key);
      await client.hset('sp:keys', hash, app);
      const record = { id: `key_${hash.slice(0, 8)}`, name: null, createdAt: Date.now() };
      await configs.change(app, () => ({ keys: { [hash]: record } }));
      return key;
    },
    stop: async () => {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}
