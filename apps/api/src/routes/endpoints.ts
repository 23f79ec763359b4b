import { type EndpointInput, endpointInput, endpointPatch, endpointPut, listQuery } from '@sealpost/core';
import {
  type AppConfig,
  type ConfigChange,
  createEndpoint,
  endpointOf,
  patchEndpoint,
  removeEndpoint,
  replaceEndpoint,
} from '@sealpost/store';
import { cutPage, newestIdFirst, paged, pagedAnswer, pageOf } from '../http/pagination.ts';
import {
  createdEndpointAnswer,
  endpointAnswer,
  presentEndpoint,
  presentSecretOf,
} from '../http/present-endpoint.ts';
import { type Answer, defineRoute, type Route } from '../http/route.ts';
import type { Services } from '../services.ts';
import { endpointSecretRoutes } from './endpoint-secret.ts';

const TAG = 'Endpoints';
const COLLECTION = '/v1/apps/:app/endpoints';
const ONE = '/v1/apps/:app/endpoints/:endpoint';

type Params = Record<string, string>;
type Needed = Pick<Services, 'configs' | 'keyring' | 'shards'>;

/** Endpoints, the receivers, and their secrets. */
export function endpointRoutes(services: Needed, now: () => number = Date.now): Route[] {
  const { configs, keyring } = services;
  return [
    defineRoute({
      method: 'post',
      path: COLLECTION,
      tag: TAG,
      summary: 'Create an endpoint',
      access: 'app',
      body: endpointInput,
      answers: { 201: { description: 'Created; with the secret.', schema: createdEndpointAnswer } },
      handle: ({ params, body }) => create(services, params, body, now),
    }),
    defineRoute({
      method: 'get',
      path: COLLECTION,
      tag: TAG,
      summary: "List an app's endpoints",
      access: 'app',
      query: listQuery,
      answers: { 200: { description: 'A page, newest first.', schema: pagedAnswer(endpointAnswer) } },
      handle: async ({ params, query }) => {
        const page = pageOf(query);
        const config = await configs.newest(params.app!);
        const { data, found } = cutPage('endpoints', newestIdFirst(config.endpoints), ({ id }) => id, page);
        const shown = data.map((endpoint) => presentEndpoint(config, endpoint));
        return { status: 200, body: paged(shown, page, found) };
      },
    }),
    defineRoute({
      method: 'get',
      path: ONE,
      tag: TAG,
      summary: 'Get an endpoint',
      access: 'app',
      answers: { 200: { description: 'The endpoint.', schema: endpointAnswer } },
      handle: async ({ params }) => shown(await configs.newest(params.app!), params),
    }),
    defineRoute({
      method: 'put',
      path: ONE,
      tag: TAG,
      summary: 'Replace an endpoint',
      access: 'app',
      body: endpointPut,
      answers: { 200: { description: 'Replaced.', schema: endpointAnswer } },
      handle: ({ params, body }) =>
        change(services, params, (config, id) => replaceEndpoint(keyring, config, id, body, now())),
    }),
    defineRoute({
      method: 'patch',
      path: ONE,
      tag: TAG,
      summary: 'Change an endpoint',
      description:
        'Disabled, its backlog is held and new events are skipped; enabled again, the backlog goes out.',
      access: 'app',
      body: endpointPatch,
      answers: { 200: { description: 'Changed.', schema: endpointAnswer } },
      handle: ({ params, body }) =>
        change(services, params, (config, id) => patchEndpoint(keyring, config, id, body, now())),
    }),
    defineRoute({
      method: 'delete',
      path: ONE,
      tag: TAG,
      summary: 'Delete an endpoint',
      description: 'At once; its open deliveries are cancelled in the background.',
      access: 'app',
      answers: { 204: { description: 'Deleted.' } },
      handle: async ({ params }) => {
        await configs.change(params.app!, (config) => removeEndpoint(config, params.endpoint!));
        return { status: 204 };
      },
    }),
    ...endpointSecretRoutes(services, now),
  ];
}

async function create(
  services: Needed,
  params: Params,
  input: EndpointInput,
  now: () => number,
): Promise<Answer> {
  const { config, endpoint, secret } = await createEndpoint(services, params.app!, input, now());
  // Only a dialect may ask for an endpoint without one.
  return {
    status: 201,
    headers: { location: `/v1/apps/${config.app}/endpoints/${endpoint.id}`, 'cache-control': 'no-store' },
    body: { ...presentEndpoint(config, endpoint), ...presentSecretOf(secret!) },
  };
}

async function change(
  { configs }: Needed,
  params: Params,
  decide: (config: AppConfig, id: string) => ConfigChange,
): Promise<Answer> {
  const changed = await configs.change(params.app!, (config) => decide(config, params.endpoint!));
  return shown(changed, params);
}

function shown(config: AppConfig, params: Params): Answer {
  return { status: 200, body: presentEndpoint(config, endpointOf(config, params.endpoint!)) };
}
