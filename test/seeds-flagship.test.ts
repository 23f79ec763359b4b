import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect } from 'vitest';
import { inTurn, type Loose, Receiver, type Stack, startStack, Tenant, waitFor } from './harness/index.ts';
import { Compat } from './seeds/compat.ts';
import { delaysOf } from './seeds/delays.ts';
import { SeedDocument } from './seeds/documents.ts';
import { documentedHeaders, headerOf } from './seeds/headers.ts';
import { needing } from './seeds/needing.ts';
import { deliverTo, proveReceiver, type Sender } from './seeds/prove-receiver.ts';
import { runGo, runNode, runPython } from './seeds/run-receiver.ts';
import { shapeOf } from './seeds/shape.ts';

let stack: Stack;
beforeAll(async () => {
  stack = await startStack();
});

const document = () => SeedDocument.read('goflagship.txt');
const it = needing('documents');

/** The event that the documented payload tells of. */
function exampleEvent(): Loose {
  const { event, environment, resource, data, metadata } = document().json('Payload') as Loose;
  return { type: event, environment, payload: { resource, data, metadata } };
}

const SECRET = 'whsec_c2VjcmV0IG9mIHRoZSBmbGFncyBvZiBnbw==';
const sender = (): Sender => ({
  profile: 'flagship',
  header: 'x-flagship-signature',
  secret: SECRET,
  event: exampleEvent(),
});

describe("goflagship's own receivers take genuine deliveries and refuse the others", () => {
  const EXPRESS = "const express = require('express');\nconst app = express();\n";
  const LISTEN = `
const server = app.listen(0, '127.0.0.1', () => console.log('listening ' + server.address().port));
`;

  // It throws at no signature, and at one of another length.
  it('the Node middleware in Express', async () => {
    const code = EXPRESS + document().code('Node.js', 'javascript') + LISTEN;
    const url = `${await runNode(code, { WEBHOOK_SECRET: SECRET })}/webhook`;
    expect(await proveReceiver(url, stack, sender())).toEqual({
      changedBody: 401,
      wrongSecret: 401,
      missingHeader: 500,
      emptySignature: 500,
    });
  });

  // It throws at no signature. It also forgets to import `os`, which is there for it.
  needing('documents', 'flask')('the Python endpoint in Flask', async () => {
    const code = document().code('Python', 'python');
    const url = `${await runPython('serve_flask.py', code, { WEBHOOK_SECRET: SECRET })}/webhook`;
    expect(await proveReceiver(url, stack, sender())).toEqual({
      changedBody: 401,
      wrongSecret: 401,
      missingHeader: 500,
      emptySignature: 401,
    });
  });

  needing('documents', 'go')('the Go handler', async () => {
    const files = {
      'go.mod': 'module receiver\n\ngo 1.20\n',
      'snippet.go': document().code('Go', 'go'),
      'serve.go': await readFile(join(import.meta.dirname, 'seeds', 'around', 'serve.go'), 'utf8'),
    };
    const url = `${await runGo(files, { WEBHOOK_SECRET: SECRET })}/webhook`;
    expect(await proveReceiver(url, stack, sender())).toEqual({
      changedBody: 401,
      wrongSecret: 401,
      missingHeader: 401,
      emptySignature: 401,
    });
  });

  it('the Express handler that forwards to Slack reads the delivery', async () => {
    const slack = await Receiver.listen();
    const code = `${EXPRESS}app.use(express.json());\n${document().code('Slack Notification', 'javascript')}${LISTEN}`;
    const url = `${await runNode(code, { SLACK_WEBHOOK_URL: slack.url() })}/webhook`;
    expect((await deliverTo(url, stack, sender())).delivery).toMatchObject({ status: 'delivered' });
    const [message] = slack.requests;
    expect(JSON.parse(message!.text).blocks[0].text.text).toContain('*feature_x* was disabled');
  });

  needing('documents', 'flask')('the Flask handler that forwards to Datadog reads the delivery', async () => {
    const datadog = await Receiver.listen();
    const code = DATADOG_AROUND + document().code('Datadog Event', 'python');
    const env = { DATADOG_API_KEY: 'dd-key', DATADOG: datadog.url() };
    const url = `${await runPython('serve_flask.py', code, env)}/webhook`;
    expect((await deliverTo(url, stack, sender())).delivery).toMatchObject({ status: 'delivered' });
    const [event] = datadog.requests;
    expect(JSON.parse(event!.text).tags).toEqual(['env:prod', 'source:goflagship']);
    expect(event!.headers['dd-api-key']).toBe('dd-key');
  });
});

