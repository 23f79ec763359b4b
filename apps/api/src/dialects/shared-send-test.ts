import type { AttemptRecord } from '@sealpost/queue';
import type { AppConfig, Delivery, EndpointRecord } from '@sealpost/store';
import { preferredWait } from '../http/prefer-wait.ts';
import type { RouteContext } from '../http/route.ts';
import { derivedId } from '../ingest/derive-id.ts';
import type { Services } from '../services.ts';

/** How long a test's answer waits for the first attempt where the client does not say, seconds. */
const WAIT_SECONDS = 15;

/**
 * Sends one event to one endpoint, subscribed or not, and waits for its first attempt: the documented answers tell how
 * it went. What takes longer (a slow receiver, a lane that holds) goes on; the answer then says what is known so far.
 * @param event `payload`: JSON text
 */
export async function sendTest(
  services: Services,
  context: RouteContext<unknown, unknown>,
  config: AppConfig,
  endpoint: EndpointRecord,
  event: { type: string; payload: string; environment?: string },
): Promise<{ delivery: Delivery; attempt: AttemptRecord | undefined }> {
  const { type, payload, environment } = event;
  const draft = {
    input: { type, payload: undefined, ...(environment !== undefined && { environment }) },
    payload,
    derivedId: derivedId(services, context),
    only: {
      endpoint: endpoint.number,
      endpointId: endpoint.id,
      skip: endpoint.enabled ? undefined : ('endpoint_disabled' as const),
    },
  };
  const seconds = preferredWait(context.request.get('prefer')) ?? WAIT_SECONDS;
  const { deliveries } = await services.publish.publishAndWait(
    config.app,
    context.caller,
    draft,
    seconds * 1000,
    context.signal(),
    context.trace,
  );
  const shard = services.shards.get(config.shard);
  const [delivery] = await services.deliveries.read(shard, [deliveries[0]!.number]);
  const [attempt] = await services.deliveries.lastAttempts(shard, [delivery!]);
  return { delivery: delivery!, attempt };
}
