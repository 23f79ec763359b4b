import { randomUUID } from 'node:crypto';
import { KeyringError, SealpostError } from '@sealpost/core';
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
    retry_after_seconds: z
      .number()
      .optional()
      .describe('Try again no sooner: as `Retry-After`, also where no header can say it any more.'),
    instance: z.string().optional().describe('Of a fault of ours: finds it in the log.'),
  })
  .meta({ id: 'Problem' });

export type Problem = z.output<typeof problemAnswer>;

/** How long a client may go on sending a body that is refused, ms. */
const LINGER_MS = 2000;

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
    ...(known.retryAfterSeconds !== undefined && { retry_after_seconds: known.retryAfterSeconds }),
  };
}

/** Answers with the problem; what is our own fault is logged. */
export function sendProblem(logger: Logger, request: Request, response: Response, error: unknown): void {
  const known = toSealpostError(error);
  const problem = presentProblem(known);
  response.locals.problem = known.code;
  if (isOurFault(known)) {
    problem.instance = `urn:uuid:${randomUUID()}`;
    const { method, path } = request;
    logger.error({ err: error, method, path, instance: problem.instance }, 'a request failed');
  }
  if (response.headersSent) {
    response.end();
    return;
  }
  response.status(known.status);
  if (known.status === 401) response.setHeader('www-authenticate', 'Bearer');
  if (known.retryAfterSeconds !== undefined)
    response.setHeader('retry-after', String(known.retryAfterSeconds));
  response.setHeader('content-type', 'application/problem+json; charset=utf-8');
  const json = JSON.stringify(problem);
  if (bodyStillComes(request)) endAfterBody(request, response, json);
  else response.end(json);
}

function isOurFault({ status, code }: SealpostError): boolean {
  return status === 500 || code === 'config_invalid';
}

/** Whether a part of the body is still on its way, or was not read. */
export function bodyStillComes({ complete, body, headers }: Request): boolean {
  if (complete || body !== undefined) return false;
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}

/**
 * Answers at once, and closes the connection when the client has stopped sending or has had its time: closed under a
 * client that still sends, it would be reset, and the answer lost (RFC 9112 §9.6).
 */
function endAfterBody(request: Request, response: Response, json: string): void {
  response.setHeader('connection', 'close');
  response.setHeader('content-length', Buffer.byteLength(json));
  response.write(json);
  const end = () => {
    clearTimeout(timer);
    response.end();
  };
  const timer = setTimeout(end, LINGER_MS);
  request.on('end', end).on('close', end).resume();
}

/** What of the catalog an error is. */
export function toSealpostError(error: unknown): SealpostError {
  if (error instanceof SealpostError) return error;
  if (isUnavailable(error)) {
    return new SealpostError('queue_unavailable', 'Redis cannot be reached or takes no writes; try again.', {
      retryAfterSeconds: 5,
      cause: error,
    });
  }
  if (error instanceof KeyringError) {
    return error.code === 'unknown_key'
      ? new SealpostError(
          'config_invalid',
          'A stored record needs a master key that this process does not have.',
          {
            retryAfterSeconds: 5,
            cause: error,
          },
        )
      : new SealpostError('config_invalid', 'A stored record was changed or moved.', { cause: error });
  }
  // Express' own: a path that is not valid percent-encoding, for one.
  const status = error instanceof Error ? (error as { status?: unknown }).status : undefined;
  if (status === 413)
    return new SealpostError('payload_too_large', 'The body is too large.', { cause: error });
  if (typeof status === 'number' && status >= 400 && status < 500) {
    return new SealpostError('malformed_request', 'The path or a header of the request is malformed.', {
      cause: error,
    });
  }
  return new SealpostError('internal_error', 'The error has been logged.', { cause: error });
}
