import { beforeAll, describe, expect } from 'vitest';
import { type Loose, Receiver, type Stack, startStack, Tenant } from './harness/index.ts';
import { Compat } from './seeds/compat.ts';
import { delaysOf } from './seeds/delays.ts';
import { SeedDocument } from './seeds/documents.ts';
import { documentedHeaders, headerOf } from './seeds/headers.ts';
import { needing } from './seeds/needing.ts';
import { post, proveReceiver, type Sender, sha256 } from './seeds/prove-receiver.ts';
import { pythonOutput } from './seeds/python-output.ts';
import { runNode, runPython } from './seeds/run-receiver.ts';
import { shapeOf } from './seeds/shape.ts';

let stack: Stack;
beforeAll(async () => {
  stack = await startStack();
});

const document = () => SeedDocument.read('aifai.txt');
const it = needing('documents');
const itInPython = needing('documents', 'python');

/** The event that the documented payload tells of. */
function exampleEvent(): Loose {
  const { notification } = document().json('Webhook Payload') as Loose;
  return { type: notification.notification_type, payload: notification };
}

const sender = (): Sender => ({
  profile: 'aifai',
  header: 'x-aifai-signature',
  secret: 'your-secret-key',
  event: exampleEvent(),
});

describe("AIFAI's own receivers take genuine deliveries and refuse the others", () => {
  // It throws when there is no header and its caller passes None on; the two endpoints pass an empty text.
  itInPython('the Python function', async () => {
    const call = "verify_signature(body.decode('utf-8'), headers.get('X-AIFAI-Signature'), SECRET)";
    const code = document().code('Signature Verification', 'python');
    const url = await runPython('serve_function.py', code, { SECRET: sender().secret }, [call]);
    expect(await proveReceiver(url, stack, sender())).toEqual({
      changedBody: 401,
      wrongSecret: 401,
      missingHeader: 500,
      emptySignature: 401,
    });
  });

  needing('documents', 'flask')('the Python endpoint in Flask', async () => {
    const code = document().code('Example Webhook Endpoint (Python/Flask)', 'python');
    const url = `${await runPython('serve_flask.py', code, {})}/webhooks/aifai`;
    expect(await proveReceiver(url, stack, sender())).toEqual({
      changedBody: 401,
      wrongSecret: 401,
      missingHeader: 401,
      emptySignature: 401,
    });
  });

  // It throws at a signature of another length, and so at none.
  it('the Node endpoint in Express', async () => {
    const url = await runExpress();
    expect(await proveReceiver(url, stack, sender())).toEqual({
      changedBody: 401,
      wrongSecret: 401,
      missingHeader: 500,
      emptySignature: 500,
    });
  });
});

/** The documented Express endpoint, which only needs to listen. */
async function runExpress(): Promise<string> {
  const code = document().code('Example Webhook Endpoint (Node.js/Express)', 'javascript');
  const listen =
    "const server = app.listen(0, '127.0.0.1', () => console.log('listening ' + server.address().port));";
  return `${await runNode(`${code}\n${listen}\n`, {})}/webhooks/aifai`;
}

// Not what Sealpost does, but what docs/migrating.md says of the document.
it("AIFAI's Express endpoint takes other bytes of the same text, and no body over 100 KB", async () => {
  const url = await runExpress();
  const send = (signed: Buffer, sent = signed) =>
    post(
      url,
      { 'content-type': 'application/json', 'x-aifai-signature': sha256(sender().secret, signed) },
      sent,
    );
  const genuine = Buffer.from('{"notification":{"title":"\ufffd"}}');
  expect(await send(genuine)).toBe(200);
  const noText = genuine.toString('latin1').replace('\xef\xbf\xbd', '\xff');
  expect(await send(genuine, Buffer.from(noText, 'latin1'))).toBe(200);
  expect(await send(Buffer.from(JSON.stringify({ notification: { title: 'x'.repeat(102_400) } })))).toBe(413);
});

