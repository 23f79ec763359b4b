import { randomBytes } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import { type Env, inTurn, Receiver, type Stack, startStack, Tenant, waitFor } from './harness/index.ts';
import { OtlpCollector, type OtlpSpan } from './harness/otlp-collector.ts';

const [INTERNAL, SERVER, CLIENT, PRODUCER] = [1, 2, 3, 4];
const ERROR = 2;
const FAST = { OTEL_BSP_SCHEDULE_DELAY: '50', OTEL_METRIC_EXPORT_INTERVAL: '500' };
const RETRY = { base_seconds: 0.05 };
const EVENT = { type: 'order.created', payload: { n: 1 } };

let receiver: Receiver;
beforeAll(async () => {
  receiver = await Receiver.listen();
});

/** A producer's span: its trace, its id, and the header by which it tells of them. */
function producer(flags = '01') {
  const [traceId, spanId] = [randomBytes(16).toString('hex'), randomBytes(8).toString('hex')];
  return { traceId, spanId, header: `00-${traceId}-${spanId}-${flags}` };
}

async function startTraced(env: Env = {}) {
  const collector = await OtlpCollector.listen();
  const stack = await startStack({ env: { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, ...FAST, ...env } });
  return { collector, stack, tenant: await Tenant.create(stack.client) };
}

/** The trace, once it has so many spans. */
async function spansOf(collector: OtlpCollector, traceId: string, count: number): Promise<OtlpSpan[]> {
  await waitFor(() => collector.trace(traceId).length >= count, {
    describe: `${count} spans of ${traceId}`,
  }).catch((error: Error) => {
    throw new Error(
      `${error.message}\nspans: ${JSON.stringify(collector.trace(traceId).map((s) => s.name))}`,
    );
  });
  return collector.trace(traceId);
}

const named = (spans: OtlpSpan[], name: string) => spans.filter((span) => span.name === name);
/** What the worker has logged of a delivery's attempts, once there are so many. */
function attemptsLogged(stack: Stack, id: string, count: number) {
  const find = () =>
    stack.workers[0]!.logs.filter(({ msg, delivery }) => msg === 'attempt' && delivery === id);
  return waitFor(() => find().length >= count && find(), { describe: `${count} attempts in the log` });
}

