import { memberSpans, type WireProfileName } from '@sealpost/core';
import { type AppConfig, createEndpoint, patchEndpoint } from '@sealpost/store';
import { paged, pagedAnswer, pageOf } from '../../http/pagination.ts';
import { type Answer, defineRoute, type Route } from '../../http/route.ts';
import type { Services } from '../../services.ts';
import { sendTestAndWait } from '../shared-send-test.ts';
import { webhookRoutes } from '../shared-webhook-routes.ts';
import { webhookOf } from '../shared-webhooks.ts';
import { presentDelivery, presentWebhook, statusesNamed } from './present.ts';
import {
  deliveriesQuery,
  deliveryAnswer,
  testAnswer,
  webhookAnswer,
  webhookInput,
  webhookPatch,
  webhookTest,
} from './schemas.ts';
import { endpointInputOf, endpointPatchOf } from './translate.ts';

const PROFILE: WireProfileName = 'taskflow';
const TAG = 'TaskFlow compatibility';
const COLLECTION = '/compat/taskflow/api/webhooks';
const ONE = `${COLLECTION}/:endpoint`;
/** TaskFlow signs only "if secret_token configured". */
const RULE = { secretOptional: true };

/** The HTTP surface of TaskFlow's "Webhook Integration Guide". */
export function taskflowRoutes(services: Services, now: () => number = Date.now): Route[] {
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
      answers: { 201: { description: 'Created.', schema: webhookAnswer } },
      handle: async ({ params, body }) => {
        const input = endpointInputOf(body);
        const { config, endpoint } = await createEndpoint(services, params.app!, input, now(), RULE);
        const location = `${COLLECTION}/${endpoint.id}`;
        return { status: 201, headers: { location }, body: presentWebhook(config, endpoint) };
      },
    }),
    list,
    get,
    defineRoute({
      method: 'patch',
      path: ONE,
      tag: TAG,
      summary: 'Update a webhook',
      access: 'caller',
      body: webhookPatch,
      answers: { 200: { description: 'Changed.', schema: webhookAnswer } },
      handle: async ({ params, body }) => {
        const changed = await configs.change(params.app!, (config) => {
          const endpoint = webhookOf(config, params.endpoint!, PROFILE);
          const patch = endpointPatchOf(body, endpoint);
          return patchEndpoint(keyring, config, endpoint.id, patch, now(), RULE);
        });
        return shown(changed, params);
      },
    }),
    remove,
    defineRoute({
      method: 'post',
      path: `${ONE}/test`,
      tag: TAG,
      summary: 'Test a webhook',
      description: 'Subscribed or not. Answers when the first attempt has been made, or after 15 seconds.',
      access: 'caller',
      body: webhookTest,
      answers: { 200: { description: 'The delivery.', schema: testAnswer } },
      handle: async (context) => {
        const { params, body, rawBody } = context;
        const config = await configs.newest(params.app!);
        const endpoint = webhookOf(config, params.endpoint!, PROFILE);
        const sample = memberSpans(rawBody).get('sample_data');
        const event = {
          input: { type: body.event_type, payload: body.sample_data },
          payload: sample ? rawBody.slice(...sample) : '{}',
        };
        const { delivery, attempt } = await sendTestAndWait(services, context, config, endpoint, event);
        const success = delivery.record.status === 'delivered';
        return { status: 200, body: { ...presentDelivery(delivery, attempt), success } };
      },
    }),
    defineRoute({
      method: 'get',
      path: `${ONE}/deliveries`,
      tag: TAG,
      summary: "List a webhook's deliveries",
      access: 'caller',
      query: deliveriesQuery,
      answers: { 200: { description: 'A page, newest first.', schema: pagedAnswer(deliveryAnswer) } },
      handle: async ({ params, query }) => {
        const page = pageOf(query);
        const config = await configs.newest(params.app!);
        const { id } = webhookOf(config, params.endpoint!, PROFILE);
        const filter = { endpoint: id, ...(query.status && { statuses: statusesNamed(query.status) }) };
        const found = await services.records.list(config, filter, page);
        const attempts = await services.records.lastAttempts(found.data);
        const data = found.data.map((delivery, i) => presentDelivery(delivery, attempts[i]));
        return { status: 200, body: paged(data, page, found) };
      },
    }),
  ];
}

function shown(config: AppConfig, params: Record<string, string>): Answer {
  return { status: 200, body: presentWebhook(config, webhookOf(config, params.endpoint!, PROFILE)) };
}
