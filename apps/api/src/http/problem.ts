import { SealpostError } from '@sealpost/core';
import { isUnavailable } from '@sealpost/queue';
import type { Logger } from '@sealpost/telemetry';
import type { Request, Response } from 'express';
import { z } from 'zod';

/** Problem details, RFC 9457 §3, with a stable `code` and, for bad input, what is wrong where. */
export const problemAnswer = z
  .object({
    type: z.string().describe('`urn:sealpost:problem:` and the code.'),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    code: z.string().describe('Stable; match on this.'),
    errors: z.array(z.object({ path: z.string(), message: z.string() })).optional(),
  })
  .meta({ id: 'Problem' });

export type Problem = z.output<typeof problemAnswer>;

/** What is no error of the catalog tells nothing of itself. */
export function presentProblem(error: unknown): Problem {
  const known = toSealpostError(error);
  return {
    type: `urn:sealpost:problem:${known.code}`,
    title: known.title,
    status: known.status,
    detail: known.message,
    code: known.code,
    ...(known.errors && { errors: known.errors }),
  };
}

/** Answers with the problem; what is our own fault is logged. */
export function sendProblem(logger: Logger, request: Request, response: Response, error: unknown): void {
  const known = toSealpostError(error);
  if (known.code === 'internal_error')
    logger.error({ err: error, method: request.method, path: request.path }, 'a request failed');
  if (response.headersSent) {
    response.end();
    return;
  }
  response.status(known.status);
  if (known.status === 401) response.setHeader('www-authenticate', 'Bearer');
  if (known.retryAfterSeconds !== undefined)
    response.setHeader('retry-after', String(known.retryAfterSeconds));
  // A body that was not read to its end would be taken for the next request.
  if (!request.complete) response.setHeader('connection', 'close');
  response.setHeader('content-type', 'application/problem+json; charset=utf-8');
  response.end(JSON.stringify(presentProblem(known)));
}

function toSealpostError(error: unknown): SealpostError {
  if (error instanceof SealpostError) return error;
  if (isUnavailable(error)) {
    return new SealpostError('queue_unavailable', 'Redis cannot be reached or takes no writes; try again.', {
      retryAfterSeconds: 5,
      cause: error,
    });
  }
  // Express' own: a path that is not valid percent-encoding, for one.
  const status = error instanceof Error ? (error as { status?: unknown }).status : undefined;
  if (typeof status === 'number' && status >= 400 && status < 500) {
    return new SealpostError('malformed_request', 'The path or a header of the request is malformed.', {
      cause: error,
    });
  }
  return new SealpostError('internal_error', 'The error has been logged.', { cause: error });
}
