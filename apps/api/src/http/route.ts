import type { Request, Response } from 'express';
import type { z } from 'zod';

/**
 * Who may call a route: an operator only, also a key of the app in the path, or anybody (and then why). `caller`: the path
 * names no app; an app's key acts in its app, an operator's in the one that the header `Sealpost-App` names, or in
 * `default`. The handler finds it in `params.app`.
 */
export type Access = 'operator' | 'app' | 'caller' | { open: string };

/** The header by which an operator says in which app to act, where the path names none. */
export const APP_HEADER = 'Sealpost-App';

/** What the key of a request may do. */
export type Caller =
  | { kind: 'operator' }
  | { kind: 'app'; app: string; keyHash: string }
  | { kind: 'anyone' }
  /** No request: what Sealpost does by itself. */
  | { kind: 'sealpost' };

export type Answer = {
  status: number;
  headers?: Record<string, string>;
  /** Sent as JSON. */
  body?: unknown;
  /** Sent as it is, when the JSON text is already there: payloads must keep their digits. */
  json?: string;
  /** Sent as a page. */
  html?: string;
};

export type RouteContext<Body, Query> = {
  params: Record<string, string>;
  query: Query;
  body: Body;
  /** The request's body as it came; '' when there is none. */
  rawBody: string;
  caller: Caller;
  /** The request's `Idempotency-Key`. */
  idempotencyKey: string | undefined;
  /** A signal that is aborted when the client goes away. */
  signal: () => AbortSignal;
  request: Request;
  response: Response;
};

/**
 * One route: served, validated and described in `/openapi.json` from this object, so that none of the three can
 * differ. Paths are Express paths with `:name` parameters.
 */
export type Route<BodySchema extends z.ZodType = z.ZodType, QuerySchema extends z.ZodType = z.ZodType> = {
  method: 'get' | 'post' | 'put' | 'patch' | 'delete';
  path: string;
  /** Groups routes in the documentation. */
  tag: string;
  summary: string;
  description?: string;
  access: Access;
  query?: QuerySchema;
  body?: BodySchema;
  /** It publishes events: a request that is refused is counted as such. */
  publishes?: true;
  /** Media type whose body the handler reads itself from `request`, beside JSON. */
  streams?: 'application/x-ndjson';
  /** By status; undefined: no body. Problems need not be listed. */
  answers: Record<number, { description: string; schema?: z.ZodType }>;
  handle(context: RouteContext<z.output<BodySchema>, z.output<QuerySchema>>): Promise<Answer>;
};

/** Types a route's handler by its own schemas, and forgets them for the list of all routes. */
export function defineRoute<B extends z.ZodType = z.ZodUndefined, Q extends z.ZodType = z.ZodUndefined>(
  route: Route<B, Q>,
): Route {
  return route as unknown as Route;
}
