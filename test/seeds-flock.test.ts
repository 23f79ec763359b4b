import { beforeAll, describe, expect } from 'vitest';
import {
  inTurn,
  type Loose,
  type ReceivedRequest,
  Receiver,
  type Stack,
  startStack,
  Tenant,
} from './harness/index.ts';
import { Compat } from './seeds/compat.ts';
import { delaysOf } from './seeds/delays.ts';
import { SeedDocument } from './seeds/documents.ts';
import { needing } from './seeds/needing.ts';
import { proveReceiver, type Sender, sha256 } from './seeds/prove-receiver.ts';
import { flockOutput } from './seeds/python-output.ts';
import { runNode, runPython } from './seeds/run-receiver.ts';

let stack: Stack;
beforeAll(async () => {
  stack = await startStack();
});

const document = () => SeedDocument.read('flock-webhooks.txt');
const it = needing('documents');
const itInPython = needing('documents', 'python');

/** The event that the documented payload tells of; what Flock knows of an artifact besides is in the attributes. */
function exampleEvent(): Loose {
  const { artifact } = document().json('Webhook Payload') as Loose;
  const { id, type, payload, correlation_id, produced_by, tags, version } = artifact;
  return { id, type, payload, correlation_id, attributes: { produced_by, tags, version } };
}

const sender = (secret: string): Sender => ({
  profile: 'flock',
  header: 'x-flock-signature',
  secret,
  event: exampleEvent(),
});

describe("Flock's own receivers take genuine deliveries and refuse the others", () => {
  itInPython('the Python function in its handler', async () => {
    const code = document().code('Verifying Signatures (Python Example)', 'python');
    const url = `${await runPython('serve_async.py', code, {})}/webhook`;
    expect(await proveReceiver(url, stack, sender('your-secret'))).toEqual({
      changedBody: 401,
      wrongSecret: 401,
      missingHeader: 401,
      emptySignature: 401,
    });
  });

  // It throws at a signature of another length, and at none.
  it('the Node function', async () => {
    const code = document().code('Verifying Signatures (Node.js Example)', 'javascript');
    const url = await runNode(code + NODE_SERVER, { SECRET: 'your-secret' });
    expect(await proveReceiver(url, stack, sender('your-secret'))).toEqual({
      changedBody: 401,
      wrongSecret: 401,
      missingHeader: 500,
      emptySignature: 500,
    });
  });
});

/** What the function stands in: the raw body, and a 500 for what throws, as in Express. */
const NODE_SERVER = `
const server = require('node:http').createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const signature = request.headers['x-flock-signature'];
  try {
    response.statusCode = verifyWebhook(Buffer.concat(chunks), signature, process.env.SECRET) ? 200 : 401;
  } catch {
    response.statusCode = 500;
  }
  response.end();
});
server.listen(0, '127.0.0.1', () => console.log('listening ' + server.address().port));
`;

describe("Flock's payload", () => {
  it('is the documented one, key by key, and the sequence that its requirements ask for', async () => {
    const receiver = await Receiver.listen();
    const tenant = await Tenant.create(stack.client, { wire_profile: 'flock' });
    await tenant.endpoint({ url: receiver.url() });
    const { created_at } = await tenant.publish(exampleEvent());
    const [request] = await receiver.waitForRequests(1);
    const example = document().json('Webhook Payload') as Loose;
    expect(example.timestamp).toMatch(/\.\d{6}Z$/);
    const time = created_at.replace('Z', '000Z');
    const artifact = { ...example.artifact, created_at: time, sequence: 1 };
    expect(request!.text).toBe(JSON.stringify({ ...example, timestamp: time, artifact }));
  });
});

describe("Flock's configuration options are settings of an endpoint", () => {
  itInPython('URL, secret, auth header, retries and timeout', async () => {
    const [options] = await flockOutput(document().code('Configuration Options', 'python'), 'options');
    const receiver = await Receiver.listen();
    const tenant = await Tenant.create(stack.client, { wire_profile: 'flock' });
    const { id } = await tenant.endpoint({
      url: receiver.url(new URL(options.webhook_url).pathname),
      secret: options.webhook_secret,
      headers: { [options.auth_header]: options.auth_value },
      retry: {
        max_retries: options.max_retries,
        base_seconds: options.retry_delay,
        factor: options.retry_backoff,
      },
      timeout_seconds: options.timeout,
    });
    await tenant.ended(await tenant.send(exampleEvent()));
    expect(receiver.requests[0]!.headers).toMatchObject({
      [options.auth_header.toLowerCase()]: options.auth_value,
      'x-flock-signature': expect.stringMatching(/^sha256=[0-9a-f]{64}$/),
    });
    // The document names its defaults as the values of this example, so the profile must come to the same.
    const plain = await tenant.endpoint({ url: receiver.url() });
    const [set, byDefault] = await Promise.all(
      [id, plain.id].map(async (endpoint) => (await tenant.get(`/endpoints/${endpoint}`)).json),
    );
    expect([byDefault.retry, byDefault.timeout_seconds]).toEqual([set.retry, set.timeout_seconds]);
  });

  itInPython('the quick start is a URL alone, and nothing is signed', async () => {
    const [options] = await flockOutput(document().code('Quick Start', 'python'), 'options');
    expect(Object.keys(options)).toEqual(['webhook_url']);
    const receiver = await Receiver.listen();
    const tenant = await Tenant.create(stack.client, { wire_profile: 'flock' });
    await tenant.send({ ...exampleEvent(), webhook_url: receiver.url() });
    const [request] = await receiver.waitForRequests(1);
    expect(JSON.parse(request!.text).event).toBe('artifact.published');
    expect(Object.keys(request!.headers).filter((name) => name.includes('signature'))).toEqual([]);
  });
});

