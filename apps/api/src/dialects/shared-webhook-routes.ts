import type { WireProfileName } from '@sealpost/core';
import { type AppConfig, type EndpointRecord, removeEndpoint } from '@sealpost/store';
import type { z } from 'zod';
import { cutPage, paged, pagedAnswer, pageOf } from '../http/pagination.ts';
import { type Answer, defineRoute, type Route } from '../http/route.ts';
import type { Services } from '../services.ts';
import { webhookOf, webhooksOf, webhooksQuery } from './shared-webhooks.ts';

export type Webhooks = {
  profile: WireProfileName;
  tag: string;
  /** Path of all; one is at `/:endpoint` below it. */
  collection: string;
  answer: z.ZodType;
  present: (config: AppConfig, endpoint: EndpointRecord) => unknown;
};

/** Routes that the dialects have in common whose webhooks are endpoints of one wire profile. */
export function webhookRoutes(
  { configs }: Services,
  { profile, tag, collection, answer, present }: Webhooks,
): { list: Route; get: Route; remove: Route } {
  const one = `${collection}/:endpoint`;
  const list = defineRoute({
    method: 'get',
    path: collection,
    tag,
    summary: 'List webhooks',
    access: 'caller',
    query: webhooksQuery,
    answers: { 200: { description: 'A page, newest first.', schema: pagedAnswer(answer) } },
    handle: async ({ params, query }) => {
      const page = pageOf(query);
      const config = await configs.newest(params.app!);
      const { data, found } = cutPage('webhooks', webhooksOf(config, profile), ({ id }) => id, page);
      const shown = data.map((endpoint) => present(config, endpoint));
      return { status: 200, body: paged(shown, page, found) };
    },
  });
  const get = defineRoute({
    method: 'get',
    path: one,
    tag,
    summary: 'Get a webhook',
    access: 'caller',
    answers: { 200: { description: 'The webhook.', schema: answer } },
    handle: async ({ params }): Promise<Answer> => {
      const config = await configs.newest(params.app!);
      return { status: 200, body: present(config, webhookOf(config, params.endpoint!, profile)) };
    },
  });
  const remove = defineRoute({
    method: 'delete',
    path: one,
    tag,
    summary: 'Delete a webhook',
    description: 'At once; its open deliveries are cancelled in the background.',
    access: 'caller',
    answers: { 204: { description: 'Deleted.' } },
    handle: async ({ params }) => {
      await configs.change(params.app!, (config) =>
        removeEndpoint(config, webhookOf(config, params.endpoint!, profile).id),
      );
      return { status: 204 };
    },
  });
  return { list, get, remove };
}
