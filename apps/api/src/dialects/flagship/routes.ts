import type { WireProfileName } from '@sealpost/core';
import { type AppConfig, createEndpoint, patchEndpoint } from '@sealpost/store';
import { z } from 'zod';
import { pageOf } from '../../http/pagination.ts';
import { type Answer, defineRoute, type Route } from '../../http/route.ts';
import type { Services } from '../../services.ts';
import { sendTestAndWait } from '../shared-send-test.ts';
import { webhookRoutes } from '../shared-webhook-routes.ts';
import { webhookOf } from '../shared-webhooks.ts';
import { presentDelivery, presentWebhook } from './present.ts';
import {
  createdWebhookAnswer,
  deliveriesAnswer,
  deliveriesQuery,
  testAnswer,
  webhookAnswer,
  webhookInput,
  webhookPut,
} from './schemas.ts';
import { testEvent } from './test-event.ts';
import { endpointInputOf, endpointPatchOf } from './translate.ts';

const PROFILE: WireProfileName = 'flagship';
const TAG = 'goflagship compatibility';
const COLLECTION = '/compat/flagship/v1/admin/webhooks';
const ONE = `${COLLECTION}/:endpoint`;

/** The documented pages have no cursor. */
const FURTHER = "for more, list the endpoint's deliveries through Sealpost's own API";

/** The HTTP surface of goflagship's "Webhooks Documentation". */
export function flagshipRoutes(services: Services, now: () => number = Date.now): Route[] {
  const { configs, keyring } = services;
  const { list, get, remove } = webhookRoutes(services, {
    profile: PROFILE,
    tag: TAG,
    collection: COLLECTION,
    answer: webhookAnswer,
    present: presentWebhook,
  });
  return [
    defineRoute({
      method: 'post',
      path: COLLECTION,
      tag: TAG,
      summary: 'Create a webhook',
      access: 'caller',
      body: webhookInput,
      answers: { 201: { description: 'Created; with the secret.', schema: createdWebhookAnswer } },
      handle: async ({ params, body }) => {
        const input = endpointInputOf(body);
        const { config, endpoint, secret } = await createEndpoint(services, params.app!, input, now());
        const location = `${COLLECTION}/${endpoint.id}`;
        return { status: 201, headers: { location }, body: { ...presentWebhook(config, endpoint), secret } };
      },
    }),
    list,
    get,
    defineRoute({
      method: 'put',
      path: ONE,
      tag: TAG,
      summary: 'Update a webhook',
      description: 'Replaces it: what is left out goes back to its default, except `secret`, which is kept.',
      access: 'caller',
      body: webhookPut,
      answers: { 200: { description: 'Replaced.', schema: webhookAnswer } },
      handle: async ({ params, body }) => {
        const changed = await configs.change(params.app!, (config) => {
          const endpoint = webhookOf(config, params.endpoint!, PROFILE);
          return patchEndpoint(keyring, config, endpoint.id, endpointPatchOf(body, endpoint), now());
        });
        return shown(changed, params);
      },
    }),
    remove,
    defineRoute({
      method: 'get',
      path: `${ONE}/deliveries`,
      tag: TAG,
      summary: "List a webhook's deliveries",
      access: 'caller',
      query: deliveriesQuery,
      answers: { 200: { description: 'A page, newest first.', schema: deliveriesAnswer } },
      handle: async ({ params, query }) => {
        const { page, limit } = pageOf(query, FURTHER);
        const config = await configs.newest(params.app!);
        const { id } = webhookOf(config, params.endpoint!, PROFILE);
        const found = await services.records.list(config, { endpoint: id }, { page, limit });
        const attempts = await services.records.lastAttempts(found.data);
        const deliveries = found.data.map((delivery, i) => presentDelivery(delivery, attempts[i]));
        return { status: 200, body: { deliveries, pagination: { page, limit, total: found.total } } };
      },
    }),
    defineRoute({
      method: 'post',
      path: `${ONE}/test`,
      tag: TAG,
      summary: 'Test a webhook',
      description:
        'Sends an event of type `webhook.test`. Answers when the first attempt has been made, or after 15 seconds.',
      access: 'caller',
      body: z.strictObject({}).optional(),
      answers: { 200: { description: 'How it went.', schema: testAnswer } },
      handle: async (context) => {
        const { params } = context;
        const config = await configs.newest(params.app!);
        const endpoint = webhookOf(config, params.endpoint!, PROFILE);
        const { delivery, attempt } = await sendTestAndWait(
          services,
          context,
          config,
          endpoint,
          testEvent(endpoint),
        );
        const { id, retry_count: _, ...outcome } = presentDelivery(delivery, attempt);
        return { status: 200, body: { ...outcome, delivery_id: id } };
      },
    }),
  ];
}

function shown(config: AppConfig, params: Record<string, string>): Answer {
  return { status: 200, body: presentWebhook(config, webhookOf(config, params.endpoint!, PROFILE)) };
}
