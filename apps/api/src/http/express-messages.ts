import { IncomingMessage, ServerResponse } from 'node:http';
import type { Express } from 'express';

/**
 * For `createServer`: requests and responses that are made as `app` wants them. Of all others Express changes the prototype,
 * one by one: V8 takes long for that, and so does everything that is done with them afterwards.
 */
export function expressMessages(app: Express) {
  class Request extends IncomingMessage {}
  class Response extends ServerResponse {}
  app.request = Object.setPrototypeOf(Request.prototype, app.request);
  app.response = Object.setPrototypeOf(Response.prototype, app.response);
  return { IncomingMessage: Request, ServerResponse: Response };
}
