import type { Reason } from './reasons.ts';

/** Which failures are retried (classify.ts); `5xx_429` is what AIFAI's document has. */
export const RETRY_ON = ['non_2xx', 'transient', '5xx_429'] as const;

export type RetryOn = (typeof RETRY_ON)[number];

/** How failed attempts of a delivery are repeated. Seconds may be fractions. */
export type RetryPolicy = {
  strategy: 'exponential' | 'linear' | 'schedule';
  base_seconds: number;
  factor: number;
  max_delay_seconds: number;
  /** Retries after the first attempt, so a delivery makes at most `max_retries + 1` attempts. */
  max_retries: number;
  /** 0–1: the share of a delay that chance may take away. */
  jitter: number;
  retry_on: RetryOn;
  /** Only with `strategy: 'schedule'`: the delay before each retry; the last one repeats. */
  schedule_seconds?: number[];
};

/** At most `limit` attempts begin in any `period_seconds`; what is over waits in its lane, or is skipped. */
export type RateLimit = {
  limit: number;
  /** May be a fraction. */
  period_seconds: number;
  over: 'hold' | 'skip';
};

/** Hours of the day in which nothing is sent; quiet-hours.ts says what they are where clocks change. */
export type QuietHours = {
  /** 0–23. */
  start_hour: number;
  /** 0–23: the first hour that is no longer quiet; not `start_hour`. */
  end_hour: number;
  /** A name of the IANA time zone database. */
  timezone: string;
  during: 'hold' | 'skip';
};

/** States of a delivery. Records store the index, so this list is append-only. */
export const STATUSES = ['pending', 'retrying', 'delivered', 'dead', 'skipped', 'cancelled'] as const;

export type DeliveryStatus = (typeof STATUSES)[number];

/** Durations in milliseconds of the parts of an attempt; a part that did not happen is absent. */
export type AttemptPhases = { dns?: number; connect?: number; tls?: number; first_byte?: number };

/** The beginning of what a receiver answered. */
export type AttemptResponse = {
  headers: Record<string, string>;
  /** At most 4,096 bytes. */
  body: Buffer;
  /** Whether the receiver sent more than `body` holds. */
  truncated: boolean;
};

/** What one HTTP POST of a delivery came to. */
export type AttemptOutcome = {
  /** Milliseconds since the epoch. */
  startedAt: number;
  durationMs: number;
  phases: AttemptPhases;
  /** Absent when no response arrived. */
  statusCode?: number;
  /** `none` for a 2xx, `http_status` for any other complete response. */
  reason: Reason;
  /** A short explanation for people, free of secrets. */
  detail?: string;
  /** From the response's `Retry-After`. */
  retryAfterSeconds?: number;
  response?: AttemptResponse;
};
