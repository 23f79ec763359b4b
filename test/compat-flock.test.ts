import { randomUUID } from 'node:crypto';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { badFields, DialectClient, hexSignature, msUntilRetry } from './harness/dialect.ts';
import {
  inTurn,
  type Loose,
  type ReceivedRequest,
  Receiver,
  type Stack,
  startStack,
} from './harness/index.ts';
import { delaysOf } from './seeds/delays.ts';

// Flock's two documents, feature by feature.

const PATH = '/compat/flock';
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const SECONDS = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/;
const MICROSECONDS = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/;

const BUG = {
  type: 'BugAnalysis',
  payload: { severity: 'High', bugs_found: ['Memory leak in cache handler'], confidence: 0.92 },
  produced_by: 'bug_detector',
  correlation_id: 'workflow-123',
  tags: ['critical', 'reviewed'],
  version: 1,
};

let stack: Stack;
let receiver: Receiver;
let flock: DialectClient;

beforeAll(async () => {
  stack = await startStack();
});
beforeEach(async () => {
  receiver = await Receiver.listen();
  flock = await DialectClient.open(stack.client, PATH);
});

const url = (path = '/webhook') => receiver.url(path);

async function publish(artifact: object | string, headers?: Record<string, string>): Promise<Loose> {
  const answer = await flock.post('/artifacts', artifact, headers);
  expect(answer.status, answer.text).toBe(202);
  return answer.json;
}

async function sync(artifact: object, headers?: Record<string, string>): Promise<Loose> {
  const answer = await flock.post('/artifacts/sync', artifact, headers);
  expect(answer.status, answer.text).toBe(200);
  return answer.json;
}

async function statusOf(correlation: string): Promise<Loose> {
  const answer = await flock.get(`/correlations/${encodeURIComponent(correlation)}/status`);
  expect(answer.status, answer.text).toBe(200);
  return answer.json;
}

const artifactIn = ({ text }: ReceivedRequest): Loose => JSON.parse(text).artifact;

describe('an artifact', () => {
  it('arrives at the webhook of its request as documented, with the sequence, signed over the raw body', async () => {
    const accepted = await publish({ ...BUG, webhook_url: url(), webhook_secret: 'your-hmac-secret' });
    expect(accepted).toEqual({
      status: 'accepted',
      id: expect.any(String),
      type: 'BugAnalysis',
      correlation_id: 'workflow-123',
      sequence: 1,
      created_at: expect.stringMatching(SECONDS),
      webhooks: [{ id: expect.stringMatching(/^dlv_/), endpoint_id: null, status: 'pending' }],
    });
    const [request] = await receiver.waitForRequests(1);
    expect(JSON.parse(request!.text)).toEqual({
      event: 'artifact.published',
      timestamp: expect.stringMatching(MICROSECONDS),
      artifact: { ...BUG, id: accepted.id, created_at: expect.stringMatching(MICROSECONDS), sequence: 1 },
    });
    expect(request!.headers).toMatchObject({
      'content-type': 'application/json',
      'x-flock-signature': hexSignature(request!, 'your-hmac-secret'),
      'webhook-id': accepted.id,
    });
  });

  it('may be as bare as a type and a payload; null means the same as leaving out', async () => {
    const nothing = { produced_by: null, tags: null, version: null, webhook_secret: null, id: null };
    const more = { correlation_id: null, max_retries: null, retry_delay: null, retry_backoff: null };
    for (const artifact of [{}, { ...nothing, ...more }]) {
      const { id } = await publish({ type: 'Report', payload: null, webhook_url: url(), ...artifact });
      const request = (await receiver.waitForRequests(1))[0]!;
      expect(artifactIn(request)).toMatchObject({
        id,
        payload: null,
        produced_by: null,
        tags: [],
        version: 1,
        correlation_id: expect.stringMatching(UUID),
      });
      receiver.clear();
    }
    const none = await publish({ type: 'Report', payload: 1, webhook_url: null });
    expect(none.webhooks).toEqual([]);
  });

  it('keeps the digits of its payload', async () => {
    const payload = '{"n":9007199254740993.10,"big":1e400,"list":[1.0, 2]}';
    await publish(`{"type":"Report","webhook_url":${JSON.stringify(url())},"payload":${payload}}`);
    const [request] = await receiver.waitForRequests(1);
    expect(request!.text).toContain(`"payload":${payload}`);
  });

  it('has the id that it brings, once', async () => {
    const artifact = { ...BUG, id: 'bug-42', webhook_url: url() };
    const first = await publish(artifact);
    expect(first.id).toBe('bug-42');
    await receiver.waitForRequests(1);
    // Published again in another workflow, it is the artifact that it was.
    const second = await publish({ ...artifact, correlation_id: 'workflow-124' });
    expect(second).toMatchObject({ id: 'bug-42', correlation_id: 'workflow-123', sequence: 1 });
    expect(second.webhooks[0].id).toBe(first.webhooks[0].id);
    expect((await flock.get('/correlations/workflow-124/status')).status).toBe(404);
  });

  it('that was published by Sealpost’s own API before keeps having no workflow', async () => {
    await flock.tenant.publish({ type: 'Report', payload: 1, id: 'mine' });
    const again = await publish({ type: 'Report', payload: 1, id: 'mine' });
    expect(again).toMatchObject({ id: 'mine', correlation_id: null, sequence: null });
  });

  it('is published once for an Idempotency-Key, also in its workflow', async () => {
    const key = { 'idempotency-key': randomUUID() };
    const artifact = { type: 'Report', payload: 1, webhook_url: url() };
    const first = await publish(artifact, key);
    expect(first.correlation_id).toMatch(UUID);
    expect(await publish(artifact, key)).toEqual(first);
    // As after a crash: the answer was not kept, but the event was.
    const kept = await stack.redis.client.keys('*:i:*');
    expect(kept).toHaveLength(1);
    await stack.redis.client.del(kept);
    const { id, correlation_id, sequence } = await publish(artifact, key);
    expect([id, correlation_id, sequence]).toEqual([first.id, first.correlation_id, 1]);
    const other = await flock.post('/artifacts', { ...artifact, payload: 2 }, key);
    expect([other.status, other.json.code]).toEqual([422, 'idempotency_key_reused']);
    expect(await statusOf(first.correlation_id)).toMatchObject({ artifacts: 1 });
    await receiver.waitForRequests(1);
    expect(receiver.requests).toHaveLength(1);
  });
});

