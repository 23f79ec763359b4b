import {
  type DeliveriesQuery,
  deliveriesQuery,
  type EndpointDeliveriesQuery,
  endpointDeliveriesQuery,
  SealpostError,
} from '@sealpost/core';
import { cancelDelivery, retryDelivery } from '@sealpost/queue';
import type { AppConfig, Delivery } from '@sealpost/store';
import { z } from 'zod';
import { paged, pagedAnswer, pageOf } from '../http/pagination.ts';
import {
  deliveryAnswer,
  deliveryWithAttempts,
  presentAttempt,
  presentDelivery,
} from '../http/present-delivery.ts';
import { type Answer, defineRoute, type Route } from '../http/route.ts';
import type { Services } from '../services.ts';

const TAG = 'Deliveries';

/** Deliveries: listed, shown with their attempts, retried and cancelled by hand. */
export function deliveryRoutes(services: Services): Route[] {
  return [
    defineRoute({
      method: 'get',
      path: '/v1/apps/:app/deliveries',
      tag: TAG,
      summary: "List an app's deliveries",
      access: 'app',
      query: deliveriesQuery,
      answers: { 200: { description: 'A page, newest first.', schema: pagedAnswer(deliveryAnswer) } },
      handle: async ({ params, query }) => list(services, await services.configs.newest(params.app!), query),
    }),
    defineRoute({
      method: 'get',
      path: '/v1/apps/:app/endpoints/:endpoint/deliveries',
      tag: TAG,
      summary: "List an endpoint's deliveries",
      access: 'app',
      query: endpointDeliveriesQuery,
      answers: { 200: { description: 'A page, newest first.', schema: pagedAnswer(deliveryAnswer) } },
      handle: async ({ params, query }) => {
        const config = await services.configs.newest(params.app!);
        if (!config.endpoints.has(params.endpoint!)) {
          throw new SealpostError('endpoint_not_found', `There is no endpoint ${params.endpoint}.`);
        }
        return list(services, config, { ...query, endpoint_id: params.endpoint! });
      },
    }),
    defineRoute({
      method: 'get',
      path: '/v1/apps/:app/deliveries/:delivery',
      tag: TAG,
      summary: 'Get a delivery with all its attempts',
      access: 'app',
      answers: { 200: { description: 'The delivery.', schema: deliveryWithAttempts } },
      handle: async ({ params }) => {
        const { shard, delivery } = await find(services, params);
        const attempts = await services.deliveries.attempts(shard, delivery);
        const shown = attempts.map((attempt) => presentAttempt(delivery, attempt));
        return { status: 200, body: { ...presentDelivery(delivery), attempts: shown } };
      },
    }),
    defineRoute({
      method: 'post',
      path: '/v1/apps/:app/deliveries/:delivery/retry',
      tag: TAG,
      summary: 'Retry an ended delivery',
      description: 'Its attempts go on counting; its retries begin anew. Answers before the attempt is made.',
      access: 'app',
      body: z.strictObject({}).optional(),
      answers: { 202: { description: 'The delivery, under way again.', schema: deliveryAnswer } },
      handle: async ({ params }) => retry(services, params),
    }),
    defineRoute({
      method: 'post',
      path: '/v1/apps/:app/deliveries/:delivery/cancel',
      tag: TAG,
      summary: 'Cancel a delivery',
      description:
        'No further attempt is begun. One that is under way may still succeed, and then it is delivered.',
      access: 'app',
      body: z.strictObject({}).optional(),
      answers: { 200: { description: 'The delivery.', schema: deliveryAnswer } },
      handle: async ({ params }) => cancel(services, params),
    }),
  ];
}

/** @throws SealpostError app_not_found, delivery_not_found */
async function find(services: Services, params: Record<string, string>) {
  const config = await services.configs.newest(params.app!);
  const found = await services.records.findDelivery(config, params.delivery!);
  if (!found) throw notFound(params.delivery!);
  return found;
}

function notFound(id: string): SealpostError {
  return new SealpostError('delivery_not_found', `There is no delivery ${id}.`);
}

async function list(
  services: Services,
  config: AppConfig,
  query: DeliveriesQuery | (EndpointDeliveriesQuery & { endpoint_id: string }),
): Promise<Answer> {
  const page = pageOf(query);
  const found = await services.records.list(config, filterOf(query), page);
  return { status: 200, body: paged(found.data.map(presentDelivery), page, found) };
}

function filterOf(query: DeliveriesQuery) {
  return {
    statuses: query.status,
    eventType: query.event_type,
    since: query.since,
    until: query.until,
    endpoint: query.endpoint_id,
    correlation: query.correlation_id,
    event: query.event_id,
  };
}

async function retry(services: Services, params: Record<string, string>): Promise<Answer> {
  const { part, shard, delivery } = await find(services, params);
  const { result } = await retryDelivery(shard, delivery.number, part.number);
  if (result === 'missing') throw notFound(delivery.id);
  if (result === 'running') {
    throw new SealpostError('delivery_not_retryable', 'An attempt of this delivery is still under way.');
  }
  if (result === 'deleted') {
    throw new SealpostError('delivery_not_retryable', 'The endpoint of this delivery has been deleted.');
  }
  if (result === 'expired') {
    throw new SealpostError(
      'payload_expired',
      'The payload of this event is no longer kept, so nothing can be sent.',
    );
  }
  if (result !== 'retry') {
    throw new SealpostError(
      'delivery_not_retryable',
      result === 'open'
        ? 'The delivery is under way already.'
        : 'The delivery has had as many attempts as are counted.',
    );
  }
  return { status: 202, body: await shown(services, params) };
}

async function cancel(services: Services, params: Record<string, string>): Promise<Answer> {
  const { part, shard, delivery } = await find(services, params);
  const { recordsMs, bodiesMs } = services.settings.retention;
  const outcome = await cancelDelivery(shard, delivery.number, part.number, 'cancelled_by_request', {
    recordsMs,
    bodiesMs,
  });
  if (outcome.result === 'missing') throw notFound(delivery.id);
  if (outcome.result === 'cancelled') {
    const { deliveriesEnded } = services.metrics.instruments;
    deliveriesEnded.inc({ status: 'cancelled', reason: 'cancelled_by_request' });
  }
  if (outcome.result === 'ended' && outcome.status !== 'cancelled') {
    throw new SealpostError('delivery_not_cancellable', `The delivery has ended: it is ${outcome.status}.`);
  }
  return { status: 200, body: await shown(services, params) };
}

async function shown(services: Services, params: Record<string, string>) {
  const { delivery } = (await find(services, params)) as { delivery: Delivery };
  return presentDelivery(delivery);
}
