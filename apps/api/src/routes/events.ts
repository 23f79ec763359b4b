import { createHash } from 'node:crypto';
import {
  batchInput,
  eventInput,
  memberSpans,
  SealpostError,
  STATUSES,
  testInput,
  testPayloadField,
} from '@sealpost/core';
import { deliveryNumbers } from '@sealpost/store';
import { z } from 'zod';
import { deliveryAnswer, presentDelivery } from '../http/present-delivery.ts';
import { presentProblem } from '../http/problem.ts';
import { type Answer, defineRoute, type Route, type RouteContext } from '../http/route.ts';
import { type BatchItem, type BatchResult, publishBatch } from '../ingest/publish-batch.ts';
import type { Published } from '../ingest/publish-events.ts';
import { chunksOfLines, type Line } from '../ingest/publish-ndjson.ts';
import { readPayload, readPayloads } from '../ingest/read-payload.ts';
import type { Services } from '../services.ts';

const TAG = 'Events';
/** Longest `Prefer: wait`, seconds. */
const MAX_WAIT_SECONDS = 30;
/** A stream of lines may last, but not be silent for longer than this, ms. */
const IDLE_MS = 60_000;

const publishedAnswer = z
  .object({
    id: z.string().describe('What receivers see as `webhook-id`.'),
    type: z.string(),
    sequence: z.int().nullable().describe('Counts the events of its correlation id from 1.'),
    created_at: z.iso.datetime(),
    deliveries: z.array(
      z.object({ id: z.string(), endpoint_id: z.string().nullable(), status: z.enum(STATUSES) }),
    ),
  })
  .meta({ id: 'PublishedEvent' });

const batchAnswer = z
  .object({
    results: z
      .array(
        z.object({
          status: z.int().describe('As if it had been published alone.'),
          event: publishedAnswer.optional(),
          problem: z.record(z.string(), z.unknown()).optional(),
        }),
      )
      .describe('One for each event, in order.'),
  })
  .meta({ id: 'BatchResult' });

const eventAnswer = z
  .object({
    id: z.string(),
    type: z.string(),
    payload: z.unknown().describe('null with `payload_expired` when it is no longer kept.'),
    payload_expired: z.boolean(),
    content_type: z.string(),
    sequence: z.int().nullable(),
    correlation_id: z.string().nullable(),
    environment: z.string().nullable(),
    attributes: z.record(z.string(), z.unknown()),
    webhook_url: z.string().nullable(),
    created_at: z.iso.datetime(),
    deliveries: z.array(deliveryAnswer),
  })
  .meta({ id: 'Event' });

/** Events: published one by one, in batches and as a stream; read; and sent as a test. */
export function eventRoutes(services: Services): Route[] {
  return [
    defineRoute({
      method: 'post',
      path: '/v1/apps/:app/events',
      tag: TAG,
      summary: 'Publish an event',
      description:
        'A 202 means that it is stored and will be delivered to every subscribed endpoint, or be dead with a reason. ' +
        'With `Prefer: wait=N` the answer waits until each delivery has had its first attempt, N seconds at most.',
      access: 'app',
      body: eventInput,
      answers: { 202: { description: 'Stored.', schema: publishedAnswer } },
      handle: (context) => publishOne(services, context),
    }),
    defineRoute({
      method: 'post',
      path: '/v1/apps/:app/events/batch',
      tag: TAG,
      summary: 'Publish many events',
      description:
        'Up to 1,000 as JSON, or any number as `application/x-ndjson`, an event a line, answered by a result a line. ' +
        'Published in order; a bad one fails alone.',
      access: 'app',
      body: batchInput,
      streams: 'application/x-ndjson',
      answers: { 202: { description: 'A result for each.', schema: batchAnswer } },
      handle: (context) =>
        context.request.is('application/x-ndjson')
          ? publishStream(services, context)
          : publishMany(services, context),
    }),
    defineRoute({
      method: 'get',
      path: '/v1/apps/:app/events/:event',
      tag: TAG,
      summary: 'Get an event and its deliveries',
      access: 'app',
      answers: { 200: { description: 'The event.', schema: eventAnswer } },
      handle: ({ params }) => show(services, params),
    }),
    defineRoute({
      method: 'post',
      path: '/v1/apps/:app/endpoints/:endpoint/test',
      tag: 'Endpoints',
      summary: 'Send a test event to one endpoint',
      description:
        'Whether it is subscribed or not. Answers at once with the delivery; `Prefer: wait=N` waits for it.',
      access: 'app',
      body: testInput,
      answers: { 202: { description: 'The delivery.', schema: deliveryAnswer } },
      handle: (context) => sendTest(services, context),
    }),
  ];
}