describe('the secret', () => {
  it('is Flock’s configuration, the app’s, where the request brings none', async () => {
    flock = await DialectClient.open(stack.client, PATH, { signing_secret: 'of the configuration' });
    await publish({ ...BUG, webhook_url: url() });
    await publish({ ...BUG, webhook_url: url(), webhook_secret: 'of the request' });
    const requests = await receiver.waitForRequests(2);
    const bySequence = requests.sort((a, b) => artifactIn(a).sequence - artifactIn(b).sequence);
    for (const [i, secret] of ['of the configuration', 'of the request'].entries())
      expect(bySequence[i]!.headers['x-flock-signature']).toBe(hexSignature(bySequence[i]!, secret));
  });

  it('may be none: nothing is signed then', async () => {
    await publish({ ...BUG, webhook_url: url() });
    const [request] = await receiver.waitForRequests(1);
    expect(Object.keys(request!.headers).filter((name) => name.includes('signature'))).toEqual([]);
  });
});

describe('synchronously published, an artifact', () => {
  it('is answered with what has been delivered', async () => {
    const answer = await sync({ ...BUG, webhook_url: url() });
    expect(answer).toMatchObject({ status: 'accepted', sequence: 1, delivered: true });
    expect(answer.webhooks).toMatchObject([{ status: 'delivered' }]);
    expect(receiver.requests).toHaveLength(1);
  });

  it('that fails is accepted all the same, is retried, and fails no workflow', async () => {
    const { promise: held, resolve: release } = Promise.withResolvers<number>();
    receiver.respond('/fails', (_, nth) => (nth === 1 ? 500 : held));
    const answer = await sync({ ...BUG, webhook_url: url('/fails'), retry_delay: 0.2 });
    expect(answer).toMatchObject({ status: 'accepted', delivered: false });
    expect(answer.webhooks).toMatchObject([{ status: 'retrying' }]);
    release(200);
    await flock.tenant.hasStatus(answer.webhooks[0].id, 'delivered');
    expect(await sync({ ...BUG, webhook_url: url() })).toMatchObject({ sequence: 2, delivered: true });
  });

  it('that goes to several is delivered when all have it', async () => {
    receiver.respond('/down', 500);
    await flock.tenant.endpoint({ url: url('/up'), wire_profile: 'flock' });
    expect(await sync(BUG)).toMatchObject({ delivered: true });
    await flock.tenant.endpoint({ url: url('/down'), wire_profile: 'flock' });
    const answer = await sync({ ...BUG, max_retries: 0 });
    expect(answer.webhooks.map(({ status }: Loose) => status)).toEqual(['delivered', 'failed']);
    expect(answer.delivered).toBe(false);
  });

  it('has delivered nothing where there is no webhook', async () => {
    expect(await sync(BUG)).toMatchObject({ webhooks: [], delivered: false });
  });

  it('is published once for an Idempotency-Key', async () => {
    const key = { 'idempotency-key': randomUUID() };
    const artifact = { type: 'Report', payload: 1, webhook_url: url() };
    const first = await sync(artifact, key);
    expect(await sync(artifact, key)).toEqual(first);
    expect(receiver.requests).toHaveLength(1);
  });
});

