import { type EventInput, SealpostError } from '@sealpost/core';
import type { AppConfig, Delivery, EndpointRecord } from '@sealpost/store';
import type { RouteContext } from '../http/route.ts';
import type { Services } from '../services.ts';
import { derivedId } from './derive-id.ts';

/**
 * Publishes one event to one endpoint, subscribed or not, and answers with its delivery as it is then.
 * @param payload JSON text
 * @param waitSeconds how long to wait for the first attempt; undefined: not at all
 * @throws SealpostError event_not_found: of a request sent again, when the delivery's record is kept no longer
 */
export async function sendTest(
  services: Services,
  context: RouteContext<unknown, unknown>,
  config: AppConfig,
  endpoint: EndpointRecord,
  event: { input: EventInput; payload: string },
  waitSeconds: number | undefined,
): Promise<Delivery> {
  const { publish, records } = services;
  const draft = {
    ...event,
    derivedId: derivedId(services, context),
    only: {
      endpoint: endpoint.number,
      endpointId: endpoint.id,
      skip: endpoint.enabled ? undefined : ('endpoint_disabled' as const),
    },
  };
  const { app } = config;
  const published =
    waitSeconds === undefined
      ? (await publish.publish(app, context.caller, [draft], context.trace))[0]!
      : await publish.publishAndWait(
          app,
          context.caller,
          draft,
          waitSeconds * 1000,
          context.signal(),
          context.trace,
        );
  const [delivery] = await records.readDeliveries(published.deliveries.map(({ id }) => id));
  if (!delivery) throw new SealpostError('event_not_found', 'The test has just expired; send it again.');
  return delivery;
}
