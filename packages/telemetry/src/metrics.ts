/**
 * Every metric of Sealpost, as data: what serves them, the dashboard, the alerts and their tests all go by this list. Names
 * and units follow Prometheus' naming ("Metric and label naming"): base units, counters end in `_total`. No label ever
 * has an endpoint, a URL or an app: there may be any number of them.
 */

import type { ErrorCode, Reason } from '@sealpost/core';

export type Role = 'api' | 'worker';

/**
 * How the processes under one parent tell a gauge as one (prom-client's aggregators; counters and histograms are added up):
 * `sum`, or the worst (`max`), or, where all tell the same or the parent knows it best, the `first` that tells it.
 */
export type Together = 'sum' | 'max' | 'first';

export type MetricSpec = ({ type: 'counter' | 'histogram' } | { type: 'gauge'; together: Together }) & {
  name: string;
  help: string;
  labels: readonly string[];
  /** Upper bounds of a histogram's buckets. */
  buckets?: readonly number[];
  /** Series of a counter that are there from the start, with 0: `increase()` does not see with what a series begins. */
  begins?: readonly Readonly<Record<string, string>>[];
  /** Which processes have it. What is told of all of Redis is the same wherever it is read: take the maximum, not the sum. */
  of: readonly Role[];
};

const BOTH = ['api', 'worker'] as const;
const API = ['api'] as const;
const WORKER = ['worker'] as const;

/** Seconds. 0.5 is what is promised for 95 of 100. */
const REQUEST_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30] as const;
/** Up to the longest timeout. */
const ATTEMPT_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300] as const;
/** Up to days: a delivery may be retried, or held. */
const LATENCY_BUCKETS = [
  0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300, 1800, 7200, 43_200, 259_200,
] as const;

/** Why an attempt fails. */
const FAILURES: Reason[] = [
  'http_status',
  'timeout',
  'connection_failed',
  'dns_failed',
  'tls_failed',
  'address_blocked',
  'response_invalid',
];
/** Why a delivery ends so. */
const ENDS: Record<'delivered' | 'dead' | 'skipped' | 'cancelled', Reason[]> = {
  delivered: ['none'],
  dead: [
    ...FAILURES,
    'retries_exhausted',
    'seal_invalid',
    'payload_expired',
    'https_required',
    'config_invalid',
    'unacceptable_url',
    'worker_lost',
    'expired',
    'transform_failed',
  ],
  skipped: ['endpoint_disabled', 'rate_limited', 'quiet_hours', 'filtered', 'filter_failed'],
  cancelled: ['endpoint_deleted', 'app_deleted', 'cancelled_by_request'],
};
/** Refusals for which the fault is on this side. */
const REFUSALS: ErrorCode[] = [
  'overloaded',
  'queue_unavailable',
  'not_durable',
  'config_invalid',
  'internal_error',
];

