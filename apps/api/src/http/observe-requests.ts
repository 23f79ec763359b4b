import {
  ATTRIBUTE,
  endSpan,
  type Instruments,
  OWN_ATTRIBUTE,
  SPAN,
  type Span,
  SpanKind,
  type Tracing,
} from '@sealpost/telemetry';
import type { Request, RequestHandler, Response } from 'express';

/** A client that went away before its answer was there, as nginx has it. */
const CLIENT_GONE = 499;
/** Whatever was asked for that is no route. */
const NO_ROUTE = 'none';
/** Asked for again and again by machines: no spans of these. */
const PROBES = new Set(['/livez', '/readyz', '/metrics']);

type Options = {
  instruments: Pick<Instruments<'api'>, 'requestDuration'>;
  tracing: Tracing;
  adminPath: string;
};

/** How a request ended. */
type Ended = { method: string; route: string; status: number };

/** Times and traces every request, to the end of its answer. Its trace is in `response.locals`, for what it does. */
export function observeRequests({ instruments, tracing, adminPath }: Options): RequestHandler {
  return (request, response, next) => {
    const start = performance.now();
    const span = startTrace(tracing, request, response);
    response.once('close', () => {
      const seconds = (performance.now() - start) / 1000;
      const ended = {
        method: request.method,
        route: routeOf(request, adminPath),
        status: statusOf(response),
      };
      instruments.requestDuration.observe(ended, seconds);
      if (span) endRequest(span, request, response, ended);
    });
    next();
  };
}

function startTrace(tracing: Tracing, request: Request, response: Response): Span | undefined {
  if (PROBES.has(request.path)) return undefined;
  // The route, with which the name ends, is not known yet.
  const headers = request.headers as { traceparent?: string; tracestate?: string };
  const trace = tracing.startRequest(request.method, SpanKind.SERVER, headers);
  if (!trace) return undefined;
  const { span, ...ofRequest } = trace;
  response.locals.trace = ofRequest;
  return span;
}

function endRequest(
  span: Span,
  request: Request,
  response: Response,
  { method, route, status }: Ended,
): void {
  if (route !== NO_ROUTE) span.updateName(SPAN.request(method, route));
  const problem: unknown = response.locals.problem;
  const attributes = {
    [ATTRIBUTE.httpRequestMethod]: method,
    [ATTRIBUTE.httpResponseStatusCode]: status,
    [ATTRIBUTE.urlScheme]: request.protocol,
    [ATTRIBUTE.urlPath]: request.originalUrl.split('?')[0]!,
    ...(route !== NO_ROUTE && { [ATTRIBUTE.httpRoute]: route }),
    ...(typeof problem === 'string' && { [OWN_ATTRIBUTE.problem]: problem }),
  };
  // A 4xx is the client's, and no failure of this side ("HTTP server spans").
  const failed = status >= 500 || status === CLIENT_GONE;
  endSpan(span, attributes, failed ? String(status) : undefined);
}

function statusOf(response: Response): number {
  return response.headersSent ? response.statusCode : CLIENT_GONE;
}

/** The pattern of the path: there may be any number of paths. */
function routeOf(request: Request, adminPath: string): string {
  if (request.originalUrl.startsWith(adminPath)) return adminPath;
  return (request.route as { path?: string } | undefined)?.path ?? NO_ROUTE;
}
