import { SealpostError } from '@sealpost/core';
import { z } from 'zod';
import { deliveryAnswer, presentDelivery } from '../http/present-delivery.ts';
import { type Answer, defineRoute, type Route } from '../http/route.ts';
import type { Services } from '../services.ts';

const TAG = 'Events';

const eventAnswer = z
  .object({
    id: z.string(),
    type: z.string(),
    payload: z.unknown().describe('null with `payload_expired` when it is no longer kept.'),
    payload_expired: z.boolean(),
    content_type: z.string(),
    sequence: z.int().nullable(),
    correlation_id: z.string().nullable(),
    environment: z.string().nullable(),
    attributes: z.record(z.string(), z.unknown()),
    webhook_url: z.string().nullable(),
    deliver_at: z.iso.datetime().nullable().describe('null: at once.'),
    created_at: z.iso.datetime(),
    deliveries: z.array(deliveryAnswer),
  })
  .meta({ id: 'Event' });

/** Events, read. */
export function eventRoutes(services: Services): Route[] {
  return [
    defineRoute({
      method: 'get',
      path: '/v1/apps/:app/events/:event',
      tag: TAG,
      summary: 'Get an event and its deliveries',
      access: 'app',
      answers: { 200: { description: 'The event.', schema: eventAnswer } },
      handle: ({ params }) => show(services, params),
    }),
  ];
}

async function show(services: Services, params: Record<string, string>): Promise<Answer> {
  const config = await services.configs.newest(params.app!);
  const found = await services.records.findEvent(config, params.event!);
  if (!found) throw new SealpostError('event_not_found', `There is no event ${params.event}.`);
  const deliveries = await services.records.deliveriesOf(found);
  const { event } = found;
  const { record } = event;
  const shown = JSON.stringify({
    id: event.id,
    type: record.t,
    payload_expired: event.payload === null,
    content_type: record.ct ?? 'application/json',
    sequence: event.sequence,
    correlation_id: record.c ?? null,
    environment: record.e ?? null,
    attributes: record.x ?? {},
    webhook_url: record.u ?? null,
    deliver_at: record.da === undefined ? null : new Date(record.da).toISOString(),
    created_at: new Date(record.at).toISOString(),
    deliveries: deliveries.map(presentDelivery),
  });
  // The payload goes out as it came in, digit for digit.
  return { status: 200, json: `{"payload":${event.payload ?? 'null'},${shown.slice(1)}` };
}
