import { SealpostError } from '@sealpost/core';
import { isUnavailable } from '@sealpost/queue';

export type Problem = {
  type: string;
  title: string;
  status: number;
  detail: string;
  code: string;
  errors?: { path: string; message: string }[];
};

/** Problem details (RFC 9457) of any error. What is no error of the catalog tells nothing of itself. */
export function presentProblem(error: unknown): Problem {
  const known = toSealpostError(error);
  const problem: Problem = {
    type: `urn:sealpost:problem:${known.code}`,
    title: known.title,
    status: known.status,
    detail: known.message,
    code: known.code,
  };
  if (known.errors) problem.errors = known.errors;
  return problem;
}

export function toSealpostError(error: unknown): SealpostError {
  if (error instanceof SealpostError) return error;
  if (isUnavailable(error)) {
    return new SealpostError('queue_unavailable', 'Redis is unreachable or takes no writes; try again.', {
      retryAfterSeconds: 5,
      cause: error,
    });
  }
  return new SealpostError('internal_error', 'The error has been logged.', { cause: error });
}
