// Made by `npm run client-types` from what the API says of itself in /openapi.json: do not edit.

/**
 * Up to 50 entries of your own beside the payload: strings of up to 1 KiB, numbers, booleans or null, or
 * lists of up to 50 of them.
 */
export type Attributes = Record<
  string,
  string | number | boolean | null | Array<string | number | boolean | null>
>;

export type BatchResult = {
  /** One for each event, in order. */
  results: Array<{
    /** As if it had been published alone. */
    status: number;
    event?: PublishedEvent | undefined;
    problem?: Problem | undefined;
  }>;
};

/** One thing that happened. */
export type EventInput = {
  /** What happened: segments of letters, digits, `_` and `-`, joined by dots. */
  type: string;
  /** Any JSON value; it arrives with its numbers digit for digit. */
  payload: unknown;
  /** With another type than JSON, a string payload is the body itself under the `raw` profile. */
  content_type?: string | undefined;
  /** Your own id of the event: the `webhook-id`. A second event with it is not published again. */
  id?: string | undefined;
  /** Joins the events of one process; they are numbered by `sequence`. */
  correlation_id?: string | undefined;
  /** An environment, such as `production`. */
  environment?: string | undefined;
  attributes?: Attributes | undefined;
  /** Not before this time, at most 30 days ahead; at once when it has passed. */
  deliver_at?: string | undefined;
  /** Sends this event to one more URL, beside the subscribed endpoints. */
  webhook_url?: string | undefined;
  /** Signs the delivery to `webhook_url`. */
  webhook_secret?: string | undefined;
  wire_profile?: WireProfile | undefined;
  retry?: RetryPolicyInput | undefined;
};

export type Problem = {
  /** `urn:sealpost:problem:` and the code. */
  type: string;
  title: string;
  status: number;
  detail: string;
  /** Stable; match on this. */
  code: string;
  errors?:
    | Array<{
        path: string;
        message: string;
      }>
    | undefined;
  /** Try again no sooner: as `Retry-After`, also where no header can say it any more. */
  retry_after_seconds?: number | undefined;
  /** Of a fault of ours: finds it in the log. */
  instance?: string | undefined;
};

export type PublishedEvent = {
  /** What receivers see as `webhook-id`. */
  id: string;
  type: string;
  /** Counts the events of its correlation id from 1. */
  sequence: number | null;
  created_at: string;
  deliveries: Array<{
    id: string;
    endpoint_id: string | null;
    status: 'pending' | 'retrying' | 'delivered' | 'dead' | 'skipped' | 'cancelled';
  }>;
};

/** How failed attempts are repeated. Seconds may be fractions. A longer Retry-After counts. */
export type RetryPolicyInput = {
  /**
   * The delay before retry n: `exponential`: base_seconds · factor^(n−1); `linear`: base_seconds · n;
   * `schedule`: the n-th entry of schedule_seconds, the last one repeating.
   */
  strategy?: 'exponential' | 'linear' | 'schedule' | undefined;
  base_seconds?: number | undefined;
  factor?: number | undefined;
  /** The longest delay of `exponential` and `linear`, in seconds. */
  max_delay_seconds?: number | undefined;
  /** Retries after the first attempt. By default 3, or as many as schedule_seconds has entries. */
  max_retries?: number | undefined;
  /** The share of a delay that chance may take away. */
  jitter?: number | undefined;
  /**
   * Network errors and timeouts, and of the answers: `non_2xx`: all but 2xx; `transient`: 408, 425, 429 and
   * 5xx; `5xx_429`: 429 and 5xx. Never 410.
   */
  retry_on?: 'non_2xx' | 'transient' | '5xx_429' | undefined;
  schedule_seconds?: Array<number> | undefined;
};

/**
 * How a delivery looks to the receiver: a name, or an object that says it. Every profile also carries the
 * headers of Standard Webhooks.
 */
export type WireProfile =
  | 'standard'
  | 'raw'
  | 'flock'
  | 'taskflow'
  | 'aifai'
  | 'flagship'
  | {
      /** Names of its own headers, beside those of Standard Webhooks. */
      headers?:
        | {
            /** Carries `signature`. */
            signature?: string | undefined;
            /** The event's type. */
            event?: string | undefined;
            /** The delivery's id, the same at every attempt. */
            delivery?: string | undefined;
            /** Time of the attempt, seconds since 1970. */
            timestamp?: string | undefined;
            /** The event's id, as `webhook-id`. */
            id?: string | undefined;
          }
        | undefined;
      /**
       * Of the header `headers.signature`: `sha256=` and hex over the body (`sha256-hex`, the default), base64
       * over the body (`sha256-base64`), as `webhook-signature` (`standard`), or an object.
       */
      signature?:
        | 'sha256-hex'
        | 'sha256-base64'
        | 'standard'
        | {
            encoding: 'hex' | 'base64';
            /**
             * What is signed with HMAC-SHA256: `{body}` once, `{timestamp}` (of the attempt, seconds), `{id}` (of the
             * event).
             */
            content: string;
            /** The header: `{signature}` once. */
            value: string;
            /** Put behind it for each former secret while a rotated one overlaps. */
            former?: string | undefined;
          }
        | undefined;
      user_agent?: string | undefined;
      /** `payload`: the payload alone, as `raw` has it. */
      envelope?: 'standard' | 'payload' | undefined;
    };

/** The `code` of a problem. */
export type ApiErrorCode =
  | 'malformed_request'
  | 'malformed_json'
  | 'invalid_utf8'
  | 'invalid_query'
  | 'invalid_cursor'
  | 'page_too_deep'
  | 'invalid_idempotency_key'
  | 'request_timeout'
  | 'payload_too_large'
  | 'headers_too_large'
  | 'unsupported_media_type'
  | 'unsupported_content_encoding'
  | 'validation_failed'
  | 'expression_failed'
  | 'unauthorized'
  | 'forbidden'
  | 'too_many_wrong_keys'
  | 'key_of_another_app'
  | 'route_not_found'
  | 'app_not_found'
  | 'key_not_found'
  | 'endpoint_not_found'
  | 'event_not_found'
  | 'delivery_not_found'
  | 'replay_not_found'
  | 'correlation_not_found'
  | 'method_not_allowed'
  | 'payload_expired'
  | 'name_taken'
  | 'app_protected'
  | 'endpoint_limit_reached'
  | 'delivery_not_retryable'
  | 'delivery_not_cancellable'
  | 'replay_running'
  | 'config_conflict'
  | 'idempotency_in_progress'
  | 'idempotency_key_reused'
  | 'internal_error'
  | 'config_invalid'
  | 'not_durable'
  | 'queue_unavailable'
  | 'overloaded'
  | 'shutting_down';
