import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import { SealpostError } from '@sealpost/core';
import { startTestRedis, type TestRedis } from '@sealpost/queue/testing';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type HttpApi, OPERATOR_KEY, startHttpApi } from '../../testing/http-api.ts';
import type { Answer, Route } from '../http/route.ts';
import type { Services } from '../services.ts';
import { publishRoutes } from './publish.ts';

const STREAM = '/v1/apps/shop/events/batch';
const LINE = '{"type":"a","payload":1}\n';
const headers = { authorization: `Bearer ${OPERATOR_KEY}`, 'content-type': 'application/x-ndjson' };

let redis: TestRedis;
let api: HttpApi;
/** What stands for publishing, which is not what these tests are about. */
let publish: () => Promise<unknown[]>;
/** The response under way is closed. */
let closed: Promise<unknown>;
let handled: Promise<Answer>;

beforeAll(async () => {
  redis = await startTestRedis();
  api = await startHttpApi(redis.client, routes);
  await api.keyOf('shop');
});
afterAll(async () => {
  await api.stop();
  await redis.stop();
});

function routes(services: Services): Route[] {
  const fake = { publish: () => publish(), refused: () => {} };
  return publishRoutes({ ...services, publish: fake } as unknown as Services).map((route) => ({
    ...route,
    handle: (context) => {
      closed = once(context.response, 'close');
      handled = route.handle(context);
      return handled;
    },
  }));
}

it('a stream that cannot go on says in its last line when to try again', async () => {
  publish = async () => {
    throw new SealpostError('overloaded', 'It is full.', { retryAfterSeconds: 10 });
  };
  const response = await api.call('POST', STREAM, { body: LINE, headers });
  expect(response.status).toBe(202);
  const problem = { code: 'overloaded', status: 503, retry_after_seconds: 10 };
  expect(await response.json()).toMatchObject({ status: 503, problem });
});

it('a stream whose client goes away while its events are published comes to an end', async () => {
  const publishing = Promise.withResolvers<void>();
  publish = async () => {
    publishing.resolve();
    await closed;
    return [{ id: 'e', type: 'a', sequence: null, createdAt: 0, deliveries: [] }];
  };
  const client = httpRequest(api.url + STREAM, { method: 'POST', headers }).on('error', () => {});
  client.write(LINE);
  await publishing.promise;
  client.destroy();
  expect(await handled).toEqual({ status: 202 });
});
