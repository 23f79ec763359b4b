import { KeyringError, parseQuery } from '@sealpost/core';
import { DEFAULT_APP } from '@sealpost/store';
import type { Request, Response } from 'express';
import { z } from 'zod';
import type { Services } from '../services.ts';
import type { Authenticator } from './authenticate.ts';
import { idempotencyKeyOf, runOnce } from './idempotent.ts';
import { bodyStillComes, sendProblem } from './problem.ts';
import { parseJson, readBody } from './read-body.ts';
import { type Answer, APP_HEADER, type Caller, type Route, type RouteContext } from './route.ts';

const NO_QUERY = z.strictObject({});

/** Authenticate → read → validate → handle → answer, for one request. */
export async function serveRoute(
  services: Services,
  authenticator: Authenticator,
  route: Route,
  request: Request,
  response: Response,
): Promise<void> {
  try {
    const named = route.access === 'caller' ? request.get(APP_HEADER) : request.params.app;
    const caller = await authenticator.authenticate(
      request.headers.authorization,
      route.access,
      named as string | undefined,
      request.socket.remoteAddress,
    );
    const context = await readContext(services, route, request, response, caller);
    const { idempotencyKey: key, rawBody } = context;
    const { app } = context.params;
    const answer =
      key !== undefined && app !== undefined && route.method === 'post' && !streams(route, request)
        ? await runOnce(services, { app, route: request.path, key, body: rawBody }, () =>
            route.handle(context),
          )
        : await route.handle(context);
    if (!response.headersSent) sendAnswer(request, response, answer);
  } catch (error) {
    if (error instanceof KeyringError && error.code === 'unknown_key') services.onUnknownKey?.();
    sendProblem(services.logger, request, response, error);
    if (route.publishes) services.publish.refused(response.locals.problem as string);
  }
}

async function readContext(
  { parser, settings }: Services,
  route: Route,
  request: Request,
  response: Response,
  caller: Caller,
): Promise<RouteContext<never, never>> {
  const query = queryOf(route, request);
  const idempotencyKey = idempotencyKeyOf(request.get('idempotency-key'));
  let rawBody = '';
  let body: unknown;
  if (route.body && !streams(route, request)) {
    rawBody = await readBody(request, settings.bodyLimitBytes);
    body = parser.parse(route.body, rawBody === '' ? undefined : parseJson(rawBody));
  }
  const params =
    route.access === 'caller' ? { ...request.params, app: appOf(caller, request) } : request.params;
  const { trace } = response.locals;
  const context = { params, query, body, rawBody, caller, idempotencyKey, trace, request, response };
  return { ...context, signal: () => untilGone(response) } as unknown as RouteContext<never, never>;
}

/** Whoever asks an open route may add what he likes: a probe against caches, for one. */
function queryOf(route: Route, request: Request): unknown {
  const open = typeof route.access === 'object';
  if (!route.query && (open || !request.originalUrl.includes('?'))) return {};
  return parseQuery(route.query ?? NO_QUERY, request.query);
}

/** The app in which a caller acts where the path names none. */
function appOf(caller: Caller, request: Request): string {
  return caller.kind === 'app' ? caller.app : (request.get(APP_HEADER) ?? DEFAULT_APP);
}

/** Aborted when the client goes away. Made only for who asks: an abort costs an exception, at every request. */
function untilGone(response: Response): AbortSignal {
  const gone = new AbortController();
  response.on('close', () => gone.abort());
  return gone.signal;
}

/** Without a body there is nothing to stream, whatever the content type says: `is` then answers null. */
function streams(route: Route, request: Request): boolean {
  return route.streams !== undefined && typeof request.is(route.streams) === 'string';
}

function sendAnswer(request: Request, response: Response, answer: Answer): void {
  response.status(answer.status);
  // Of a body that nobody asked for, no more is awaited.
  if (bodyStillComes(request)) response.setHeader('connection', 'close');
  for (const [name, value] of Object.entries(answer.headers ?? {})) response.setHeader(name, value);
  if (answer.html !== undefined) response.type('html').end(answer.html);
  else if (answer.json === undefined && answer.body === undefined) response.end();
  else {
    response.setHeader('content-type', 'application/json; charset=utf-8');
    response.end(answer.json ?? JSON.stringify(answer.body));
  }
}