describe.each(['http/protobuf', 'http/json'])('over %s', (protocol) => {
  let collector: OtlpCollector;
  let stack: Stack;
  let tenant: Tenant;
  beforeAll(async () => {
    ({ collector, stack, tenant } = await startTraced({
      OTEL_EXPORTER_OTLP_PROTOCOL: protocol,
      OTEL_EXPORTER_OTLP_HEADERS: 'x-tenant=ours',
      OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=test',
    }));
  });

  it('one trace tells the whole story, from the producer to the receiver', async () => {
    const path = `/story-${protocol.slice(5)}`;
    receiver.respond(path, inTurn(500, 503, 200));
    const endpoint = await tenant.endpoint({
      url: `${receiver.url(path)}?token=planted-token`,
      retry: RETRY,
    });
    const { traceId, spanId, header } = producer();
    const headers = { traceparent: header, tracestate: 'vendor=opaque' };
    const event = await tenant.publish({ ...EVENT, correlation_id: 'c-1' }, headers);
    await tenant.ended(event.deliveries[0].id);
    const spans = await spansOf(collector, traceId, 5);
    expect(spans.map(({ name, kind, service }) => [name, kind, service])).toEqual([
      ['POST /v1/apps/:app/events', SERVER, 'sealpost-api'],
      ['publish events', PRODUCER, 'sealpost-api'],
      ['POST webhook', CLIENT, 'sealpost-worker'],
      ['POST webhook', CLIENT, 'sealpost-worker'],
      ['POST webhook', CLIENT, 'sealpost-worker'],
    ]);
    const [server, publish, ...attempts] = spans as [OtlpSpan, OtlpSpan, OtlpSpan, OtlpSpan, OtlpSpan];
    expect(server.parentSpanId).toBe(spanId);
    expect(publish.parentSpanId).toBe(server.spanId);
    expect(server.attributes).toMatchObject({
      'http.request.method': 'POST',
      'http.route': '/v1/apps/:app/events',
      'http.response.status_code': 202,
      'url.path': `/v1/apps/${tenant.app}/events`,
    });
    expect(publish.attributes).toMatchObject({
      'messaging.system': 'sealpost',
      'messaging.operation.name': 'publish',
      'messaging.operation.type': 'send',
      'messaging.message.id': event.id,
      'sealpost.app': tenant.app,
      'sealpost.deliveries': 1,
    });

    // The first is a child of the publish; retries are beside it, not below it, and linked to it.
    expect(attempts.map(({ parentSpanId }) => parentSpanId)).toEqual(Array(3).fill(publish.spanId));
    const toFirst = [{ traceId, spanId: attempts[0]!.spanId }];
    expect(attempts.map(({ links }) => links)).toEqual([[], toFirst, toFirst]);
    expect(attempts.map(({ status }) => status)).toEqual([ERROR, ERROR, 0]);
    expect(attempts.map(({ attributes }) => attributes['error.type'])).toEqual(['500', '503', undefined]);
    expect(attempts.map(({ attributes }) => attributes['http.response.status_code'])).toEqual([
      500, 503, 200,
    ]);
    expect(attempts.map(({ attributes }) => attributes['http.request.resend_count'])).toEqual([
      undefined,
      1,
      2,
    ]);
    expect(attempts.map(({ attributes }) => attributes['sealpost.delivery.status'])).toEqual([
      'retrying',
      'retrying',
      'delivered',
    ]);
    expect(attempts[0]!.attributes).toMatchObject({
      'http.request.method': 'POST',
      'server.address': '127.0.0.1',
      'server.port': receiver.port,
      'messaging.message.id': event.id,
      'messaging.message.conversation_id': 'c-1',
      'sealpost.delivery.id': event.deliveries[0].id,
      'sealpost.endpoint.id': endpoint.id,
    });
    expect(JSON.stringify(spans, (_, value) => (typeof value === 'bigint' ? null : value))).not.toMatch(
      /planted-token|whsec_/,
    );

    // Each request carries its own attempt's span, and the producer's tracestate.
    const requests = receiver.to(path);
    expect(requests.map((request) => request.headers.traceparent)).toEqual(
      attempts.map((span) => `00-${traceId}-${span.spanId}-01`),
    );
    expect(requests.map((request) => request.headers.tracestate)).toEqual(Array(3).fill('vendor=opaque'));
    expect(collector.headers.get('/v1/traces')).toMatchObject({
      'content-type': protocol === 'http/json' ? 'application/json' : 'application/x-protobuf',
      'x-tenant': 'ours',
    });

    // And the logs say where to look.
    const logged = await attemptsLogged(stack, event.deliveries[0].id, 3);
    expect(logged.map(({ trace_id, span_id }) => [trace_id, span_id])).toEqual(
      attempts.map((span) => [traceId, span.spanId]),
    );
    const request = await waitFor(
      () => stack.api.logs.find(({ msg, trace_id }) => msg === 'request' && trace_id === traceId),
      { describe: 'the request in the log' },
    );
    expect(request).toMatchObject({ span_id: server.spanId, status: 202 });
  });

  it('metrics come as well, from both processes, as /metrics has them', async () => {
    await waitFor(
      () => new Set(collector.metrics.get('sealpost_worker_slots')?.map(({ service }) => service)).size === 2,
      { describe: 'metrics of both' },
    );
    const total = (name: string, of: Record<string, string> = {}) =>
      (collector.metrics.get(name) ?? [])
        .filter(({ attributes }) => Object.entries(of).every(([key, value]) => attributes[key] === value))
        .reduce((sum, { value }) => sum + value, 0);
    await waitFor(() => total('sealpost_deliveries_total', { status: 'delivered' }) === 1, {
      describe: 'the delivery to be told',
    });
    expect(total('sealpost_events_accepted_total')).toBe(1);
    expect(total('sealpost_attempts_total', { outcome: 'failure', reason: 'http_status' })).toBe(2);
    expect(total('sealpost_attempt_duration_seconds', { outcome: 'failure' })).toBe(2);
    expect(total('sealpost_process_cpu_seconds_total')).toBeGreaterThan(0);
  });
});

