import type { Instruments } from '@sealpost/telemetry';
import type { Request, RequestHandler, Response } from 'express';

/** A client that went away before its answer was there, as nginx has it. */
const CLIENT_GONE = 499;
/** Whatever was asked for that is no route. */
const NO_ROUTE = 'none';

/** Times every request, to the end of its answer. */
export function observeRequests(
  { requestDuration }: Pick<Instruments<'api'>, 'requestDuration'>,
  adminPath: string,
): RequestHandler {
  return (request, response, next) => {
    const start = performance.now();
    response.once('close', () => {
      const seconds = (performance.now() - start) / 1000;
      const status = statusOf(response);
      requestDuration.observe(
        { method: request.method, route: routeOf(request, adminPath), status },
        seconds,
      );
    });
    next();
  };
}

function statusOf(response: Response): number {
  return response.headersSent ? response.statusCode : CLIENT_GONE;
}

/** The pattern of the path: there may be any number of paths. */
function routeOf(request: Request, adminPath: string): string {
  if (request.originalUrl.startsWith(adminPath)) return adminPath;
  return (request.route as { path?: string } | undefined)?.path ?? NO_ROUTE;
}
