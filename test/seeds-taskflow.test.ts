import { beforeAll, describe, expect } from 'vitest';
import { type Loose, Receiver, type Stack, startStack, Tenant, waitFor } from './harness/index.ts';
import { Compat } from './seeds/compat.ts';
import { delaysOf } from './seeds/delays.ts';
import { SeedDocument } from './seeds/documents.ts';
import { documentedHeaders, headerOf } from './seeds/headers.ts';
import { needing } from './seeds/needing.ts';
import { deliverTo, post, proveReceiver, type Sender } from './seeds/prove-receiver.ts';
import { runPython } from './seeds/run-receiver.ts';
import { shapeOf } from './seeds/shape.ts';

let stack: Stack;
beforeAll(async () => {
  stack = await startStack();
});

const document = () => SeedDocument.read('taskflow.txt');
const it = needing('documents');
const itInPython = needing('documents', 'python');

/** The event that the documented payload tells of. */
function exampleEvent(): Loose {
  const { type, request_id, payload } = document().json('Webhook Payload') as Loose;
  return { type, payload, attributes: { request_id } };
}

const sender = (): Sender => ({
  profile: 'taskflow',
  header: 'x-taskflow-signature',
  secret: 'your-secret-token',
  event: exampleEvent(),
});

describe("TaskFlow's own receivers take genuine deliveries and refuse the others", () => {
  const verifier = () => document().code('Signature Verification', 'python');

  // Compares with ==, which tells by its time how much of a signature is right.
  itInPython('the Python function', async () => {
    const url = await runPython('serve_function.py', verifier(), { SECRET: sender().secret }, [
      'verify_webhook(request)',
    ]);
    expect(await proveReceiver(url, stack, sender())).toEqual({
      changedBody: 401,
      wrongSecret: 401,
      missingHeader: 401,
      emptySignature: 401,
    });
  });

  // It is written for FastAPI, where a handler's tuple is a body: a forgery is refused with 200, and not processed.
  itInPython('the custom integration, by what it processes', async () => {
    const processed = await Receiver.listen();
    const origin = await runPython(
      'serve_async.py',
      document().code('Custom Integration', 'python'),
      { SECRET: sender().secret, PROCESSED: processed.url() },
      [verifier() + WHAT_IT_LEAVES_OUT],
    );
    const url = `${origin}/taskflow-webhook`;
    const { delivery, request } = await deliverTo(url, stack, sender());
    expect(delivery).toMatchObject({ status: 'delivered', attempt_count: 1 });
    expect(processed.requests.map(({ text }) => JSON.parse(text))).toEqual([exampleEvent().payload]);
    const forged = Buffer.from(request.text.replace('{', '{ '));
    expect(await post(url, request.headers, forged)).toBe(200);
    expect(processed.requests).toHaveLength(1);
  });
});

/** The custom integration calls two functions that its document does not have; the one is named otherwise there. */
const WHAT_IT_LEAVES_OUT = `
import os
import urllib.request
from types import SimpleNamespace

secret_token = os.environ["SECRET"]

def verify_signature(request):
    return verify_webhook(SimpleNamespace(headers=request.headers, body=request.raw))

def process_completed_job(payload):
    import json
    urllib.request.urlopen(os.environ["PROCESSED"], json.dumps(payload).encode()).read()
`;

