import { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Express } from 'express';

/**
 * For `createServer`: requests and responses that are made with the prototypes that Express wants. Those of all others it
 * changes, one by one, and V8 takes long for that.
 */
export function expressMessages(app: Express) {
  function Request(this: IncomingMessage, socket: Socket) {
    IncomingMessage.call(this as never, socket);
  }
  function Response(this: ServerResponse, request: IncomingMessage, ...options: []) {
    ServerResponse.call(this as never, request, ...options);
  }
  Request.prototype = app.request;
  Response.prototype = app.response;
  return {
    IncomingMessage: Request as unknown as typeof IncomingMessage,
    ServerResponse: Response as unknown as typeof ServerResponse,
  };
}
