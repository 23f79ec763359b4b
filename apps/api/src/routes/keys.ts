import { keyInput, listQuery } from '@sealpost/core';
import { AppKeys, assertTakesKeys, keyOf } from '@sealpost/store';
import { cutPage, newestIdFirst, paged, pagedAnswer, pageOf } from '../http/pagination.ts';
import { createdKeyAnswer, keyAnswer, presentKey } from '../http/present-app.ts';
import { defineRoute, type Route } from '../http/route.ts';
import type { Services } from '../services.ts';

const TAG = 'Keys';

/**
 * API keys of an app. Only operators make and revoke them: a key that could make others would outlive its own
 * revocation.
 */
export function keyRoutes(
  services: Pick<Services, 'configs' | 'keyring' | 'shards'>,
  now: () => number = Date.now,
): Route[] {
  const { configs } = services;
  const keys = new AppKeys(services);
  return [
    defineRoute({
      method: 'post',
      path: '/v1/apps/:app/keys',
      tag: TAG,
      summary: 'Make an API key that may act in this app only',
      access: 'operator',
      body: keyInput.optional(),
      answers: { 201: { description: 'Created. The key is shown this once.', schema: createdKeyAnswer } },
      handle: async ({ params, body }) => {
        assertTakesKeys(params.app!);
        const { record, key } = await keys.create(params.app!, body ?? {}, now());
        const headers = {
          location: `/v1/apps/${params.app}/keys/${record.id}`,
          'cache-control': 'no-store',
        };
        return { status: 201, headers, body: { ...presentKey(record), key } };
      },
    }),
    defineRoute({
      method: 'get',
      path: '/v1/apps/:app/keys',
      tag: TAG,
      summary: "List an app's API keys",
      access: 'operator',
      query: listQuery,
      answers: { 200: { description: 'A page, newest first.', schema: pagedAnswer(keyAnswer) } },
      handle: async ({ params, query }) => {
        const page = pageOf(query);
        const config = await configs.newest(params.app!);
        const { data, found } = cutPage('keys', newestIdFirst(config.keys), ({ id }) => id, page);
        return { status: 200, body: paged(data.map(presentKey), page, found) };
      },
    }),
    defineRoute({
      method: 'get',
      path: '/v1/apps/:app/keys/:key',
      tag: TAG,
      summary: 'Get an API key, without the key itself',
      access: 'operator',
      answers: { 200: { description: 'The key.', schema: keyAnswer } },
      handle: async ({ params }) => {
        const config = await configs.newest(params.app!);
        return { status: 200, body: presentKey(keyOf(config, params.key!)) };
      },
    }),
    defineRoute({
      method: 'delete',
      path: '/v1/apps/:app/keys/:key',
      tag: TAG,
      summary: 'Revoke an API key',
      access: 'operator',
      answers: { 204: { description: 'Revoked: it is refused from now on.' } },
      handle: async ({ params }) => {
        await keys.remove(params.app!, params.key!);
        return { status: 204 };
      },
    }),
  ];
}