type Context<B> = Pick<
  RouteContext<B, unknown>,
  'params' | 'body' | 'rawBody' | 'caller' | 'signal' | 'request'
> & {
  idempotencyKey?: string | undefined;
};

async function publishOne(
  services: Services,
  context: Context<z.output<typeof eventInput>>,
): Promise<Answer> {
  const app = context.params.app!;
  const draft = {
    input: context.body,
    payload: readPayload(context.rawBody),
    derivedId: derivedId(services, context),
  };
  const wait = preferredWait(context.request.get('prefer'));
  const published =
    wait === undefined
      ? (await services.publish.publish(app, context.caller, [draft]))[0]!
      : await services.publish.publishAndWait(app, context.caller, draft, wait * 1000, context.signal());
  const headers: Record<string, string> = {
    location: `/v1/apps/${app}/events/${encodeURIComponent(published.id)}`,
  };
  if (wait !== undefined && !published.duplicate) headers['preference-applied'] = `wait=${wait}`;
  return { status: 202, headers, body: presentPublished(published) };
}

async function publishMany(
  services: Services,
  context: Context<z.output<typeof batchInput>>,
): Promise<Answer> {
  const payloads = readPayloads(context.rawBody);
  const items = context.body.events.map((value, i): BatchItem => ({ value, payload: payloads[i]! }));
  const key = derivedId(services, context);
  const results = await publishBatch(
    services.publish,
    services.parser,
    context.params.app!,
    context.caller,
    items,
    key === undefined ? undefined : (i) => `${key}_${i}`,
  );
  return { status: 202, body: { results: results.map(presentResult) } };
}