describe("TaskFlow's deliveries", () => {
  it('are the documented payload, key by key, under the documented headers', async () => {
    const receiver = await Receiver.listen();
    const tenant = await Tenant.create(stack.client, { wire_profile: 'taskflow' });
    await tenant.endpoint({ url: receiver.url() });
    const event = await tenant.publish(exampleEvent());
    const [request] = await receiver.waitForRequests(1);
    const example = document().json('Webhook Payload') as Loose;
    expect(shapeOf(example.timestamp)).toBe('time to the second');
    const timestamp = event.created_at.replace(/\.\d+Z$/, 'Z');
    expect(request!.text).toBe(JSON.stringify({ ...example, timestamp }));

    const values = { event_type: event.type, delivery_id: event.deliveries[0].id };
    for (const [name, value] of documentedHeaders(document().lines('Common Headers'))) {
      const expected = value.replace(
        /\{(event_type|delivery_id)\}/,
        (_, key: keyof typeof values) => values[key],
      );
      if (value.includes('{signature}'))
        expect(headerOf(request!, name), name).toMatch(/^sha256=[0-9a-f]{64}$/);
      else expect(headerOf(request!, name), name).toBe(expected);
    }
  });

  it('come for every documented event type to who subscribes to it', async () => {
    const lists = ['Job Events', 'Request Events', 'Embedding Events'];
    const types = lists.flatMap((list) =>
      document()
        .list(list)
        .map((line) => /`([\w.]+)`/.exec(line)![1]!),
    );
    expect(types).toHaveLength(10);
    const receiver = await Receiver.listen();
    const tenant = await Tenant.create(stack.client, { wire_profile: 'taskflow' });
    for (const type of types) await tenant.endpoint({ url: receiver.url(`/${type}`), event_types: [type] });
    for (const type of types) await tenant.publish({ type, payload: {} });
    const requests = await receiver.waitForRequests(types.length);
    const got = requests.map(({ path, headers }) => [path, headers['x-taskflow-event']]);
    expect(got.sort()).toEqual(types.map((type) => [`/${type}`, type]).sort());
  });
});

describe("TaskFlow's retries and limits", () => {
  it('are the documented ones', async () => {
    const tenant = await Tenant.create(stack.client, { wire_profile: 'taskflow' });
    const { retry, rate_limit } = await tenant.endpoint({ url: 'https://example.com/webhook' });
    const text = document().list('Retry Logic').join('\n');
    expect(delaysOf(retry)).toEqual(
      [...text.matchAll(/After (\d+) seconds/g)].map(([, seconds]) => Number(seconds)),
    );
    expect(retry.max_delay_seconds).toBe(Number(/Maximum wait: (\d+) seconds/.exec(text)![1]));
    const perHour = Number(/(\d+) deliveries per hour/.exec(document().list('Rate Limits').join('\n'))![1]);
    expect(rate_limit).toMatchObject({ limit: perHour, period_seconds: 3600, over: 'hold' });
  });

  it('follow every documented failure', async () => {
    const failures = document().list('Retry Logic').slice(-3);
    expect(failures).toEqual(['Connection timeout', 'Non-2xx HTTP response', 'Network error']);
    const receiver = await Receiver.listen();
    receiver.respond('/timeout', 'hang');
    receiver.respond('/network', 'reset');
    for (const status of [302, 400, 404, 500]) receiver.respond(`/${status}`, status);
    for (const path of ['timeout', 'network', '302', '400', '404', '500']) {
      const tenant = await Tenant.create(stack.client, { wire_profile: 'taskflow' });
      await tenant.endpoint({ url: receiver.url(`/${path}`), timeout_seconds: 5 });
      await tenant.hasStatus(await tenant.send(exampleEvent()), 'retrying');
    }
  });

  it('end in at most the documented wait, however many retries', async () => {
    const tenant = await Tenant.create(stack.client, { wire_profile: 'taskflow' });
    const { retry } = await tenant.endpoint({
      url: 'https://example.com/webhook',
      retry: { max_retries: 10 },
    });
    expect(delaysOf(retry)).toEqual([2, 4, 8, 16, 32, 60, 60, 60, 60, 60]);
  });
});