describe("AIFAI's deliveries", () => {
  it('are the documented payload, key by key, under the documented headers', async () => {
    const receiver = await Receiver.listen();
    const tenant = await Tenant.create(stack.client, { wire_profile: 'aifai' });
    await tenant.endpoint({ url: receiver.url() });
    const event = await tenant.publish(exampleEvent());
    const [request] = await receiver.waitForRequests(1);
    const example = document().json('Webhook Payload') as Loose;
    expect(shapeOf(example.timestamp)).toBe('time to the second');
    const timestamp = event.created_at.replace(/\.\d+Z$/, 'Z');
    expect(request!.text).toBe(JSON.stringify({ ...example, timestamp }));

    const documented = documentedHeaders(document().lines('Headers'));
    expect(documented).toHaveLength(4);
    for (const [name, value] of documented) {
      if (value.includes('<')) expect(headerOf(request!, name), name).toMatch(/^sha256=[0-9a-f]{64}$/);
      else expect(headerOf(request!, name), name).toBe(value);
    }
  });
});

describe("AIFAI's retries", () => {
  it('come after the documented delays, within the documented timeout', async () => {
    const tenant = await Tenant.create(stack.client, { wire_profile: 'aifai' });
    const { retry, timeout_seconds } = await tenant.endpoint({ url: 'https://example.com/' });
    const text = document().list('Retry Logic').join('\n');
    const documented = [...text.matchAll(/: (\d+) seconds? delay/g)].map(([, seconds]) => Number(seconds));
    expect(documented).toHaveLength(3);
    expect(delaysOf(retry)).toEqual(documented);
    const settings = document().code('Environment Variables', 'bash');
    const setting = (name: string) => Number(new RegExp(`^${name}=([\\d.]+)`, 'm').exec(settings)![1]);
    expect(timeout_seconds).toBe(setting('WEBHOOK_TIMEOUT'));
    expect(retry).toMatchObject({
      max_retries: setting('WEBHOOK_MAX_RETRIES'),
      base_seconds: setting('WEBHOOK_RETRY_DELAY'),
    });
  });

  it('follow 5xx and 429, and no other 4xx; each documented 2xx is success', async () => {
    const requirements = document().list('Webhook Endpoint Requirements').join('\n');
    const successes = /success \(([\d, ]+)\)/.exec(requirements)![1]!.split(', ').map(Number);
    const receiver = await Receiver.listen();
    const tenant = await Tenant.create(stack.client, { wire_profile: 'aifai' });
    const outcome = async (status: number) => {
      receiver.respond(`/${status}`, status);
      const type = `answer.${status}`;
      await tenant.endpoint({ url: receiver.url(`/${status}`), event_types: [type] });
      const id = await tenant.send({ ...exampleEvent(), type });
      const delivery = await tenant.until(id, ({ attempt_count }) => attempt_count === 1, 'be tried');
      return delivery.status;
    };
    expect(successes).toEqual([200, 201, 202, 204]);
    for (const status of successes) expect(await outcome(status), String(status)).toBe('delivered');
    for (const status of [429, 500, 502, 503]) expect(await outcome(status), String(status)).toBe('retrying');
    for (const status of [400, 401, 404, 408, 425])
      expect(await outcome(status), String(status)).toBe('dead');
  });

  it('follow network errors and timeouts', async () => {
    const receiver = await Receiver.listen();
    for (const how of ['reset', 'hang'] as const) {
      receiver.respond(how);
      const tenant = await Tenant.create(stack.client, { wire_profile: 'aifai' });
      await tenant.endpoint({ url: receiver.url(), timeout_seconds: 1 });
      await tenant.hasStatus(await tenant.send(exampleEvent()), 'retrying');
    }
  });
});

