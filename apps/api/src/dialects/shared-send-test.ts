import type { EventInput } from '@sealpost/core';
import type { AttemptRecord } from '@sealpost/queue';
import type { AppConfig, Delivery, EndpointRecord } from '@sealpost/store';
import { preferredWait } from '../http/prefer-wait.ts';
import type { RouteContext } from '../http/route.ts';
import { sendTest } from '../ingest/send-test.ts';
import type { Services } from '../services.ts';

/** How long a test's answer waits for the first attempt where the client does not say, seconds. */
const WAIT_SECONDS = 15;

/**
 * Sends a test and waits for its first attempt: the documented answers tell how it went. What takes longer (a slow
 * receiver, a lane that holds) goes on; the answer then says what is known so far.
 */
export async function sendTestAndWait(
  services: Services,
  context: RouteContext<unknown, unknown>,
  config: AppConfig,
  endpoint: EndpointRecord,
  event: { input: EventInput; payload: string },
): Promise<{ delivery: Delivery; attempt: AttemptRecord | undefined }> {
  const seconds = preferredWait(context.request.get('prefer')) ?? WAIT_SECONDS;
  const delivery = await sendTest(services, context, config, endpoint, event, seconds);
  const [attempt] = await services.records.lastAttempts([delivery]);
  return { delivery, attempt };
}