/** Answers line by line while the body still comes, and reads no faster than Redis takes it. */
async function publishStream(
  services: Services,
  context: RouteContext<unknown, unknown> & { idempotencyKey?: string | undefined },
): Promise<Answer> {
  if (context.idempotencyKey !== undefined) {
    throw new SealpostError(
      'invalid_idempotency_key',
      'An Idempotency-Key cannot be used with application/x-ndjson; give each event an id of its own.',
    );
  }
  const { request, response, params, caller } = context;
  request.setTimeout(IDLE_MS, () => request.destroy());
  const config = await services.configs.newest(params.app!);
  response.status(202).type('application/x-ndjson');
  try {
    for await (const lines of chunksOfLines(request, services.settings.bodyLimitBytes)) {
      const results = await publishBatch(
        services.publish,
        services.parser,
        config.app,
        caller,
        lines.map(itemOfLine),
      );
      const text = results.map((result) => `${JSON.stringify(presentResult(result))}\n`).join('');
      if (!response.write(text)) await drained(response);
    }
  } catch (error) {
    // The status has gone out: the last line says what ended the stream. What follows was not published.
    const problem = presentProblem(error);
    response.write(`${JSON.stringify({ status: problem.status, problem })}\n`);
  }
  response.end();
  return { status: 202 };
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

function itemOfLine(bytes: Line): BatchItem {
  if (bytes === 'too_long') {
    return { problem: new SealpostError('payload_too_large', 'The line is longer than a body may be.') };
  }
  let line: string;
  try {
    line = utf8.decode(bytes);
  } catch {
    return { problem: new SealpostError('invalid_utf8', 'The line is not valid UTF-8.') };
  }
  try {
    return { value: JSON.parse(line), payload: () => readPayload(line) };
  } catch {
    return { problem: new SealpostError('malformed_json', 'The line is not valid JSON.') };
  }
}

async function drained(response: RouteContext<unknown, unknown>['response']): Promise<void> {
  await new Promise<void>((resolve) => {
    const done = () => {
      response.off('drain', done);
      response.off('close', done);
      resolve();
    };
    response.on('drain', done);
    response.on('close', done);
  });
}

async function sendTest(services: Services, context: Context<z.output<typeof testInput>>): Promise<Answer> {
  const { app, endpoint: id } = context.params;
  const config = await services.configs.newest(app!);
  const endpoint = config.endpoints.get(id!);
  if (!endpoint) throw new SealpostError('endpoint_not_found', `There is no endpoint ${id}.`);
  const span = memberSpans(context.rawBody).get(testPayloadField(context.body))!;
  const payload = context.rawBody.slice(span[0], span[1]);
  const draft = {
    input: { type: context.body.event_type, payload: undefined },
    payload,
    derivedId: derivedId(services, context),
    only: {
      endpoint: endpoint.number,
      endpointId: endpoint.id,
      skip: endpoint.enabled ? undefined : ('endpoint_disabled' as const),
    },
  };
  const wait = preferredWait(context.request.get('prefer'));
  const published =
    wait === undefined
      ? (await services.publish.publish(app!, context.caller, [draft]))[0]!
      : await services.publish.publishAndWait(app!, context.caller, draft, wait * 1000, context.signal());
  const shard = services.shards.get(config.shard);
  const [delivery] = await services.deliveries.read(shard, [published.deliveries[0]!.number]);
  return {
    status: 202,
    headers: { location: `/v1/apps/${app}/deliveries/${published.deliveries[0]!.id}` },
    body: presentDelivery(delivery!),
  };
}

async function show(services: Services, params: Record<string, string>): Promise<Answer> {
  const config = await services.configs.newest(params.app!);
  const shard = services.shards.get(config.shard);
  const event = await services.events.find(shard, config, params.event!);
  if (!event) throw new SealpostError('event_not_found', `There is no event ${params.event}.`);
  const deliveries = await services.deliveries.read(shard, deliveryNumbers(event));
  const { record } = event;
  const shown = JSON.stringify({
    id: event.id,
    type: record.t,
    payload_expired: event.payload === null,
    content_type: record.ct ?? 'application/json',
    sequence: event.sequence,
    correlation_id: record.c ?? null,
    environment: record.e ?? null,
    attributes: record.x ?? {},
    webhook_url: record.u ?? null,
    created_at: new Date(record.at).toISOString(),
    deliveries: deliveries.map(presentDelivery),
  });
  // The payload goes out as it came in, digit for digit.
  return { status: 200, json: `{"payload":${event.payload ?? 'null'},${shown.slice(1)}` };
}

function presentPublished(event: Published): z.output<typeof publishedAnswer> {
  return {
    id: event.id,
    type: event.type,
    sequence: event.sequence,
    created_at: new Date(event.createdAt).toISOString(),
    deliveries: event.deliveries.map(({ id, endpointId, status }) => ({
      id,
      endpoint_id: endpointId,
      status,
    })),
  };
}

function presentResult(result: BatchResult): { status: number; event?: unknown; problem?: unknown } {
  if ('published' in result) return { status: 202, event: presentPublished(result.published) };
  return { status: result.problem.status, problem: presentProblem(result.problem) };
}

/**
 * The id of an event that is published with an Idempotency-Key and brings none: derived from it, so that a crash
 * between storing the event and keeping the answer cannot make two.
 */
function derivedId(
  services: Services,
  context: Pick<Context<unknown>, 'params' | 'rawBody' | 'idempotencyKey'> & { request: { path: string } },
): string | undefined {
  if (context.idempotencyKey === undefined) return undefined;
  // With the body: the key may be used again for another request once its answer is no longer kept.
  const body = createHash('sha256').update(context.rawBody).digest('base64url');
  const name = [context.params.app, context.request.path, context.idempotencyKey, body].join('\0');
  return `evt_${services.keyring.token('event-id', name).slice(0, 32)}`;
}

/** `Prefer: wait=N` (RFC 7240 §4.3) in seconds, 30 at most; undefined when it is not asked for. */
export function preferredWait(header: string | undefined): number | undefined {
  const match = /(?:^|,)\s*wait\s*=\s*"?(\d{1,6})"?\s*(?:[,;]|$)/i.exec(header ?? '');
  return match ? Math.min(Number(match[1]), MAX_WAIT_SECONDS) : undefined;
}