describe("AIFAI's notification preferences", () => {
  const PREFERENCES = '/api/v1/notifications/preferences/';

  it('are taken by the documented request, and answered', async () => {
    const api = await Compat.open(stack, 'aifai');
    const code = document().code('Via Direct API Call', 'http');
    const answer = await api.replay(code, { api_key: api.key });
    expect(answer).toMatchObject(JSON.parse(code.slice(code.search(/^\{/m))));
    expect(await api.call('GET', PREFERENCES)).toMatchObject(JSON.parse(code.slice(code.search(/^\{/m))));
  });

  itInPython("are taken from the documented calls of AIFAI's client", async () => {
    const api = await Compat.open(stack, 'aifai');
    const run = async (code: string) =>
      (await pythonOutput(code, { AIFAI_URL: api.base, AIFAI_KEY: api.key })).map(({ sent, answer }) => {
        expect(answer).toMatchObject(sent);
        return sent;
      });
    const [client] = document().codes('Agent Configuration', 'python') as [string];
    const [first] = await run(client);
    expect(first.enable_webhook).toBe(true);
    // The other snippets go on with the client of the first.
    const opening = client.slice(0, client.indexOf('# Enable'));
    const [quiet] = await run(opening + document().code('Quiet Hours', 'python'));
    const [limit] = await run(opening + document().code('Rate Limiting', 'python'));
    for (const heading of ['Local Testing with ngrok', 'Testing with Request Bin']) {
      const calls = document()
        .codes(heading, 'python')
        .filter((code) => code.includes('preferences'));
      for (const code of calls) await run(opening + code);
    }
    // Each call changed what it named, and left the rest.
    expect(await api.call('GET', PREFERENCES)).toMatchObject({
      ...first,
      ...quiet,
      ...limit,
      webhook_url: expect.any(String),
    });
    const { data } = (await api.tenant.get('/endpoints')).json;
    expect(data).toMatchObject([
      {
        enabled: true,
        wire_profile: 'aifai',
        quiet_hours: { start_hour: quiet.quiet_hours_start, end_hour: quiet.quiet_hours_end, during: 'skip' },
        rate_limit: { limit: limit.max_notifications_per_hour, period_seconds: 3600 },
      },
    ]);
  });

  it('switch webhooks on and off; a notification is created either way', async () => {
    const api = await Compat.open(stack, 'aifai', { signing_secret: sender().secret });
    const receiver = await Receiver.listen();
    await api.call('PUT', PREFERENCES, { enable_webhook: true, webhook_url: receiver.url() });
    const first = await api.tenant.publish(exampleEvent());
    expect(await api.tenant.ended(first.deliveries[0].id)).toMatchObject({ status: 'delivered' });
    // The platform's WEBHOOK_SECRET is the app's signing secret.
    const { headers, body } = receiver.requests[0]!;
    expect(headers['x-aifai-signature']).toBe(sha256(sender().secret, body));
    await api.call('PUT', PREFERENCES, { enable_webhook: false });
    await expectSkipped(api);
    expect(receiver.requests).toHaveLength(1);
  });

  it('skip webhooks in quiet hours, and over the number of an hour; notifications are created all the same', async () => {
    const receiver = await Receiver.listen();
    const webhook = { enable_webhook: true, webhook_url: receiver.url() };
    const quiet = await Compat.open(stack, 'aifai');
    const hour = new Date().getUTCHours();
    // All hours but the one before this: so that it may strike meanwhile.
    const hours = { quiet_hours_start: hour, quiet_hours_end: (hour + 23) % 24 };
    await quiet.call('PUT', PREFERENCES, { ...webhook, ...hours });
    await expectSkipped(quiet);
    expect(receiver.requests).toHaveLength(0);

    const limited = await Compat.open(stack, 'aifai');
    await limited.call('PUT', PREFERENCES, { ...webhook, max_notifications_per_hour: 1 });
    await limited.tenant.hasStatus(await limited.tenant.send(exampleEvent()), 'delivered');
    await expectSkipped(limited);
    expect(receiver.requests).toHaveLength(1);
  });

  /** Publishes a notification: it is there to be read, and its webhook is skipped. */
  async function expectSkipped({ tenant }: Compat): Promise<void> {
    const { id, deliveries } = await tenant.publish({ ...exampleEvent(), payload: { id: 124 } });
    expect((await tenant.get(`/events/${id}`)).json.payload).toEqual({ id: 124 });
    expect(deliveries).toHaveLength(1);
    expect(await tenant.ended(deliveries[0].id)).toMatchObject({ status: 'skipped', attempt_count: 0 });
  }
});