describe('a trace', () => {
  let collector: OtlpCollector;
  let stack: Stack;
  let tenant: Tenant;
  beforeAll(async () => {
    ({ collector, stack, tenant } = await startTraced());
  });

  it('has one span for a publish, and one for a batch, however many deliveries they make', async () => {
    receiver.respond('/wide', 200);
    for (let i = 0; i < 30; i++) await tenant.endpoint({ url: receiver.url('/wide'), event_types: ['wide'] });
    const { traceId, header } = producer();
    const events = Array.from({ length: 3 }, () => ({ ...EVENT, type: 'wide' }));
    const answer = await stack.client.post(
      `${tenant.path}/events/batch`,
      { events },
      { traceparent: header },
    );
    expect(answer.status).toBe(202);
    const spans = await spansOf(collector, traceId, 2 + 90);
    const [publish] = named(spans, 'publish events') as [OtlpSpan];
    expect(publish.attributes).toMatchObject({
      'messaging.batch.message_count': 3,
      'sealpost.deliveries': 90,
    });
    expect(named(spans, 'POST webhook').every(({ parentSpanId }) => parentSpanId === publish.spanId)).toBe(
      true,
    );
    expect(spans).toHaveLength(92);
  });

  it('begins here where the producer has none, or one that is not valid', async () => {
    receiver.respond('/own', 200);
    await tenant.endpoint({ url: receiver.url('/own'), event_types: ['own'] });
    const { traceId, header } = producer();
    for (const traceparent of ['', header.replace('00-', 'ff-'), `${header}-more`]) {
      receiver.clear();
      await tenant.publish({ ...EVENT, type: 'own' }, { traceparent });
      const [request] = await receiver.waitForRequests(1, { path: '/own' });
      const [, own] = request!.headers.traceparent!.split('-');
      expect(own).not.toBe(traceId);
      const spans = await spansOf(collector, own!, 3);
      expect(spans[0]).toMatchObject({ name: 'POST /v1/apps/:app/events', parentSpanId: '' });
    }
  });

  it('that its producer does not sample is passed on, and not recorded', async () => {
    receiver.respond('/unsampled', 200);
    await tenant.endpoint({ url: receiver.url('/unsampled'), event_types: ['unsampled'] });
    const { traceId, header } = producer('00');
    const id = (await tenant.publish({ ...EVENT, type: 'unsampled' }, { traceparent: header })).deliveries[0]
      .id;
    const [request] = await receiver.waitForRequests(1, { path: '/unsampled' });
    expect(request!.headers.traceparent).toMatch(new RegExp(`^00-${traceId}-[0-9a-f]{16}-00$`));
    await tenant.ended(id);
    expect((await attemptsLogged(stack, id, 1))[0]).toMatchObject({ trace_id: traceId });
    await tenant.publish({ ...EVENT, type: 'nobody' }, { traceparent: producer().header });
    expect(collector.trace(traceId)).toEqual([]);
  });

  it('tells of what failed: a request that is refused, a receiver that is not there, an end without an attempt', async () => {
    const refused = producer();
    await stack.client.post(`${tenant.path}/events`, { type: 'a b' }, { traceparent: refused.header });
    const [server] = await spansOf(collector, refused.traceId, 1);
    expect(server).toMatchObject({ status: 0, attributes: { 'http.response.status_code': 422 } });
    expect(server!.attributes['sealpost.problem']).toBe('validation_failed');

    const gone = producer();
    await tenant.endpoint({ url: 'http://127.0.0.1:1/', event_types: ['gone'], retry: { max_retries: 0 } });
    await tenant.publish({ ...EVENT, type: 'gone' }, { traceparent: gone.header });
    const attempt = (await spansOf(collector, gone.traceId, 3)).at(-1)!;
    expect(attempt).toMatchObject({ name: 'POST webhook', status: ERROR });
    expect(attempt.attributes).toMatchObject({
      'error.type': 'connection_failed',
      'sealpost.delivery.status': 'dead',
      'sealpost.delivery.reason': 'retries_exhausted',
    });

    const shaped = producer();
    const transform = 'payload.missing.field';
    await tenant.endpoint({ url: receiver.url('/shaped'), event_types: ['shaped'], transform });
    await tenant.publish({ ...EVENT, type: 'shaped' }, { traceparent: shaped.header });
    const end = (await spansOf(collector, shaped.traceId, 3)).at(-1)!;
    expect(end).toMatchObject({ name: 'end delivery', kind: INTERNAL, status: ERROR });
    expect(end.attributes).toMatchObject({ 'error.type': 'transform_failed' });
  });

  it('does not tell of probes', async () => {
    const { traceId, header } = producer();
    await stack.client.get('/readyz', { traceparent: header });
    await stack.client.get('/v1/apps', { traceparent: header });
    await spansOf(collector, traceId, 1);
    expect(collector.trace(traceId).map(({ name }) => name)).toEqual(['GET /v1/apps']);
  });
});

