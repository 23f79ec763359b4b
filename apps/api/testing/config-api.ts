import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { AddressPolicy, inputParser, Keyring, parseQuery, SealpostError } from '@sealpost/core';
import { type RedisClient, Shards } from '@sealpost/queue';
import { Configs, Deliveries, Events, Records } from '@sealpost/store';
import express, { type ErrorRequestHandler } from 'express';
import type { Route, RouteContext } from '../src/http/route.ts';
import { appRoutes } from '../src/routes/apps.ts';
import { endpointRoutes } from '../src/routes/endpoints.ts';
import { keyRoutes } from '../src/routes/keys.ts';
import { laneRoutes } from '../src/routes/lanes.ts';
import { replayRoutes } from '../src/routes/replays.ts';

// biome-ignore lint/suspicious/noExplicitAny: tests look into answers of any shape
export type Reply = { status: number; headers: Headers; body: any };

/** The routes of apps, keys, endpoints, lanes and replays on a real server, without authentication: one process of the API. */
export type ConfigApi = {
  configs: Configs;
  shards: Shards;
  keyring: Keyring;
  call(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Reply>;
  stop(): Promise<void>;
};

export const MASTER_KEY = Buffer.alloc(32, 7);

/** @param now the clock of the routes, ms epoch */
export async function startConfigApi(
  client: RedisClient,
  { now = Date.now, shardsForNewApps = 1 }: { now?: () => number; shardsForNewApps?: number } = {},
): Promise<ConfigApi> {
  const keyring = Keyring.fromMasterKeys(MASTER_KEY);
  const shards = new Shards(client);
  const configs = new Configs({ shards, keyring, shardsForNewApps, now });
  const parser = inputParser({ httpsOnly: false, policy: new AddressPolicy([]) });
  const deliveries = new Deliveries();
  const records = new Records({ shards, deliveries, events: new Events() });
  const services = { configs, deliveries, records, keyring, parser, shards };
  const routes = [
    ...appRoutes(services, now),
    ...keyRoutes(services, now),
    ...endpointRoutes(services, now),
    ...laneRoutes(services, now),
    ...replayRoutes(services, now),
  ];

  const app = express().use(express.json());
  for (const route of routes)
    app[route.method](route.path, (request, response) => serve(route, request, response));
  app.use(answerProblem);
  const server = app.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;

  async function serve(route: Route, request: express.Request, response: express.Response): Promise<void> {
    const context = {
      params: request.params as Record<string, string>,
      query: route.query && parseQuery(route.query, request.query),
      body: route.body && parser.parse(route.body, request.body),
      rawBody: JSON.stringify(request.body ?? ''),
      idempotencyKey: request.get('idempotency-key'),
      request,
    } as RouteContext<unknown, unknown>;
    const answer = await route.handle(context);
    // What a route says about itself in OpenAPI is what it answers.
    route.answers[answer.status]?.schema?.parse(answer.body);
    response.status(answer.status).set(answer.headers ?? {});
    if (answer.body === undefined) response.end();
    else response.json(answer.body);
  }

  return {
    configs,
    shards,
    keyring,
    call: async (method, path, body, headers = {}) => {
      const response = await fetch(`http://127.0.0.1:${port}${path}`, {
        method,
        headers: { ...headers, ...(body !== undefined && { 'content-type': 'application/json' }) },
        ...(body !== undefined && { body: JSON.stringify(body) }),
      });
      const text = await response.text();
      return { status: response.status, headers: response.headers, body: text && JSON.parse(text) };
    },
    stop: async () => {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

const answerProblem: ErrorRequestHandler = (error: unknown, _request, response, _next) => {
  const problem = error instanceof SealpostError ? error : undefined;
  response
    .status(problem?.status ?? 500)
    .json({ code: problem?.code, detail: String(error), errors: problem?.errors });
};

/** Everything that stands in Redis, as text. */
export async function dump(client: RedisClient): Promise<string> {
  const parts: unknown[] = [];
  for (const key of await client.keys('*')) {
    const type = await client.type(key);
    if (type === 'hash') parts.push(key, await client.hgetall(key));
    else if (type === 'string') parts.push(key, await client.get(key));
    else if (type === 'set') parts.push(key, await client.smembers(key));
    else throw new Error(`${key} is a ${type}, which this dump cannot read`);
  }
  return JSON.stringify(parts);
}
