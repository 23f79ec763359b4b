import {
  ATTRIBUTE,
  endSpan,
  type Instruments,
  type Logger,
  OWN_ATTRIBUTE,
  type RequestTrace,
  SPAN,
  type Span,
  SpanKind,
  type Tracing,
  VALUE,
} from '@sealpost/telemetry';
import type { Request, RequestHandler, Response } from 'express';

/** A client that went away before its answer was there, as nginx has it. */
const CLIENT_GONE = 499;
/** Whatever was asked for that is no route. */
const NO_ROUTE = 'none';
/** Asked for again and again by machines: no spans, and no lines in the log, of these. */
const PROBES = new Set(['/livez', '/readyz', '/metrics']);

/** Those that a label names: any other is but a client's choice, and Node takes dozens. */
const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);

type Options = {
  instruments: Pick<Instruments<'api'>, 'requestDuration'>;
  tracing: Tracing;
  logger: Logger;
  adminPath: string;
};

/** How a request ended. */
type Ended = { method: string; route: string; status: number };

/** Times, traces and logs every request, to the end of its answer. Its trace is in `response.locals`, for what it does. */
export function observeRequests({ instruments, tracing, logger, adminPath }: Options): RequestHandler {
  return (request, response, next) => {
    const start = performance.now();
    const span = startTrace(tracing, request, response);
    response.once('close', () => {
      const seconds = (performance.now() - start) / 1000;
      const ended = {
        method: methodOf(request),
        route: routeOf(request, adminPath),
        status: statusOf(response),
      };
      instruments.requestDuration.observe(ended, seconds);
      if (span) endRequest(span, request, response, ended);
      logRequest(logger, request, response, ended, seconds);
    });
    next();
  };
}

function startTrace(tracing: Tracing, request: Request, response: Response): Span | undefined {
  const headers = request.headers as { traceparent?: string; tracestate?: string };
  if ((!tracing.isOn && headers.traceparent === undefined) || PROBES.has(request.path)) return undefined;
  // The route, with which the name ends, is not known yet.
  const trace = tracing.startRequest(methodOf(request), SpanKind.SERVER, headers);
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

/** What went wrong on this side is an error; what the client did wrong, it has been told. */
function logRequest(
  logger: Logger,
  request: Request,
  response: Response,
  ended: Ended,
  seconds: number,
): void {
  const level = ended.status >= 500 ? 'error' : 'info';
  if (!logger.isLevelEnabled(level) || PROBES.has(request.path)) return;
  const { context } = (response.locals.trace ?? {}) as Partial<RequestTrace>;
  logger[level](
    {
      ...ended,
      duration_ms: Math.round(seconds * 10_000) / 10,
      app: request.params?.app,
      problem: response.locals.problem as string | undefined,
      trace_id: context?.traceId,
      span_id: context?.spanId,
    },
    'request',
  );
}

function methodOf({ method }: Request): string {
  return METHODS.has(method) ? method : VALUE.other;
}

function statusOf(response: Response): number {
  return response.headersSent ? response.statusCode : CLIENT_GONE;
}

/** The pattern of the path: there may be any number of paths. */
function routeOf(request: Request, adminPath: string): string {
  if (request.originalUrl.startsWith(adminPath)) return adminPath;
  return (request.route as { path?: string } | undefined)?.path ?? NO_ROUTE;
}
