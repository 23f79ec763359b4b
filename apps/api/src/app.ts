import type { RequestListener } from 'node:http';
import { SealpostError } from '@sealpost/core';
import express, {
  type NextFunction,
  type Request,
  type RequestHandler,
  type Response,
  type Router,
} from 'express';
import type { Authenticator } from './http/authenticate.ts';
import { expressMessages } from './http/express-messages.ts';
import { observeRequests } from './http/observe-requests.ts';
import { sendProblem } from './http/problem.ts';
import { isToPublish, publishDirectly } from './http/publish-directly.ts';
import type { Route } from './http/route.ts';
import { serveRoute } from './http/serve-route.ts';
import type { Services } from './services.ts';

/** What `createServer` needs. */
export type App = { messages: ReturnType<typeof expressMessages>; listener: RequestListener };

/** The HTTP surface: the routes, the admin pages, and a problem for everything else. */
export function createApp(
  services: Services,
  authenticator: Authenticator,
  routes: Route[],
  admin: { path: string; router: Router },
): App {
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.set('query parser', 'simple');
  // One spelling a route: another would be another request to an Idempotency-Key.
  app.set('case sensitive routing', true);
  app.set('strict routing', true);
  const { metrics, tracing, logger } = services;
  const observe = observeRequests({
    instruments: metrics.instruments,
    tracing,
    logger,
    adminPath: admin.path,
  });
  const begin: RequestHandler = (request, response, next) =>
    observe(request, response, () => {
      setSecurityHeaders(response);
      next();
    });
  const serve = (route: Route) => (request: Request, response: Response) =>
    serveRoute(services, authenticator, route, request, response);
  app.use(begin);
  app.use(admin.path, admin.router);
  for (const [path, ofPath] of Map.groupBy(routes, (route) => route.path)) {
    for (const route of ofPath) app[route.method](path, serve(route));
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
  const publish = routes.find(isToPublish);
  return {
    messages: expressMessages(app),
    listener: publish ? publishDirectly(app, begin, serve(publish)) : app,
  };
}

/** Of answers that are no page; the pages say what they need. */
const CSP = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

function setSecurityHeaders(response: Response): void {
  response.setHeader('content-security-policy', CSP);
  response.setHeader('cross-origin-resource-policy', 'same-origin');
  response.setHeader('x-content-type-options', 'nosniff');
  response.setHeader('referrer-policy', 'no-referrer');
  response.setHeader('cache-control', 'no-store');
  response.setHeader('x-frame-options', 'DENY');
}

function methodNotAllowed(method: string): SealpostError {
  return new SealpostError('method_not_allowed', `This route does not take ${method}.`);
}
