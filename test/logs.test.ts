import { beforeAll, describe, expect, it } from 'vitest';
import {
  ApiClient,
  type AppProcess,
  inTurn,
  type LogLine,
  Receiver,
  type Stack,
  startStack,
  Tenant,
  untilEnded,
  waitFor,
} from './harness/index.ts';

let stack: Stack;
let receiver: Receiver;
let tenant: Tenant;

beforeAll(async () => {
  // All that could be logged is.
  stack = await startStack({ env: { LOG_LEVEL: 'trace' } });
  receiver = await Receiver.listen();
  tenant = await Tenant.create(stack.client);
});

const INFO = 30;
const WARN = 40;
const ERROR = 50;
const FATAL = 60;
const EVENT = { type: 'order.created', payload: { n: 1 } };

/** The first line that has all these fields, once it is there. */
function line(app: AppProcess, fields: Record<string, unknown>): Promise<LogLine> {
  const has = (logged: LogLine) => Object.entries(fields).every(([key, value]) => logged[key] === value);
  return waitFor(() => app.logs.find(has), { describe: `a line with ${JSON.stringify(fields)}` });
}

describe('a request', () => {
  it('is one line: what was asked, where, by which app, how it ended and how long it took', async () => {
    receiver.respond('/one', 200);
    await tenant.endpoint({ url: receiver.url('/one'), event_types: ['one'] });
    await tenant.publish({ ...EVENT, type: 'one' });
    const route = '/v1/apps/:app/events';
    const published = await line(stack.api, { msg: 'request', route, status: 202 });
    expect(published).toMatchObject({ level: INFO, method: 'POST', app: tenant.app });
    expect(published.duration_ms).toBeGreaterThan(0);
    await stack.client.post(`${tenant.path}/events`, { type: 'a b' });
    const problem = 'validation_failed';
    expect(await line(stack.api, { msg: 'request', route, status: 422 })).toMatchObject({
      level: INFO,
      problem,
    });
    await stack.client.get('/no/such/route');
    expect(await line(stack.api, { msg: 'request', route: 'none', status: 404 })).toMatchObject({
      level: INFO,
    });
  });

  it('is an error where the fault is ours, and a probe is no line', async () => {
    const own = await startStack({ workers: 0 });
    await own.redis.kill();
    await own.client.get('/readyz');
    await own.client.get('/livez');
    await own.client.get('/metrics');
    expect((await own.client.get('/v1/apps')).status).toBe(503);
    const failed = await line(own.api, { msg: 'request', status: 503 });
    expect(failed).toMatchObject({ level: ERROR, route: '/v1/apps', problem: 'queue_unavailable' });
    expect(own.api.logs.filter(({ msg }) => msg === 'request')).toHaveLength(1);
  });
});

describe('an attempt', () => {
  it('is one line with all that is known of it', async () => {
    receiver.respond('/wide', inTurn(500, 400));
    const retry = { base_seconds: 0.05, retry_on: 'transient' };
    const endpoint = await tenant.endpoint({ url: receiver.url('/wide'), event_types: ['wide'], retry });
    const event = await tenant.publish({ ...EVENT, type: 'wide', correlation_id: 'c-9' });
    const delivery = event.deliveries[0].id;
    await tenant.ended(delivery);
    const [worker] = stack.workers as [AppProcess];
    const common = {
      msg: 'attempt',
      app: tenant.app,
      event: event.id,
      event_type: 'wide',
      correlation_id: 'c-9',
      delivery,
      endpoint: endpoint.id,
      error: 'http_status',
      reason: 'http_status',
    };
    const first = await line(worker, { ...common, attempt: 1, status: 'retrying', status_code: 500 });
    expect(first).toMatchObject({ level: INFO, next_in_ms: expect.any(Number), age_ms: expect.any(Number) });
    expect(first).toMatchObject({ first_byte_ms: expect.any(Number) });
    const second = await line(worker, { ...common, attempt: 2, status: 'dead', status_code: 400 });
    expect(second.level).toBe(WARN);
  });

  it('that could not be made is one as well', async () => {
    const transform = 'payload.missing.field';
    await tenant.endpoint({ url: receiver.url(), event_types: ['shaped'], transform });
    await tenant.publish({ ...EVENT, type: 'shaped' });
    const ended = await line(stack.workers[0]!, { msg: 'attempt', reason: 'transform_failed' });
    expect(ended).toMatchObject({ level: WARN, status: 'dead', duration_ms: 0 });
  });
});

it('an error that nothing caught ends an API or a worker, and does not show what Redis was told', async () => {
  // In pieces, since the URL stands in the stack.
  const throws = `process.on('SIGUSR2', () => {
    throw Object.assign(new Error('ERR no'), { command: { name: 'evalsha', args: [['planted', 'g7h8'].join('-')] } });
  });`;
  const own = await startStack({
    env: { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(throws)}` },
  });
  for (const app of [own.api, own.workers[0]!]) {
    process.kill(app.pid!, 'SIGUSR2');
    expect(await untilEnded(app)).toMatchObject({ code: 1 });
    const msg = 'the process ends: an error that nothing caught';
    expect(await line(app, { msg })).toMatchObject({ level: FATAL, err: { message: 'ERR no' } });
    expect(app.output).not.toContain('planted-g7h8');
  }
});

it('secrets, signatures and bodies are in no line, at any level', async () => {
  const planted = (name: string) => `planted-${name}-7f3a91bc`;
  const app = await Tenant.create(stack.client, { signing_secret: planted('signing') });
  const { key } = (await stack.client.post(`${app.path}/keys`, {})).json as { key: string };
  const endpoint = await app.endpoint({
    url: receiver.url(`/${planted('path')}?token=${planted('query')}`),
    headers: { authorization: `Bearer ${planted('header')}` },
    retry: { max_retries: 0 },
  });
  receiver.respond(`/${planted('path')}`, { status: 500, body: planted('answer') });
  const webhook = { webhook_url: receiver.url('/own'), webhook_secret: planted('webhook') };
  const own = app.through(new ApiClient(stack.api.url, key));
  const secret = { ...EVENT, payload: { text: planted('payload') }, ...webhook };
  const event = await own.publish(secret, { 'idempotency-key': planted('idempotency') });
  for (const { id } of event.deliveries) await app.ended(id);
  await stack.client.post(`${app.path}/endpoints/${endpoint.id}/secret/rotate`);
  // What is refused is not repeated either.
  await own.client.post(`${app.path}/events`, `{"type": "${planted('broken')}`);
  await own.client.post(`${app.path}/events?q=${planted('q')}`, { ...EVENT, [planted('field')]: 1 });
  await new ApiClient(stack.api.url, planted('key')).get(`${app.path}/deliveries`);
  const sent = receiver.requests.flatMap(({ headers }) => headers['webhook-signature'] ?? []);
  await line(stack.workers[0]!, { msg: 'attempt', event: event.id, status: 'delivered' });
  await line(stack.api, { msg: 'request', status: 401 });

  const output = [stack.api, ...stack.workers].map((process) => process.output).join('\n');
  expect(output).toContain(event.id);
  expect(sent.length).toBeGreaterThan(1);
  for (const text of ['planted-', 'whsec_', key, stack.apiKey, stack.masterKey, endpoint.secret, ...sent])
    expect(output.includes(text), `${text.slice(0, 20)}… in a log`).toBe(false);
});