it('publishing is answered before any webhook is, however long that takes', async () => {
  const { promise: held, resolve: release } = Promise.withResolvers<number>();
  receiver.respond(() => held);
  const answers = await Promise.all([1, 2, 3].map(() => publish({ ...BUG, webhook_url: url() })));
  expect(answers.map(({ webhooks }) => webhooks[0].status)).toEqual(['pending', 'pending', 'pending']);
  await receiver.waitForRequests(1);
  expect(await statusOf('workflow-123')).toMatchObject({ delivered: 0, pending: 3 });
  release(200);
  for (const { webhooks } of answers) await flock.tenant.hasStatus(webhooks[0].id, 'delivered');
});

describe('the artifacts of a workflow', () => {
  it('are each sent, and numbered in their order', async () => {
    const ids: string[] = [];
    for (const type of ['Idea', 'Draft', 'Report'])
      ids.push((await publish({ type, payload: {}, correlation_id: 'w', webhook_url: url() })).id);
    await publish({ type: 'Other', payload: {}, correlation_id: 'w2', webhook_url: url() });
    const requests = await receiver.waitForRequests(4);
    const sent = requests.map(artifactIn).filter(({ correlation_id }) => correlation_id === 'w');
    sent.sort((a, b) => a.sequence - b.sequence);
    expect(sent.map(({ id, sequence, type }) => [id, sequence, type])).toEqual([
      [ids[0], 1, 'Idea'],
      [ids[1], 2, 'Draft'],
      [ids[2], 3, 'Report'],
    ]);
  });

  it('have a status for each webhook, and counts of successes and failures', async () => {
    receiver.respond('/down', 503);
    receiver.respond('/later', 500);
    const correlation_id = 'a workflow / with: anything in its id';
    const up = await sync({ ...BUG, correlation_id, webhook_url: url('/up') });
    const down = await sync({ ...BUG, correlation_id, webhook_url: url('/down'), max_retries: 0 });
    const later = await sync({ ...BUG, correlation_id, webhook_url: url('/later'), retry_delay: 1000 });
    const status = await statusOf(correlation_id);
    const webhook = (artifact: Loose, more: object) => ({
      id: artifact.webhooks[0].id,
      artifact_id: artifact.id,
      type: 'BugAnalysis',
      sequence: artifact.sequence,
      attempts: 1,
      created_at: expect.stringMatching(SECONDS),
      ...more,
    });
    expect(status).toEqual({
      correlation_id,
      artifacts: 3,
      pending: 0,
      retrying: 1,
      delivered: 1,
      failed: 1,
      skipped: 0,
      cancelled: 0,
      success_count: 1,
      failure_count: 1,
      webhooks: [
        webhook(later, { status: 'retrying', status_code: 500, error: 'http_status' }),
        webhook(down, { status: 'failed', status_code: 503, error: 'retries_exhausted' }),
        webhook(up, { status: 'delivered', status_code: 200, error: null }),
      ],
    });
    // All of the app, beyond this workflow.
    await sync({ ...BUG, webhook_url: url('/up') });
    const stats = await flock.get('/webhooks/stats');
    expect([stats.status, stats.json]).toEqual([
      200,
      {
        pending: 0,
        retrying: 1,
        delivered: 2,
        failed: 1,
        skipped: 0,
        cancelled: 0,
        success_count: 2,
        failure_count: 1,
      },
    ]);
  });

  it('show the newest 100 webhooks', async () => {
    const events = Array.from({ length: 103 }, (_, n) => ({
      type: 'Report',
      payload: n,
      correlation_id: 'long',
      webhook_url: url(),
      deliver_at: new Date(Date.now() + 3_600_000).toISOString(),
    }));
    await flock.tenant.client.post(`${flock.tenant.path}/events/batch`, { events });
    const { artifacts, pending, webhooks } = await statusOf('long');
    expect([artifacts, pending, webhooks.length]).toEqual([103, 103, 100]);
    expect(webhooks.map(({ sequence }: Loose) => sequence)).toEqual(
      Array.from({ length: 100 }, (_, i) => 103 - i),
    );
  });

  it('of a workflow that nobody knows are not found', async () => {
    const unknown = await flock.get('/correlations/unknown/status');
    expect([unknown.status, unknown.json.code]).toEqual([404, 'correlation_not_found']);
  });
});

