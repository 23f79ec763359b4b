import { createHmac } from 'node:crypto';
import { expect } from 'vitest';
import { type Loose, type ReceivedRequest, Receiver, type Stack, Tenant } from '../harness/index.ts';

/** How a system signs, and an event that its documents show. */
export type Sender = {
  profile: string;
  /** The header of the signature, in lower case. */
  header: string;
  secret: string;
  event: object;
};

/** What a receiver answered to deliveries that are not genuine. */
export type Refusals = {
  changedBody: number;
  wrongSecret: number;
  missingHeader: number;
  emptySignature: number;
};

/** A delivery to a receiver that stands between, keeps the request, and passes it and the answer on. */
export async function deliverTo(
  url: string,
  stack: Stack,
  sender: Sender,
): Promise<{ delivery: Loose; request: ReceivedRequest }> {
  const between = await Receiver.listen();
  between.respond(async ({ headers, body }) => ({ status: await post(url, headers, body) }));
  const tenant = await Tenant.create(stack.client, { wire_profile: sender.profile });
  await tenant.endpoint({ url: between.url(), secret: sender.secret, retry: { max_retries: 0 } });
  const delivery = await tenant.ended(await tenant.send(sender.event));
  const [request] = await between.waitForRequests(1);
  return { delivery, request: request! };
}

/**
 * Proves of a receiver that it accepts a real delivery and none of the forged ones, after which it still accepts the
 * genuine one. Gives the statuses by which it refused.
 */
export async function proveReceiver(url: string, stack: Stack, sender: Sender): Promise<Refusals> {
  const { delivery, request } = await deliverTo(url, stack, sender);
  expect(delivery).toMatchObject({ status: 'delivered', attempt_count: 1 });
  const { headers, body } = request;
  const { [sender.header]: signature, ...unsigned } = headers;
  expect(signature).toBe(sha256(sender.secret, body));
  const changed = Buffer.from(request.text.replace('{', '{ '));
  const refusals = {
    changedBody: await post(url, headers, changed),
    wrongSecret: await post(url, { ...headers, [sender.header]: sha256(`${sender.secret}.`, body) }, body),
    missingHeader: await post(url, unsigned, body),
    emptySignature: await post(url, { ...headers, [sender.header]: '' }, body),
  };
  for (const [forgery, status] of Object.entries(refusals))
    expect(status, forgery).toBeGreaterThanOrEqual(400);
  expect(await post(url, headers, body), 'the genuine one, again').toBeLessThan(300);
  return refusals;
}

/** The value of a signature header, by the documents alone. */
export function sha256(secret: string, body: Buffer): string {
  return `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`;
}

const OF_THE_CONNECTION = /^(host|connection|content-length|transfer-encoding|accept-encoding)$/;

/** The status of a POST of these bytes under these headers. */
export async function post(url: string, headers: Record<string, string>, body: Buffer): Promise<number> {
  const own = Object.entries(headers).filter(([name]) => !OF_THE_CONNECTION.test(name));
  const answer = await fetch(url, {
    method: 'POST',
    headers: Object.fromEntries(own),
    body: new Uint8Array(body),
  });
  await answer.arrayBuffer();
  return answer.status;
}
