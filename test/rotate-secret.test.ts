import { Webhook } from 'standardwebhooks';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  inTurn,
  type ReceivedRequest,
  Receiver,
  type Stack,
  startStack,
  Tenant,
  verifySignature,
  waitFor,
} from './harness/index.ts';

let stack: Stack;
let receiver: Receiver;
let tenant: Tenant;
let endpoint: { id: string; secret: string };

beforeAll(async () => {
  stack = await startStack();
  receiver = await Receiver.listen();
});

beforeEach(async () => {
  receiver = await Receiver.listen(); // of its own: what an earlier test left under way must not be counted
  receiver.respond(200);
  tenant = await Tenant.create(stack.client);
  endpoint = await tenant.endpoint({ url: receiver.url() });
});

async function rotate(body: object): Promise<{ secret: string; previous_expires_at: string | null }> {
  const answer = await tenant.client.post(`${tenant.path}/endpoints/${endpoint.id}/secret/rotate`, body);
  expect(answer.status, answer.text).toBe(200);
  return answer.json;
}

async function delivered(): Promise<ReceivedRequest> {
  const count = receiver.requests.length;
  await tenant.ended(await tenant.send());
  return receiver.requests[count]!;
}

const signatures = ({ headers }: ReceivedRequest) => headers['webhook-signature']!.split(' ');

describe('during the overlap', () => {
  it('a delivery carries a signature of each secret, the new one first', async () => {
    const { secret, previous_expires_at } = await rotate({ overlap_seconds: 3600 });
    expect(secret).toMatch(/^whsec_/);
    expect(secret).not.toBe(endpoint.secret);
    expect(Date.parse(previous_expires_at!)).toBeGreaterThan(Date.now() + 3_500_000);
    const request = await delivered();
    expect(signatures(request)).toHaveLength(2);
    verifySignature(request, secret);
    verifySignature(request, endpoint.secret);
    const id = request.headers['webhook-id']!;
    const at = new Date(Number(request.headers['webhook-timestamp']) * 1000);
    expect(signatures(request)[0]).toBe(new Webhook(secret).sign(id, at, request.text));
  });

  it('is a day unless said otherwise', async () => {
    const { previous_expires_at } = await rotate({});
    const hours = (Date.parse(previous_expires_at!) - Date.now()) / 3_600_000;
    expect(hours).toBeCloseTo(24, 1);
    expect(signatures(await delivered())).toHaveLength(2);
  });

  it('may be of two kinds', async () => {
    const seed = Buffer.alloc(32, 9).toString('base64');
    const { secret } = await rotate({ secret: `whsk_${seed}`, overlap_seconds: 3600 });
    expect(secret).toBe(`whsk_${seed}`);
    const request = await delivered();
    expect(signatures(request).map((signature) => signature.split(',')[0])).toEqual(['v1a', 'v1']);
    verifySignature(request, endpoint.secret);
  });

  it('is over when it has passed', async () => {
    const { secret, previous_expires_at } = await rotate({ overlap_seconds: 1 });
    await waitFor(() => Date.now() > Date.parse(previous_expires_at!), { describe: 'the overlap to end' });
    const request = await delivered();
    expect(signatures(request)).toHaveLength(1);
    verifySignature(request, secret);
  });
});

it('without overlap only the new secret counts', async () => {
  const { secret } = await rotate({ overlap_seconds: 0 });
  const request = await delivered();
  expect(signatures(request)).toHaveLength(1);
  verifySignature(request, secret);
  expect(() => verifySignature(request, endpoint.secret)).toThrow();
});

it('a secret of your own is taken, and shown', async () => {
  const mine = `whsec_${Buffer.alloc(24, 3).toString('base64')}`;
  expect(await rotate({ secret: mine, overlap_seconds: 0 })).toMatchObject({ secret: mine });
  verifySignature(await delivered(), mine);
  const shown = await tenant.get(`/endpoints/${endpoint.id}/secret`);
  expect(shown.json.secret).toBe(mine);
});

it('a rotated secret counts from the next attempt on, a retry included', async () => {
  receiver.respond(inTurn({ status: 503, headers: { 'retry-after': '1' } }, 200));
  const id = await tenant.send();
  await tenant.hasStatus(id, 'retrying');
  const { secret } = await rotate({ overlap_seconds: 0 });
  await tenant.ended(id);
  const [first, second] = receiver.requests;
  verifySignature(first!, endpoint.secret);
  verifySignature(second!, secret);
  expect(() => verifySignature(second!, endpoint.secret)).toThrow();
});

it('a bad secret or overlap is refused, and the old secret still counts', async () => {
  const path = `${tenant.path}/endpoints/${endpoint.id}/secret/rotate`;
  const bad = [
    { secret: '' },
    { secret: 'whsec_short' },
    { secret: 'x'.repeat(257) },
    { overlap_seconds: -1 },
    { overlap_seconds: '1' },
    { x: 1 },
  ];
  for (const body of bad) {
    const answer = await tenant.client.post(path, body);
    expect([answer.status, answer.json.code], JSON.stringify(body)).toEqual([422, 'validation_failed']);
  }
  verifySignature(await delivered(), endpoint.secret);
});