describe('retries', () => {
  it('are three by default, on any answer but 2xx, and then the failure is recorded', async () => {
    receiver.respond(inTurn(500, 404, 302, 400));
    const { webhooks } = await publish({ ...BUG, webhook_url: url(), retry_delay: 0.01 });
    const ended = await flock.tenant.ended(webhooks[0].id);
    expect(ended).toMatchObject({ status: 'dead', attempt_count: 4, reason: 'retries_exhausted' });
    expect((await statusOf('workflow-123')).webhooks).toMatchObject([{ status: 'failed', attempts: 4 }]);
  });

  it('come after 1, 2 and 4 s', async () => {
    const { retry } = await flock.tenant.endpoint({ url: url(), wire_profile: 'flock' });
    expect(delaysOf(retry)).toEqual([1, 2, 4]);
    receiver.respond(500);
    const { webhooks } = await publish({ ...BUG, webhook_url: url() });
    for (const { id } of webhooks)
      expect(msUntilRetry(await flock.tenant.hasStatus(id, 'retrying'))).toBeGreaterThan(900);
  });

  it('are as many as the request asks for', async () => {
    receiver.respond(500);
    const { webhooks } = await publish({ ...BUG, webhook_url: url(), max_retries: 2, retry_delay: 0.01 });
    expect(await flock.tenant.ended(webhooks[0].id)).toMatchObject({ status: 'dead', attempt_count: 3 });
  });

  it('grow as the request says, also at an endpoint that has another strategy', async () => {
    receiver.respond(500);
    await flock.tenant.endpoint({ url: url(), wire_profile: 'flock', retry: { strategy: 'linear' } });
    const retry = { retry_delay: 0.3, retry_backoff: 100 };
    const { webhooks } = await publish({ ...BUG, webhook_url: url(), ...retry });
    expect(webhooks).toHaveLength(2);
    for (const { id } of webhooks) {
      const isSecond = ({ status, attempt_count }: Loose) => status === 'retrying' && attempt_count === 2;
      const retrying = await flock.tenant.until(id, isSecond, 'wait for its second retry');
      expect(msUntilRetry(retrying)).toBeGreaterThan(29_000);
    }
  });

  it('may be none', async () => {
    receiver.respond(500);
    const { webhooks } = await publish({ ...BUG, webhook_url: url(), max_retries: 0 });
    expect(await flock.tenant.ended(webhooks[0].id)).toMatchObject({ status: 'dead', attempt_count: 1 });
  });
});

