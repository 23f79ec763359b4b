import type { ApiErrorCode, Problem } from './api-types.ts';

/**
 * What the API does not say itself. `unreachable`: no answer, for as long as it was tried; `unexpected_answer`: not from a
 * Sealpost; `aborted`: by your signal; `closed`: by the client's `close`. After all but `closed` before it was sent, the
 * event may have been published: publish it again with the same id.
 */
export type ClientErrorCode = 'unreachable' | 'unexpected_answer' | 'aborted' | 'closed';

/** Codes are stable, and never reused. A newer API may know more of them. */
export type PublishErrorCode = ApiErrorCode | ClientErrorCode | (string & Record<never, never>);

type Details = {
  /** The HTTP status that goes with it; undefined where no answer came. */
  status?: number | undefined;
  /** What is wrong with the event, and where. */
  errors?: Problem['errors'] | undefined;
  retryAfterSeconds?: number | undefined;
  cause?: unknown;
};

/** Why an event was not published, or is not known to have been. Match on `code`. */
export class PublishError extends Error {
  override readonly name = 'PublishError';
  readonly code: PublishErrorCode;
  readonly status: number | undefined;
  readonly errors: Problem['errors'];
  readonly retryAfterSeconds: number | undefined;
  /** The event's id: its own, or the one that the client gave it. */
  readonly eventId: string | undefined;

  constructor(code: PublishErrorCode, message: string, details: Details = {}, eventId?: string) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.status = details.status;
    this.errors = details.errors;
    this.retryAfterSeconds = details.retryAfterSeconds;
    this.eventId = eventId;
  }

  /** The same said of one event; its stack tells of that event's caller no more than this one's does. */
  of(eventId: string): PublishError {
    return new PublishError(this.code, this.message, this, eventId);
  }

  /** The same request may be answered otherwise later: 429 and all that is not the request's fault. */
  get isTransient(): boolean {
    const { code, status = 0 } = this;
    if (code === 'unreachable' || code === 'config_conflict') return true;
    return status === 408 || status === 429 || status >= 500;
  }
}

/** By a publisher's own signal. */
export function aborted({ reason }: AbortSignal): PublishError {
  return new PublishError('aborted', 'Given up by its signal.', { cause: reason });
}

/**
 * From problem details (RFC 9457), which a result of a batch holds, or a whole answer is.
 * @param retryAfterSeconds of the answer's header, which a proxy may have set
 */
export function fromProblem(problem: Problem, retryAfterSeconds?: number): PublishError {
  const { code, detail, status, errors, retry_after_seconds } = problem;
  return new PublishError(code, detail, {
    status,
    errors,
    retryAfterSeconds: retryAfterSeconds ?? retry_after_seconds,
  });
}
