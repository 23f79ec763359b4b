import {
  type EventInput,
  memberSpans,
  SealpostError,
  type TestInput,
  testInput,
  testPayloadField,
} from '@sealpost/core';
import type { z } from 'zod';
import { preferredWait } from '../http/prefer-wait.ts';
import { deliveryAnswer, presentDelivery } from '../http/present-delivery.ts';
import { type Answer, defineRoute, type Route, type RouteContext } from '../http/route.ts';
import { derivedId } from '../ingest/derive-id.ts';
import type { Services } from '../services.ts';
import { dryRunAnswer, tryEndpoint } from './try-endpoint.ts';

/** A test: one event to one endpoint. */
export function testRoutes(services: Services): Route[] {
  return [
    defineRoute({
      method: 'post',
      path: '/v1/apps/:app/endpoints/:endpoint/test',
      tag: 'Endpoints',
      summary: 'Send a test event to one endpoint',
      description:
        'Whether it is subscribed or not, and whatever its filter says. Answers at once with the delivery; `Prefer: wait=N` ' +
        'waits for it. With `dry_run`, nothing is sent: the answer says what its filter and transform make of the event.',
      access: 'app',
      body: testInput,
      answers: {
        200: { description: 'A dry run: what would be posted.', schema: dryRunAnswer },
        202: { description: 'The delivery.', schema: deliveryAnswer },
      },
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
  if (context.body.dry_run) {
    const answer = await tryEndpoint(services, config, endpoint, context.body, payload, Date.now());
    return { status: 200, body: answer };
  }
  const draft = {
    input: eventOf(context.body),
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
      ? (await services.publish.publish(app!, context.caller, [draft], context.trace))[0]!
      : await services.publish.publishAndWait(
          app!,
          context.caller,
          draft,
          wait * 1000,
          context.signal(),
          context.trace,
        );
  const shard = services.shards.get(config.shard);
  const [delivery] = await services.deliveries.read(shard, [published.deliveries[0]!.number]);
  return {
    status: 202,
    headers: { location: `/v1/apps/${app}/deliveries/${published.deliveries[0]!.id}` },
    body: presentDelivery(delivery!),
  };
}

function eventOf({ event_type: type, environment, attributes, correlation_id }: TestInput): EventInput {
  return {
    type,
    payload: undefined,
    ...(environment !== undefined && { environment }),
    ...(attributes !== undefined && { attributes }),
    ...(correlation_id !== undefined && { correlation_id }),
  };
}