describe('a WebhookDeliveryComponent is an endpoint', () => {
  const basic = `Basic ${Buffer.from('flock:secret').toString('base64')}`;
  it.each([
    ['Authorization', 'Bearer your-token'],
    ['Authorization', basic],
    ['X-Api-Key', 'k-123'],
  ])('with the auth header %s: %s', async (name, value) => {
    const component = await flock.tenant.endpoint({
      url: url(),
      secret: 'your-hmac-secret',
      headers: { [name]: value },
      wire_profile: 'flock',
      retry: { max_retries: 3, base_seconds: 1, factor: 2 },
      timeout_seconds: 30,
    });
    expect(JSON.stringify((await flock.tenant.get('/endpoints')).json)).not.toContain(value);
    // Every artifact that is published, with no webhook in its request.
    const { webhooks } = await publish(BUG);
    expect(webhooks).toMatchObject([{ endpoint_id: component.id }]);
    const [request] = await receiver.waitForRequests(1);
    expect(request!.headers).toMatchObject({
      [name.toLowerCase()]: value,
      'x-flock-signature': hexSignature(request!, 'your-hmac-secret'),
    });
    expect(artifactIn(request!)).toMatchObject(BUG);
  });

  it('whose defaults are the documented ones', async () => {
    expect(await flock.tenant.endpoint({ url: url(), wire_profile: 'flock' })).toMatchObject({
      timeout_seconds: 30,
      retry: { strategy: 'exponential', base_seconds: 1, factor: 2, max_retries: 3, retry_on: 'non_2xx' },
    });
  });

  it('that gives up after its timeout, and tries again', async () => {
    receiver.respond(inTurn('hang', 200));
    await flock.tenant.endpoint({ url: url(), wire_profile: 'flock', timeout_seconds: 1 });
    const { webhooks } = await publish(BUG);
    await flock.tenant.hasStatus(webhooks[0].id, 'delivered');
    expect(receiver.requests).toHaveLength(2);
  });

  it('beside which a request has a webhook of its own', async () => {
    await flock.tenant.endpoint({
      url: url('/component'),
      wire_profile: 'flock',
      event_types: ['BugAnalysis'],
    });
    expect((await sync({ ...BUG, webhook_url: url('/request') })).webhooks).toHaveLength(2);
    expect((await sync({ ...BUG, type: 'Idea', webhook_url: url('/request') })).webhooks).toHaveLength(1);
    expect(receiver.requests.map(({ path }) => path).sort()).toEqual(['/component', '/request', '/request']);
  });

  it('sent to in the profile of Flock also where the endpoint names none', async () => {
    await flock.tenant.endpoint({ url: url() });
    await publish(BUG);
    const [request] = await receiver.waitForRequests(1);
    expect(JSON.parse(request!.text).event).toBe('artifact.published');
  });
});

/** What the document does by subclasses of its component. */
describe('of a component’s artifacts', () => {
  it('only those are sent that its filter wants', async () => {
    const filter = 'type == "BugAnalysis" && payload.severity in ["Critical", "High"]';
    await flock.tenant.endpoint({ url: url(), wire_profile: 'flock', filter });
    expect(await sync({ ...BUG, payload: { severity: 'Low' } })).toMatchObject({ webhooks: [] });
    expect(await sync({ ...BUG, type: 'Idea' })).toMatchObject({ webhooks: [] });
    expect(await sync(BUG)).toMatchObject({ delivered: true });
    expect(receiver.requests).toHaveLength(1);
  });

  it('each is written as Slack wants it, and signed', async () => {
    const transform = `{
      "text": "New " + type + " from " + attributes.produced_by,
      "blocks": [{"type": "section", "text": {
        "type": "mrkdwn", "text": "*" + type + "*\\n" + json(payload, 2)}}]
    }`;
    const secret = 'your-hmac-secret';
    await flock.tenant.endpoint({ url: url(), wire_profile: 'flock', transform, secret });
    await publish(BUG);
    const [request] = await receiver.waitForRequests(1);
    expect(JSON.parse(request!.text)).toEqual({
      text: 'New BugAnalysis from bug_detector',
      blocks: [
        {
          type: 'section',
          text: { type: 'mrkdwn', text: `*BugAnalysis*\n${JSON.stringify(BUG.payload, null, 2)}` },
        },
      ],
    });
    expect(request!.headers['x-flock-signature']).toBe(hexSignature(request!, secret));
  });

  it('each is written as Discord wants it, a field for each entry of the payload', async () => {
    const transform = `{
      "content": "New artifact: " + type,
      "embeds": [{
        "title": type,
        "description": "Produced by: " + attributes.produced_by,
        "fields": payload.map(k, {"name": k, "value": string(payload[k]), "inline": true})
      }]
    }`;
    await flock.tenant.endpoint({ url: url(), wire_profile: 'flock', transform });
    await publish({ ...BUG, payload: { severity: 'High', confidence: 0.92 } });
    const [request] = await receiver.waitForRequests(1);
    expect(JSON.parse(request!.text)).toEqual({
      content: 'New artifact: BugAnalysis',
      embeds: [
        {
          title: 'BugAnalysis',
          description: 'Produced by: bug_detector',
          fields: [
            { name: 'severity', value: 'High', inline: true },
            { name: 'confidence', value: '0.92', inline: true },
          ],
        },
      ],
    });
  });
});