describe('what is sampled', () => {
  it('is told by OTEL_TRACES_SAMPLER: no trace of our own, the producer’s all the same', async () => {
    const { collector, tenant } = await startTraced({ OTEL_TRACES_SAMPLER: 'parentbased_always_off' });
    receiver.respond('/sampled', 200);
    await tenant.endpoint({ url: receiver.url('/sampled') });
    await tenant.publish(EVENT);
    const [own] = await receiver.waitForRequests(1, { path: '/sampled' });
    expect(own!.headers.traceparent).toBeUndefined();
    const { traceId, header } = producer();
    await tenant.publish(EVENT, { traceparent: header });
    expect(await spansOf(collector, traceId, 3)).toHaveLength(3);
    expect(new Set(collector.spans.map((span) => span.traceId))).toEqual(new Set([traceId]));
  });
});

/** Has a process print what it loads of OpenTelemetry, but for the API that the code calls. */
const PRINT_LOADED = `
  import { registerHooks } from 'node:module';
  registerHooks({ load(url, context, next) {
    if (/@opentelemetry\\/(?!api\\/)/.test(url)) console.log('loaded ' + url);
    return next(url, context);
  } });`;

describe('without an exporter', () => {
  it('nothing of OpenTelemetry’s SDK is loaded, and all that is needed where there is one', async () => {
    const NODE_OPTIONS = `--import=data:text/javascript,${encodeURIComponent(PRINT_LOADED)}`;
    const without = await startStack({ env: { NODE_OPTIONS } });
    for (const app of [without.api, without.workers[0]!]) expect(app.output).not.toContain('loaded ');
    const { stack } = await startTraced({ NODE_OPTIONS });
    for (const app of [stack.api, stack.workers[0]!]) expect(app.output).toContain('loaded ');
  });

  it('the producer’s trace context goes to the receiver as it is, and where there is none, none is made', async () => {
    const stack = await startStack();
    const tenant = await Tenant.create(stack.client);
    receiver.respond('/passed', inTurn(500, 200));
    await tenant.endpoint({ url: receiver.url('/passed'), retry: RETRY });
    const { traceId, header } = producer();
    const id = (await tenant.publish(EVENT, { traceparent: header, tracestate: 'a=1,b=2' })).deliveries[0].id;
    await tenant.ended(id);
    for (const request of receiver.to('/passed'))
      expect(request.headers).toMatchObject({ traceparent: header, tracestate: 'a=1,b=2' });
    const logged = await attemptsLogged(stack, id, 2);
    expect(logged.map(({ trace_id }) => trace_id)).toEqual([traceId, traceId]);
    receiver.clear();
    await tenant.publish(EVENT);
    const requests = await receiver.waitForRequests(1, { path: '/passed' });
    expect(requests[0]!.headers).not.toHaveProperty('traceparent');
  });
});

describe('at the end', () => {
  it('what is left is sent before the process exits', async () => {
    const { collector, stack, tenant } = await startTraced({ OTEL_BSP_SCHEDULE_DELAY: '60000' });
    receiver.respond('/last', 200);
    await tenant.endpoint({ url: receiver.url('/last') });
    const { traceId, header } = producer();
    const { deliveries } = await tenant.publish(EVENT, { traceparent: header });
    await tenant.ended(deliveries[0].id);
    expect(collector.trace(traceId)).toEqual([]);
    const exits = await Promise.all([stack.api.stop(), stack.workers[0]!.stop()]);
    expect(exits.map(({ code }) => code)).toEqual([0, 0]);
    expect(collector.trace(traceId)).toHaveLength(3);
  });

  it('also by a worker whose Redis is away', async () => {
    const { collector, stack, tenant } = await startTraced({ OTEL_BSP_SCHEDULE_DELAY: '60000' });
    receiver.respond('/last-without-redis', 200);
    await tenant.endpoint({ url: receiver.url('/last-without-redis') });
    const { traceId, header } = producer();
    const { deliveries } = await tenant.publish(EVENT, { traceparent: header });
    await tenant.ended(deliveries[0].id);
    await stack.redis.kill();
    expect(await stack.workers[0]!.stop()).toMatchObject({ code: 0 });
    expect(stack.workers[0]!.output).toContain('Redis is away and nothing is under way');
    expect(collector.trace(traceId).map(({ name }) => name)).toEqual(['POST webhook']);
  });

  it('a collector that hangs keeps nobody from exiting', async () => {
    const { collector, stack, tenant } = await startTraced();
    collector.hangs = true;
    await tenant.publish(EVENT, { traceparent: producer().header });
    const exits = await Promise.all([stack.api.stop(), stack.workers[0]!.stop()]);
    expect(exits.map(({ code }) => code)).toEqual([0, 0]);
    for (const { output } of [stack.api, stack.workers[0]!])
      expect(output).toContain('the last spans and metrics could not be sent in time');
  });
});