describe("TaskFlow's documented requests", () => {
  let api: Compat;
  const creation = () => document().code('Creating a Webhook', 'bash');
  const sample = () => JSON.parse(creation().slice(creation().indexOf('{')));
  const open = async () => {
    api = await Compat.open(stack, 'taskflow');
    return api;
  };
  const replay = (heading: string, values?: Record<string, string>) =>
    api.replay(document().code(heading, 'bash'), values);

  it('create, list, update, and delete a webhook', async () => {
    await open();
    const created = await replay('Creating a Webhook');
    // The secret is not shown; the others are as they were sent.
    const { secret_token: _, headers, ...fields } = sample();
    expect(created).toMatchObject({ ...fields, is_active: true });
    expect(Object.keys(created.headers)).toEqual(Object.keys(headers));
    expect((await replay('List Webhooks')).data).toMatchObject([fields]);
    const values = { webhook_id: String(created.id) };
    const updated = await replay('Update Webhook', values);
    expect(updated).toMatchObject({ ...fields, events: ['job.completed', 'job.failed', 'request.created'] });
    await replay('Delete Webhook', values);
    expect((await replay('List Webhooks')).data).toEqual([]);
  });

  it('send a test delivery, signed and with its custom header, and show what failed', async () => {
    await open();
    const receiver = await Receiver.listen();
    receiver.respond('/down', 500);
    const created = await replay('Creating a Webhook');
    const values = { webhook_id: String(created.id) };
    expect((await replay('View Delivery History', values)).data).toEqual([]);
    await api.call('PATCH', `/api/webhooks/${created.id}`, { url: receiver.url('/webhook') });
    await replay('Test Webhook', values);
    const [request] = await receiver.waitForRequests(1, { path: '/webhook' });
    const { event_type, sample_data } = JSON.parse(
      document().code('Test Webhook', 'bash').replace(/^.*\n/, ''),
    );
    expect(JSON.parse(request!.text)).toMatchObject({ type: event_type, payload: sample_data });
    expect(request!.headers).toMatchObject({
      'x-custom-header': 'value',
      'x-taskflow-signature': expect.stringMatching(/^sha256=/),
    });
    await api.call('PATCH', `/api/webhooks/${created.id}`, { url: receiver.url('/down'), retry_count: 0 });
    await replay('Test Webhook', values);
    const failed = await waitFor(
      async () => {
        const { data } = await replay('View Delivery History', values);
        return data.length > 0 && data;
      },
      { describe: 'the history to have the failed delivery' },
    );
    expect(failed).toHaveLength(1);
  });

  it('make a webhook without a secret, which is not signed, and one that is not active, which gets nothing', async () => {
    await open();
    const receiver = await Receiver.listen();
    const { secret_token: _, ...fields } = sample();
    await api.call('POST', '/api/webhooks', { ...fields, url: receiver.url('/unsigned') });
    const off = { ...fields, name: 'Off', url: receiver.url('/off'), is_active: false };
    expect((await api.call('POST', '/api/webhooks', off)).is_active).toBe(false);
    const { deliveries } = await api.tenant.publish(exampleEvent());
    for (const { id } of deliveries) await api.tenant.ended(id);
    expect(receiver.requests.map(({ path }) => path)).toEqual(['/unsigned']);
    expect(Object.keys(receiver.requests[0]!.headers).filter((name) => name.includes('signature'))).toEqual(
      [],
    );
  });

  it("take the Slack webhook of the document's Python, and all its limits", async () => {
    await open();
    const { name: _, ...unnamed } = sample();
    for (const missing of ['name', 'url', 'events']) {
      const { [missing]: __, ...rest } = sample();
      expect((await api.request('POST', '/api/webhooks', rest)).status, missing).toBe(422);
    }
    const slack = document().code('Slack Notification', 'python');
    const json = slack.slice(slack.indexOf('{')).trim();
    await api.call('POST', '/api/webhooks', JSON.parse(json));
    expect((await api.request('POST', '/api/webhooks', JSON.parse(json))).status, 'its name once more').toBe(
      409,
    );
    const fields = document().list('Webhook Fields').join('\n');
    const range = (field: string) =>
      new RegExp(`\`${field}\`.*\\((\\d+)-(\\d+).*default: (\\d+)\\)`).exec(fields)!.slice(1).map(Number);
    const { retry_count: _r, timeout_seconds: _t, secret_token: _s, ...plain } = sample();
    const byDefault = await api.call('POST', '/api/webhooks', plain);
    for (const field of ['retry_count', 'timeout_seconds']) {
      const [least, most, usual] = range(field) as [number, number, number];
      expect(byDefault[field], field).toBe(usual);
      for (const value of [least - 1, most + 1]) {
        const answer = await api.request('POST', '/api/webhooks', { ...unnamed, name: 'x', [field]: value });
        expect(answer.status, `${field} ${value}`).toBe(422);
      }
      for (const value of [least, most]) {
        await api.call('POST', '/api/webhooks', { ...unnamed, name: `${field} ${value}`, [field]: value });
      }
    }
    const most = Number(
      /Maximum (\d+) webhooks per user/.exec(document().list('Rate Limits').join('\n'))![1],
    );
    for (let n = 6; n < most; n++) await api.call('POST', '/api/webhooks', { ...unnamed, name: `more ${n}` });
    const answer = await api.request('POST', '/api/webhooks', { ...unnamed, name: 'one too many' });
    expect(Math.floor(answer.status / 100), answer.text).toBe(4);
  });
});