/** What the Datadog handler needs around it; its `requests.post` goes to a receiver here. */
const DATADOG_AROUND = `
import json, os, urllib.request
from flask import Flask, request
app = Flask(__name__)

class requests:
    @staticmethod
    def post(url, headers, json):
        body = globals()["json"].dumps(json).encode()
        urllib.request.urlopen(urllib.request.Request(os.environ["DATADOG"], body, headers)).read()

`;

describe("goflagship's deliveries", () => {
  it('are the documented payload, key by key, under the documented headers', async () => {
    const receiver = await Receiver.listen();
    const tenant = await Tenant.create(stack.client, { wire_profile: 'flagship' });
    await tenant.endpoint({ url: receiver.url() });
    const event = await tenant.publish(exampleEvent());
    const [request] = await receiver.waitForRequests(1);
    const example = document().json('Payload') as Loose;
    expect(shapeOf(example.timestamp)).toBe('time to the second');
    const timestamp = event.created_at.replace(/\.\d+Z$/, 'Z');
    expect(request!.text).toBe(JSON.stringify({ ...example, timestamp }));

    const expected: Record<string, unknown> = {
      'Content-Type': 'application/json',
      'X-Flagship-Signature': expect.stringMatching(/^sha256=[0-9a-f]{64}$/),
      'X-Flagship-Event': 'flag.updated',
      'X-Flagship-Delivery': event.deliveries[0].id,
    };
    const documented = documentedHeaders(document().code('Headers', '').trim().split('\n'));
    const got = documented.map(([name]) => [name, headerOf(request!, name)]);
    expect(Object.fromEntries(got)).toEqual(expected);
  });

  it('come for every documented event type, to the environments that an endpoint names', async () => {
    const types = document()
      .list('Event Types')
      .map((line) => /`([\w.]+)`/.exec(line)![1]!);
    expect(types).toHaveLength(3);
    const receiver = await Receiver.listen();
    const tenant = await Tenant.create(stack.client, { wire_profile: 'flagship' });
    await tenant.endpoint({ url: receiver.url('/prod'), event_types: types, environments: ['prod'] });
    await tenant.endpoint({ url: receiver.url('/all') });
    for (const type of types) {
      for (const environment of ['prod', 'staging'])
        await tenant.publish({ ...exampleEvent(), type, environment });
    }
    const all = await receiver.waitForRequests(6, { path: '/all' });
    expect(all.map(({ headers }) => headers['x-flagship-event']).sort()).toEqual([...types, ...types].sort());
    const prod = await receiver.waitForRequests(3, { path: '/prod' });
    expect(prod.map(({ text }) => JSON.parse(text).environment)).toEqual(['prod', 'prod', 'prod']);
    const { json } = await tenant.get('/deliveries?limit=1');
    expect(json.pagination.total).toBe(9);
  });

  it('are retried after the documented delays, up to max_retries', async () => {
    const tenant = await Tenant.create(stack.client, { wire_profile: 'flagship' });
    const { retry } = await tenant.endpoint({ url: 'https://example.com/', retry: { max_retries: 5 } });
    const line = document()
      .list('Retry Behavior')
      .find((text) => text.includes('backoff'))!;
    const documented = [...line.matchAll(/(\d+)s/g)].map(([, seconds]) => Number(seconds));
    expect(documented).toHaveLength(3);
    expect(delaysOf(retry)).toEqual([...documented, 8, 16]);
    expect(retry.retry_on).toBe('non_2xx');
  });
});

