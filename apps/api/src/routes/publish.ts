import { batchInput, eventInput, SealpostError } from '@sealpost/core';
import type { z } from 'zod';
import { preferredWait } from '../http/prefer-wait.ts';
import { batchAnswer, presentPublished, presentResult, publishedAnswer } from '../http/present-published.ts';
import { presentProblem } from '../http/problem.ts';
import { type Answer, defineRoute, type Route, type RouteContext } from '../http/route.ts';
import { assertMayPublish } from '../ingest/assert-may-publish.ts';
import { derivedId } from '../ingest/derive-id.ts';
import { type BatchItem, publishBatch } from '../ingest/publish-batch.ts';
import { chunksOfLines, type Line } from '../ingest/publish-ndjson.ts';
import { readPayload, readPayloads } from '../ingest/read-payload.ts';
import type { Services } from '../services.ts';

const TAG = 'Events';
/** A stream of lines may last, but not be silent for longer than this, ms. */
const IDLE_MS = 60_000;

/** Events: published one by one, in batches and as a stream. */
export function publishRoutes(services: Services): Route[] {
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
      publishes: true,
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
      publishes: true,
      body: batchInput,
      streams: 'application/x-ndjson',
      answers: { 202: { description: 'A result for each.', schema: batchAnswer } },
      handle: (context) =>
        context.request.is('application/x-ndjson')
          ? publishStream(services, context)
          : publishMany(services, context),
    }),
  ];
}

type Context<B> = RouteContext<B, unknown>;

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
      ? (await services.publish.publish(app, context.caller, [draft], context.trace))[0]!
      : await services.publish.publishAndWait(
          app,
          context.caller,
          draft,
          wait * 1000,
          context.signal(),
          context.trace,
        );
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
    context.trace,
  );
  return { status: 202, body: { results: results.map(presentResult) } };
}

/** Answers line by line while the body still comes, and reads no faster than Redis takes it. */
async function publishStream(services: Services, context: Context<unknown>): Promise<Answer> {
  if (context.idempotencyKey !== undefined) {
    throw new SealpostError(
      'invalid_idempotency_key',
      'An Idempotency-Key cannot be used with application/x-ndjson; give each event an id of its own.',
    );
  }
  const { request, response, params, caller } = context;
  request.setTimeout(IDLE_MS, () => request.destroy());
  const config = await services.configs.newest(params.app!);
  assertMayPublish(config.app, caller);
  response.status(202).type('application/x-ndjson');
  try {
    for await (const lines of chunksOfLines(request, services.settings.bodyLimitBytes)) {
      const results = await publishBatch(
        services.publish,
        services.parser,
        config.app,
        caller,
        lines.map(itemOfLine),
        undefined,
        context.trace,
      );
      const text = results.map((result) => `${JSON.stringify(presentResult(result))}\n`).join('');
      if (!response.write(text)) await drained(response);
    }
  } catch (error) {
    // The status has gone out: the last line says what ended the stream. What follows was not published.
    const problem = presentProblem(error);
    services.publish.refused(problem.code);
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

/** More may be written, or never again. */
async function drained(response: Context<unknown>['response']): Promise<void> {
  await new Promise<void>((resolve) => {
    const done = () => {
      response.off('drain', done);
      response.off('close', done);
      resolve();
    };
    response.on('drain', done);
    response.on('close', done);
    if (response.destroyed) done(); // neither comes any more
  });
}