export const METRICS = {
  eventsAccepted: {
    name: 'sealpost_events_accepted_total',
    type: 'counter',
    help: 'Events that were stored, operational ones among them.',
    labels: [],
    of: API,
  },
  eventsDuplicate: {
    name: 'sealpost_events_duplicate_total',
    type: 'counter',
    help: 'Events that were published again with an id that is known; nothing was stored.',
    labels: [],
    of: API,
  },
  eventsRefused: {
    name: 'sealpost_events_refused_total',
    type: 'counter',
    help: 'Events of a batch, or whole requests to publish, that were refused, by the code of the problem.',
    labels: ['code'],
    begins: REFUSALS.map((code) => ({ code })),
    of: API,
  },
  deliveriesCreated: {
    name: 'sealpost_deliveries_created_total',
    type: 'counter',
    help: 'Deliveries of the events that were stored, one for each endpoint.',
    labels: [],
    of: API,
  },
  attempts: {
    name: 'sealpost_attempts_total',
    type: 'counter',
    help: 'HTTP POSTs to receivers, by outcome (success, failure) and why they failed.',
    labels: ['outcome', 'reason'],
    begins: [
      { outcome: 'success', reason: 'none' },
      ...FAILURES.map((reason) => ({ outcome: 'failure', reason })),
    ],
    of: WORKER,
  },
  deliveriesEnded: {
    name: 'sealpost_deliveries_total',
    type: 'counter',
    help: 'Deliveries that ended, by status (delivered, dead, skipped, cancelled) and reason. One that is sent again by hand ends again.',
    labels: ['status', 'reason'],
    begins: Object.entries(ENDS).flatMap(([status, reasons]) =>
      reasons.map((reason) => ({ status, reason })),
    ),
    of: BOTH,
  },
  retries: {
    name: 'sealpost_retries_total',
    type: 'counter',
    help: 'Failed attempts after which the delivery is to be attempted again, by why they failed.',
    labels: ['reason'],
    of: WORKER,
  },
  requestDuration: {
    name: 'sealpost_http_request_duration_seconds',
    type: 'histogram',
    help: "Time from a request's head to the end of its answer, by method, route (its pattern) and status. 499: the client went away.",
    labels: ['method', 'route', 'status'],
    buckets: REQUEST_BUCKETS,
    of: API,
  },
  attemptDuration: {
    name: 'sealpost_attempt_duration_seconds',
    type: 'histogram',
    help: 'Time that POSTs to receivers took, by outcome (success, failure).',
    labels: ['outcome'],
    buckets: ATTEMPT_BUCKETS,
    of: WORKER,
  },
  deliveryLatency: {
    name: 'sealpost_delivery_latency_seconds',
    type: 'histogram',
    help: 'Time from acceptance, or deliver_at, to the end of the attempt that delivered.',
    labels: [],
    buckets: LATENCY_BUCKETS,
    of: WORKER,
  },
  firstAttemptDelay: {
    name: 'sealpost_first_attempt_delay_seconds',
    type: 'histogram',
    help: 'Time from acceptance, or deliver_at, to the beginning of the first attempt.',
    labels: [],
    buckets: LATENCY_BUCKETS,
    of: WORKER,
  },
  deliveriesOpen: {
    name: 'sealpost_deliveries_open',
    type: 'gauge',
    together: 'first',
    help: 'Deliveries that have not ended, by status (pending, retrying). Of all of Redis.',
    labels: ['status'],
    of: BOTH,
  },
  deliveriesInFlight: {
    name: 'sealpost_deliveries_in_flight',
    type: 'gauge',
    together: 'sum',
    help: 'POSTs that are under way, of this process, or of all under its parent.',
    labels: [],
    of: WORKER,
  },
  deliveriesDetached: {
    name: 'sealpost_deliveries_detached',
    type: 'gauge',
    together: 'max',
    help: 'POSTs under way that have given up their slot because they last, of this process, or of that which has most under its parent.',
    labels: [],
    of: WORKER,
  },
  queueJobs: {
    name: 'sealpost_queue_jobs',
    type: 'gauge',
    together: 'first',
    help: "Jobs in BullMQ's queues, by state (waiting, active, delayed). Of all of Redis.",
    labels: ['state'],
    of: BOTH,
  },
  oldestOpen: {
    name: 'sealpost_oldest_open_seconds',
    type: 'gauge',
    together: 'first',
    help: 'Time since the oldest open delivery could first have been sent; 0: there is none. Of all of Redis.',
    labels: [],
    of: BOTH,
  },
  oldestReady: {
    name: 'sealpost_oldest_ready_seconds',
    type: 'gauge',
    together: 'first',
    help: 'Time that the oldest delivery has waited which its lane lets go: that is, for a slot. 0: there is none. Of all of Redis.',
    labels: [],
    of: BOTH,
  },
  lanesClosed: {
    name: 'sealpost_lanes_closed',
    type: 'gauge',
    together: 'first',
    help: 'Lanes that are closed, because their receivers fail. Of all of Redis.',
    labels: [],
    of: BOTH,
  },
  outboxEntries: {
    name: 'sealpost_outbox_entries',
    type: 'gauge',
    together: 'first',
    help: 'Operational events that have yet to be published. Of all of Redis.',
    labels: [],
    of: BOTH,
  },
  workerSlots: {
    name: 'sealpost_worker_slots',
    type: 'gauge',
    together: 'first',
    help: 'Slots of all live workers. Of all of Redis.',
    labels: [],
    of: BOTH,
  },
  eventLoopLag: {
    name: 'sealpost_event_loop_lag_seconds',
    type: 'gauge',
    together: 'max',
    help: 'The longest that the event loop was held up since this was last read.',
    labels: [],
    of: BOTH,
  },
  redisRoundTrip: {
    name: 'sealpost_redis_round_trip_seconds',
    type: 'gauge',
    together: 'max',
    help: 'Time that the last look at Redis took for one command.',
    labels: [],
    of: BOTH,
  },
  redisMemoryUsed: {
    name: 'sealpost_redis_memory_used_bytes',
    type: 'gauge',
    together: 'first',
    help: 'Memory that Redis uses. Of all of Redis.',
    labels: [],
    of: BOTH,
  },
  redisMemoryLimit: {
    name: 'sealpost_redis_memory_limit_bytes',
    type: 'gauge',
    together: 'first',
    help: "Redis' maxmemory; 0: none. Of all of Redis.",
    labels: [],
    of: BOTH,
  },
  ready: {
    name: 'sealpost_up_ready',
    type: 'gauge',
    together: 'first',
    help: '1 if this process is ready, as /readyz says, else 0.',
    labels: [],
    of: BOTH,
  },
  processes: {
    name: 'sealpost_processes',
    type: 'gauge',
    together: 'sum',
    help: 'Processes that do this work: 1, or how many of API_PROCESSES or WORKER_PROCESSES run and have answered.',
    labels: [],
    of: BOTH,
  },
  processDeaths: {
    name: 'sealpost_process_deaths_total',
    type: 'counter',
    help: 'Processes under this parent that died, or hung and were ended, and were started again.',
    labels: [],
    of: BOTH,
  },
  expressionsKilled: {
    name: 'sealpost_expressions_killed_total',
    type: 'counter',
    help: 'Evaluations of filters and transforms that were ended, because they took too long or too much memory.',
    labels: [],
    of: WORKER,
  },
} as const satisfies Record<string, MetricSpec>;

export type MetricKey = keyof typeof METRICS;

/** What the parent of several processes tells itself. */
export const OF_PARENT = ['ready', 'eventLoopLag', 'processDeaths'] as const satisfies readonly MetricKey[];

/** Before the names of what is told of the process itself (prom-client's default metrics). */
export const PROCESS_PREFIX = 'sealpost_';
