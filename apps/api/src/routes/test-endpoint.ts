import { memberSpans, SealpostError, testInput, testPayloadField } from '@sealpost/core';
import type { z } from 'zod';
import { preferredWait } from '../http/prefer-wait.ts';
import { deliveryAnswer, presentDelivery } from '../http/present-delivery.ts';
import { type Answer, defineRoute, type Route, type RouteContext } from '../http/route.ts';
import { derivedId } from '../ingest/derive-id.ts';
import type { Services } from '../services.ts';

/** A test: one event to one endpoint. */
export function testRoutes(services: Services): Route[] {
  return [
    defineRoute({
      method: 'post',
      path: '/v1/apps/:app/endpoints/:endpoint/test',
      tag: 'Endpoints',
      summary: 'Send a test event to one endpoint',
      description:
        'Whether it is subscribed or not. Answers at once with the delivery; `Prefer: wait=N` waits for it.',
      access: 'app',
      body: testInput,
      answers: { 202: { description: 'The delivery.', schema: deliveryAnswer } },
      handle: (context) => sendTest(services, context),
    }),
  ];
}

async function sendTest(
  services: Services,
  context: RouteContext<z.output<typeof testInput>, unknown>,
): Promise<Answer> {
  const { app, endpoint: id } = context.params;
  const config = await services.configs.newest(app!);
  const endpoint = config.endpoints.get(id!);
  if (!endpoint) throw new SealpostError('endpoint_not_found', `There is no endpoint ${id}.`);
  const span = memberSpans(context.rawBody).get(testPayloadField(context.body))!;
  const payload = context.rawBody.slice(span[0], span[1]);
  const draft = {
    input: { type: context.body.event_type, payload: undefined },
    payload,
    derivedId: derivedId(services, context),
    only: {
      endpoint: endpoint.number,
      endpointId: endpoint.id,
      skip: endpoint.enabled ? undefined : ('endpoint_disabled' as const),
    },
  };
  const wait = preferredWait(context.request.get('prefer'));
  const published =
    wait === undefined
      ? (await services.publish.publish(app!, context.caller, [draft]))[0]!
      : await services.publish.publishAndWait(app!, context.caller, draft, wait * 1000, context.signal());
  const shard = services.shards.get(config.shard);
  const [delivery] = await services.deliveries.read(shard, [published.deliveries[0]!.number]);
  return {
    status: 202,
    headers: { location: `/v1/apps/${app}/deliveries/${published.deliveries[0]!.id}` },
    body: presentDelivery(delivery!),
  };
}