describe("goflagship's documented requests", () => {
  let api: Compat;
  const replay = (heading: string, id = '') =>
    api.replay(document().code(heading, 'http'), { admin_api_key: api.key, id });
  const sent = (heading: string) => {
    const code = document().code(heading, 'http');
    return JSON.parse(code.slice(code.search(/^\{/m)));
  };

  it('create, list, get, replace and delete a webhook, answered as documented', async () => {
    api = await Compat.open(stack, 'flagship');
    const created = await replay('Create Webhook');
    const documented = document().json('Create Webhook') as Loose;
    expect(shapeOf(created)).toEqual(shapeOf(documented));
    expect(created).toMatchObject({ ...sent('Create Webhook'), enabled: true });
    expect(created.secret).toMatch(/^whsec_/);

    const { secret: _, ...shown } = created;
    const listed = await replay('List Webhooks');
    expect(JSON.stringify(listed)).toContain(created.id);
    expect(JSON.stringify(listed)).not.toContain(created.secret);
    expect(await replay('Get Webhook', created.id)).toMatchObject(shown);
    const updated = await replay('Update Webhook', created.id);
    expect(updated).toMatchObject({ id: created.id, ...sent('Update Webhook') });
    expect(await replay('Get Webhook', created.id)).toMatchObject(sent('Update Webhook'));
    await replay('Delete Webhook', created.id);
    expect((await api.request('GET', `/v1/admin/webhooks/${created.id}`)).status).toBe(404);
  });

  it('send a test delivery, and list deliveries as documented', async () => {
    api = await Compat.open(stack, 'flagship');
    const receiver = await Receiver.listen();
    const { id } = await replay('Create Webhook');
    const to = { ...sent('Update Webhook'), url: receiver.url('/webhook') };
    await api.call('PUT', `/v1/admin/webhooks/${id}`, to);
    await replay('Test Webhook', id);
    const [request] = await receiver.waitForRequests(1);
    expect(Object.keys(JSON.parse(request!.text))).toEqual(Object.keys(document().json('Payload') as object));
    expect(request!.headers['x-flagship-signature']).toMatch(/^sha256=/);
    const listed = await waitFor(
      async () => {
        const answer = await replay('List Webhook Deliveries', id);
        return answer.deliveries[0]?.success && answer;
      },
      { describe: 'the list to have the successful delivery' },
    );
    const documented = document().json('List Webhook Deliveries') as Loose;
    expect(shapeOf(listed)).toEqual(shapeOf(documented));
    expect(listed.deliveries[0]).toMatchObject({ status_code: 200, success: true, retry_count: 0 });
    expect(listed.pagination).toEqual({ page: 1, limit: 20, total: 1 });
  });

  it('tell of each delivery how it went, retries included', async () => {
    api = await Compat.open(stack, 'flagship');
    const receiver = await Receiver.listen();
    receiver.respond(inTurn(500, 200));
    const { id } = await replay('Create Webhook');
    await api.call('PUT', `/v1/admin/webhooks/${id}`, { ...sent('Update Webhook'), url: receiver.url() });
    await api.tenant.ended(await api.tenant.send(exampleEvent()));
    await api.call('PUT', `/v1/admin/webhooks/${id}`, {
      ...sent('Update Webhook'),
      url: receiver.url(),
      enabled: false,
    });
    await api.tenant.ended(await api.tenant.send(exampleEvent()));
    const { deliveries } = await replay('List Webhook Deliveries', id);
    expect(deliveries.at(-1)).toMatchObject({ success: true, status_code: 200, retry_count: 1 });
    expect(receiver.requests, 'none while it is disabled').toHaveLength(2);
  });
});
