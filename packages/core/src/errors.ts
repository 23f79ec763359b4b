/**
 * Every error that the HTTP API answers: a stable code, its status, and the `title` of its problem details
 * (RFC 9457). Clients match on codes: a code is never reused for another meaning.
 */
export const ERRORS = {
  // What the request itself looks like
  malformed_request: { status: 400, title: 'The request cannot be understood' },
  malformed_json: { status: 400, title: 'The body is not valid JSON' },
  invalid_utf8: { status: 400, title: 'The body is not valid UTF-8' },
  invalid_query: { status: 400, title: 'The query string is not valid' },
  invalid_cursor: { status: 400, title: 'The cursor is not one that this list gave out' },
  page_too_deep: { status: 400, title: 'The page is too deep' },
  invalid_idempotency_key: { status: 400, title: 'The Idempotency-Key is not valid' },
  request_timeout: { status: 408, title: 'The request took too long to arrive' },
  payload_too_large: { status: 413, title: 'The body is too large' },
  headers_too_large: { status: 431, title: 'The headers are too large' },
  unsupported_media_type: { status: 415, title: 'The content type is not supported' },
  unsupported_content_encoding: { status: 415, title: 'The content encoding is not supported' },
  validation_failed: { status: 422, title: 'The request is not valid' },
  expression_failed: { status: 422, title: 'The filter or transform failed' },

  // Who asks
  unauthorized: { status: 401, title: 'A valid API key is required' },
  forbidden: { status: 403, title: 'The API key does not permit this' },
  too_many_wrong_keys: { status: 429, title: 'Too many wrong API keys were sent' },
  key_of_another_app: { status: 403, title: 'The API key belongs to another app' },

  // What is not there
  route_not_found: { status: 404, title: 'There is no such route' },
  app_not_found: { status: 404, title: 'There is no such app' },
  key_not_found: { status: 404, title: 'There is no such key' },
  endpoint_not_found: { status: 404, title: 'There is no such endpoint' },
  event_not_found: { status: 404, title: 'There is no such event' },
  delivery_not_found: { status: 404, title: 'There is no such delivery' },
  replay_not_found: { status: 404, title: 'There is no such replay' },
  correlation_not_found: { status: 404, title: 'There is no such correlation' },
  method_not_allowed: { status: 405, title: 'The route does not take this method' },
  payload_expired: { status: 410, title: 'The payload is no longer kept' },

  // What the present state does not allow
  name_taken: { status: 409, title: 'The name is taken' },
  app_protected: { status: 409, title: 'The app is Sealpost’s own' },
  endpoint_limit_reached: { status: 409, title: 'The app has as many endpoints as it may' },
  delivery_not_retryable: { status: 409, title: 'The delivery cannot be retried' },
  delivery_not_cancellable: { status: 409, title: 'The delivery cannot be cancelled' },
  replay_running: { status: 409, title: 'A replay of the endpoint is running' },
  config_conflict: { status: 409, title: 'The configuration changed meanwhile' },
  idempotency_in_progress: { status: 409, title: 'A request with this Idempotency-Key is still running' },
  idempotency_key_reused: { status: 422, title: 'The Idempotency-Key was used for another request' },

  // What Sealpost cannot do
  internal_error: { status: 500, title: 'Something went wrong inside Sealpost' },
  config_invalid: { status: 503, title: 'A stored record fails its integrity check' },
  not_durable: { status: 503, title: 'Redis does not hold it as durably as configured' },
  queue_unavailable: { status: 503, title: 'The queue is unavailable' },
  overloaded: { status: 503, title: 'Sealpost is overloaded' },
  shutting_down: { status: 503, title: 'This process is shutting down' },
} as const satisfies Record<string, { status: number; title: string }>;

export type ErrorCode = keyof typeof ERRORS;

/** One bad field; `path` as it is written in the JSON: `retry.max_retries`, `event_types[0]`. */
export type FieldError = { path: string; message: string };

type ErrorExtra = { errors?: FieldError[]; retryAfterSeconds?: number; cause?: unknown };

/** An error with a code of the catalog. `message` is the problem's `detail`: for the client, free of secrets. */
export class SealpostError extends Error {
  override readonly name = 'SealpostError';
  readonly code: ErrorCode;
  readonly status: number;
  readonly errors: FieldError[] | undefined;
  readonly retryAfterSeconds: number | undefined;

  constructor(code: ErrorCode, detail: string, extra: ErrorExtra = {}) {
    super(detail, 'cause' in extra ? { cause: extra.cause } : undefined);
    this.code = code;
    this.status = ERRORS[code].status;
    this.errors = extra.errors;
    this.retryAfterSeconds = extra.retryAfterSeconds;
  }

  get title(): string {
    return ERRORS[this.code].title;
  }
}
