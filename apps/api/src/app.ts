import { parseQuery, SealpostError } from '@sealpost/core';
import express, { type Express, type Request, type Response } from 'express';
import { z } from 'zod';
import { Authenticator } from './http/authenticate.ts';
import { presentProblem, toSealpostError } from './http/problem.ts';
import { parseJson, readBody } from './http/read-body.ts';
import type { Answer, Route } from './http/route.ts';
import type { Services } from './services.ts';

const IDEMPOTENCY_KEY = /^[\x21-\x7e]{1,255}$/;

export function createApp(services: Services, routes: Route[]): Express {
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  const authenticator = new Authenticator(services, services.settings.apiKeys);
  const byPath = Map.groupBy(routes, (route) => route.path);
  for (const [path, list] of byPath) {
    for (const route of list) {
      app[route.method](path, (request: Request, response: Response) =>
        serve(services, authenticator, route, request, response),
      );
    }
    app.all(path, (_request, response) => {
      response.set('allow', list.map(({ method }) => method.toUpperCase()).join(', '));
      fail(
        services,
        response,
        new SealpostError('method_not_allowed', 'This route does not take this method.'),
      );
    });
  }
  app.use((_request, response) =>
    fail(services, response, new SealpostError('route_not_found', 'There is no such route.')),
  );
  app.use((error: unknown, _request: Request, response: Response, _next: unknown) => {
    const status = (error as { status?: number }).status;
    const bad = typeof status === 'number' && status < 500;
    fail(
      services,
      response,
      bad ? new SealpostError('malformed_request', 'The request is malformed.') : error,
    );
  });
  return app;
}

async function serve(
  services: Services,
  authenticator: Authenticator,
  route: Route,
  request: Request,
  response: Response,
) {
  try {
    const params = request.params as Record<string, string>;
    const caller = await authenticator.authenticate(request.headers.authorization, route.access, params.app);
    const streaming = route.streams !== undefined && request.is(route.streams) !== false;
    const rawBody = route.body && !streaming ? await readBody(request, services.settings.bodyLimitBytes) : '';
    const body =
      route.body && !streaming
        ? services.parser.parse(route.body, rawBody === '' ? undefined : parseJson(rawBody))
        : undefined;
    const query = route.query
      ? parseQuery(route.query, request.query)
      : parseQuery(z.strictObject({}), request.query);
    const gone = new AbortController();
    response.on('close', () => gone.abort());
    const idempotencyKey = request.get('idempotency-key');
    if (idempotencyKey !== undefined && !IDEMPOTENCY_KEY.test(idempotencyKey)) {
      throw new SealpostError(
        'invalid_idempotency_key',
        'An Idempotency-Key has 1 to 255 visible ASCII characters.',
      );
    }
    const context = {
      params,
      query,
      body,
      rawBody,
      caller,
      signal: gone.signal,
      request,
      response,
      idempotencyKey,
    };
    const run = () => route.handle(context as never);
    const keyed =
      idempotencyKey !== undefined && route.method === 'post' && params.app !== undefined && !streaming;
    const answer = keyed
      ? await once(services, request, response, params.app!, rawBody, idempotencyKey, run)
      : await run();
    if (!response.headersSent) send(response, answer);
  } catch (error) {
    fail(services, response, error);
  }
}

async function once(
  services: Services,
  request: Request,
  response: Response,
  app: string,
  body: string,
  key: string,
  run: () => Promise<Answer>,
): Promise<Answer> {
  const config = await services.configs.newest(app);
  const shard = services.shards.get(config.shard);
  const asked = { app, owner: config.number, route: `${request.method} ${request.path}`, key, body };
  const begun = await services.idempotency.begin(shard, asked);
  if (begun.state === 'replay') {
    response.set('idempotent-replayed', 'true');
    return begun.answer;
  }
  try {
    const answer = await run();
    const json = answer.json ?? JSON.stringify(answer.body);
    await services.idempotency.finish(shard, asked, {
      status: answer.status,
      headers: answer.headers ?? {},
      json,
    });
    return answer;
  } catch (error) {
    await services.idempotency.forget(shard, asked).catch(() => {});
    throw error;
  }
}

function send(response: Response, answer: Answer): void {
  response.status(answer.status);
  for (const [name, value] of Object.entries(answer.headers ?? {})) response.set(name, value);
  if (answer.body === undefined && answer.json === undefined) response.end();
  else
    response
      .set('content-type', 'application/json; charset=utf-8')
      .end(answer.json ?? JSON.stringify(answer.body));
}

function fail(services: Services, response: Response, error: unknown): void {
  const known = toSealpostError(error);
  if (known.code === 'internal_error') services.logger.error({ err: error }, 'a request failed');
  if (response.headersSent) {
    response.end();
    return;
  }
  response.status(known.status);
  if (known.status === 401) response.set('www-authenticate', 'Bearer');
  if (known.retryAfterSeconds !== undefined) response.set('retry-after', String(known.retryAfterSeconds));
  response.set('content-type', 'application/problem+json').end(JSON.stringify(presentProblem(error)));
}