describe("Flock's retries", () => {
  it('come after the documented delays, on any answer but 2xx, and then end', async () => {
    const rows = document()
      .lines('Retry Behavior')
      .map((line) => line.split('|').map((cell) => cell.trim()));
    const documented = rows
      .filter(([, attempt]) => Number(attempt) > 1)
      .map(([, , delay]) => Number.parseFloat(delay!));
    expect(documented).toHaveLength(3);
    const receiver = await Receiver.listen();
    receiver.respond(inTurn(404, 500, 302, 400));
    const tenant = await Tenant.create(stack.client, { wire_profile: 'flock' });
    const { id } = await tenant.endpoint({ url: receiver.url() });
    expect(delaysOf((await tenant.get(`/endpoints/${id}`)).json.retry)).toEqual(documented);
    const delivery = await tenant.ended(await tenant.send(exampleEvent()));
    expect(delivery).toMatchObject({ status: 'dead', attempt_count: 4 });
    const gaps = receiver.requests.slice(1).map(({ at }, i) => at - receiver.requests[i]!.at);
    for (const [i, seconds] of documented.entries()) expect(gaps[i]).toBeGreaterThanOrEqual(seconds * 1000);
  });
});

describe("Flock's requirements", () => {
  const prd = () => SeedDocument.read('flock-prd.txt');
  const flow = { type: 'Report', payload: {}, correlation_id: 'workflow-9' };
  const publish = (tenant: Tenant, event: object, headers?: Record<string, string>) =>
    tenant.publish({ ...flow, wire_profile: 'flock', retry: { max_retries: 0 }, ...event }, headers);

  const names = () => {
    const line = prd()
      .list('Feature 2: Webhook Payload')
      .find((text) => text.includes('Includes: '))!;
    // The documented example calls it `id`.
    return line
      .replace(/.*Includes: /, '')
      .replace('artifact_id', 'id')
      .split(', ');
  };

  it('a webhook URL and secret per request, by the routes that they name, numbered in the workflow', async () => {
    const api = await Compat.open(stack, 'flock');
    const routes = [
      ...prd()
        .list('Feature 1: Per-Request Webhook URL')
        .join('\n')
        .matchAll(/`(\/[\w/]+)`/g),
    ];
    expect(routes.map(([, path]) => path)).toEqual(['/artifacts', '/artifacts/sync']);
    const receiver = await Receiver.listen();
    const { produced_by, tags, version } = exampleEvent().attributes;
    const artifact = { type: 'Report', payload: { n: 1 }, produced_by, tags, version };
    const webhook = {
      webhook_url: receiver.url(),
      webhook_secret: 'of this request',
      correlation_id: 'workflow-9',
    };
    for (const [, path] of routes) await api.call('POST', path!, { ...artifact, ...webhook });
    const requests = await receiver.waitForRequests(2);
    for (const { headers, body } of requests) {
      expect(headers['x-flock-signature']).toBe(sha256('of this request', body));
    }
    const artifacts = requests.map(({ text }) => JSON.parse(text).artifact);
    expect(artifacts.map(({ sequence }) => sequence).sort()).toEqual([1, 2]);
    for (const sent of artifacts) {
      expect(sent).toMatchObject({ ...artifact, correlation_id: 'workflow-9' });
      expect(Object.keys(sent)).toEqual(expect.arrayContaining(names()));
    }
  });

  it("the same through Sealpost's own route, async and sync", async () => {
    const receiver = await Receiver.listen();
    const tenant = await Tenant.create(stack.client);
    const webhook = { webhook_url: receiver.url(), webhook_secret: 'of this request' };
    await publish(tenant, webhook);
    const sync = await publish(tenant, webhook, { prefer: 'wait=10' });
    expect(sync.deliveries).toMatchObject([{ status: 'delivered' }]);
    for (const { headers, body } of await receiver.waitForRequests(2)) {
      expect(headers['x-flock-signature']).toBe(sha256('of this request', body));
    }
  });

  it('the secret may be configured instead', async () => {
    const receiver = await Receiver.listen();
    const tenant = await Tenant.create(stack.client, { signing_secret: 'of the configuration' });
    await publish(tenant, { webhook_url: receiver.url() });
    const [{ headers, body }] = (await receiver.waitForRequests(1)) as [ReceivedRequest];
    expect(headers['x-flock-signature']).toBe(sha256('of the configuration', body));
  });

  it('a failing delivery fails no publishing, and its status is told per correlation id, with counts', async () => {
    const api = await Compat.open(stack, 'flock');
    const receiver = await Receiver.listen();
    receiver.respond('/down', 500);
    for (const path of ['/up', '/down', '/up']) {
      const webhook = { webhook_url: receiver.url(path), correlation_id: 'workflow-9', max_retries: 0 };
      await api.call('POST', '/artifacts/sync', { type: 'Report', payload: {}, ...webhook });
    }
    const expected = { delivered: 2, failed: 1, success_count: 2, failure_count: 1 };
    expect(await api.call('GET', '/correlations/workflow-9/status')).toMatchObject(expected);
    expect(await api.call('GET', '/webhooks/stats')).toMatchObject(expected);
    const own = await api.tenant.get('/correlations/workflow-9');
    expect(own.json.deliveries).toMatchObject({ delivered: 2, dead: 1 });
  });
});