describe('an artifact that is wrong is refused by its own names:', () => {
  it.each<[object, string[]]>([
    [{}, ['payload', 'type']],
    [{ type: 'a b', payload: 1 }, ['type']],
    [{ ...BUG, artifact: 1, name: 'x' }, ['artifact', 'name']],
    [{ ...BUG, webhook_url: 'ftp://x.example/' }, ['webhook_url']],
    [{ ...BUG, webhook_url: 'http://169.254.169.254/' }, ['webhook_url']],
    [{ ...BUG, webhook_secret: 'x' }, ['webhook_secret']],
    [{ ...BUG, webhook_url: 'https://x.example/', webhook_secret: '' }, ['webhook_secret']],
    [
      { ...BUG, max_retries: 51, retry_delay: -1, retry_backoff: 0.5 },
      ['max_retries', 'retry_backoff', 'retry_delay'],
    ],
    [{ ...BUG, tags: 'critical' }, ['tags']],
    [{ ...BUG, tags: ['a', 1] }, ['tags[1]']],
    [{ ...BUG, tags: Array.from({ length: 51 }, String) }, ['tags']],
    [{ ...BUG, produced_by: 'x'.repeat(2000) }, ['produced_by']],
    [{ ...BUG, version: 1.5 }, ['version']],
    [{ ...BUG, id: 'a b' }, ['id']],
    [{ ...BUG, id: 'evt_000000000001' }, ['id']],
    [{ ...BUG, correlation_id: '' }, ['correlation_id']],
  ])('%j', async (artifact, paths) => {
    for (const path of ['/artifacts', '/artifacts/sync']) {
      const refused = await flock.post(path, artifact);
      expect([refused.status, refused.json?.code], refused.text).toEqual([422, 'validation_failed']);
      expect(refused.headers.get('content-type')).toContain('application/problem+json');
      expect(badFields(refused).sort()).toEqual(paths);
    }
  });
});

describe('who acts where', () => {
  const REPORT = { type: 'Report', payload: 1, correlation_id: 'shared-name' };

  it('an app’s key acts in its own app, and sees nothing of another', async () => {
    const other = await DialectClient.open(stack.client, PATH);
    await publish({ ...REPORT, webhook_url: url() });
    const to = { 'sealpost-app': flock.tenant.app };
    for (const answer of [
      await other.client.post(`${PATH}/artifacts`, REPORT, to),
      await other.client.post(`${PATH}/artifacts/sync`, REPORT, to),
      await other.client.get(`${PATH}/correlations/shared-name/status`, to),
      await other.client.get(`${PATH}/webhooks/stats`, to),
    ])
      expect([answer.status, answer.json.code]).toEqual([403, 'key_of_another_app']);
    expect((await other.get('/correlations/shared-name/status')).status).toBe(404);
    await other.post('/artifacts', REPORT);
    expect((await other.get('/correlations/shared-name/status')).json).toMatchObject({
      artifacts: 1,
      webhooks: [],
    });
    expect((await other.get('/webhooks/stats')).json).toMatchObject({ pending: 0, success_count: 0 });
  });

  it('an operator acts in the app that Sealpost-App names, else in default', async () => {
    const named = await stack.client.post(`${PATH}/artifacts`, REPORT, { 'sealpost-app': flock.tenant.app });
    expect(named.json).toMatchObject({ sequence: 1 });
    expect(await statusOf('shared-name')).toMatchObject({ artifacts: 1 });
    const correlation_id = randomUUID();
    await stack.client.post(`${PATH}/artifacts`, { ...REPORT, correlation_id });
    const found = await stack.client.get(`/v1/apps/default/correlations/${correlation_id}`);
    expect(found.status, found.text).toBe(200);
  });

  it('nobody acts without a key', async () => {
    for (const client of [stack.client.withKey(undefined), stack.client.withKey('sk_wrong')]) {
      expect((await client.post(`${PATH}/artifacts`, REPORT)).status).toBe(401);
      expect((await client.get(`${PATH}/webhooks/stats`)).status).toBe(401);
    }
  });
});

it('is described in the OpenAPI document', async () => {
  const { json } = await stack.client.get('/openapi.json');
  const operations = Object.entries<Loose>(json.paths).flatMap(([path, methods]) =>
    path.startsWith(PATH)
      ? Object.entries<Loose>(methods).map(([method, { tags }]) => [method, path, tags[0]])
      : [],
  );
  expect(operations).toEqual([
    ['post', `${PATH}/artifacts`, 'Flock compatibility'],
    ['post', `${PATH}/artifacts/sync`, 'Flock compatibility'],
    ['get', `${PATH}/correlations/{correlation}/status`, 'Flock compatibility'],
    ['get', `${PATH}/webhooks/stats`, 'Flock compatibility'],
  ]);
});
