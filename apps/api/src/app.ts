import { SealpostError } from '@sealpost/core';
import express, { type Express, type NextFunction, type Request, type Response, type Router } from 'express';
import type { Authenticator } from './http/authenticate.ts';
import { observeRequests } from './http/observe-requests.ts';
import { sendProblem } from './http/problem.ts';
import type { Route } from './http/route.ts';
import { serveRoute } from './http/serve-route.ts';
import type { Services } from './services.ts';

/** The HTTP surface: the routes, the admin pages, and a problem for everything else. */
export function createApp(
  services: Services,
  authenticator: Authenticator,
  routes: Route[],
  admin: { path: string; router: Router },
): Express {
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.set('query parser', 'simple');
  // One spelling a route: another would be another request to an Idempotency-Key.
  app.set('case sensitive routing', true);
  app.set('strict routing', true);
  const { metrics, tracing, logger } = services;
  app.use(observeRequests({ instruments: metrics.instruments, tracing, logger, adminPath: admin.path }));
  app.use(securityHeaders);
  app.use(admin.path, admin.router);
  for (const [path, ofPath] of Map.groupBy(publishingFirst(routes), (route) => route.path)) {
    for (const route of ofPath) {
      app[route.method](path, (request, response) =>
        serveRoute(services, authenticator, route, request, response),
      );
    }
    app.all(path, (request, response) => {
      response.setHeader('allow', ofPath.map(({ method }) => method.toUpperCase()).join(', '));
      if (request.method === 'OPTIONS') return response.status(204).end();
      sendProblem(services.logger, request, response, methodNotAllowed(request.method));
    });
  }
  app.use((request, response) => {
    sendProblem(
      services.logger,
      request,
      response,
      new SealpostError('route_not_found', 'There is no such route.'),
    );
  });
  // Express knows an error handler by its four parameters.
  app.use((error: unknown, request: Request, response: Response, _next: NextFunction) => {
    sendProblem(services.logger, request, response, error);
  });
  return app;
}

/** Express tries one pattern after the other, and by far the most requests publish. */
function publishingFirst(routes: Route[]): Route[] {
  return routes.toSorted((a, b) => Number(b.publishes ?? false) - Number(a.publishes ?? false));
}

/** Of answers that are no page; the pages say what they need. */
const CSP = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

function securityHeaders(_request: Request, response: Response, next: NextFunction): void {
  response.setHeader('content-security-policy', CSP);
  response.setHeader('cross-origin-resource-policy', 'same-origin');
  response.setHeader('x-content-type-options', 'nosniff');
  response.setHeader('referrer-policy', 'no-referrer');
  response.setHeader('cache-control', 'no-store');
  response.setHeader('x-frame-options', 'DENY');
  next();
}

function methodNotAllowed(method: string): SealpostError {
  return new SealpostError('method_not_allowed', `This route does not take ${method}.`);
}
