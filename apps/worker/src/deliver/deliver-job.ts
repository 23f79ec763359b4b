import {
  type AttemptOutcome,
  attemptReason,
  type Keyring,
  KeyringError,
  parseId,
  parseJobId,
  type Reason,
  SealpostError,
  type WireBody,
} from '@sealpost/core';
import {
  type ClaimResult,
  claim,
  type EventRecord,
  giveBackToken,
  type Outcome,
  parseEventRecord,
  type Retention,
  type Settled,
  type Settlement,
  type Shard,
  type Turn,
  webhookSecretAad,
} from '@sealpost/queue';
import { type Expressions, SandboxBusy } from '@sealpost/sandbox';
import type { Configs } from '@sealpost/store';
import type { Logger, Tracing } from '@sealpost/telemetry';
import type { Attempt } from '../attempts.ts';
import { applyExpressions, type Shaped } from './apply-expressions.ts';
import { checkSeal } from './check-seal.ts';
import type { DeliveryCounts } from './count-deliveries.ts';
import type { KilledInARow } from './count-killed.ts';
import { type DisableReason, disableEndpoint } from './disable-endpoint.ts';
import { eventFacts } from './event-facts.ts';
import type { HttpClient } from './http-client.ts';
import type { Destination, Destinations } from './load-endpoint.ts';
import { logAttempt } from './log-attempt.ts';
import { type Attempted, hopeless, settleDelivery, settlementOf } from './settle-delivery.ts';
import { retryPolicyOf, signRequest } from './sign-request.ts';
import { startAttempt, traceEnd } from './trace-delivery.ts';

/** A delivery whose workers died this often while they had it is taken to be what kills them. */
const LOST_WORKERS = 25;
/** While too many expressions wait to be evaluated, a delivery comes again after this, ms. */
const BUSY_MS = 1000;

export type DeliverOptions = {
  keyring: Keyring;
  configs: Configs;
  destinations: Destinations;
  http: HttpClient;
  expressions: Expressions;
  /** Of the expressions of endpoints. */
  killed: KilledInARow;
  retention: Retention;
  /** An endpoint that has only failed for so long, ms, is disabled. */
  disableAfterMs: number;
  logger: Logger;
  counts: DeliveryCounts;
  tracing: Tracing;
  /** Called at a named step; kills the process in tests of what a crash there does. */
  fault: (step: 'after-claim' | 'after-post' | 'after-settle') => void;
  /** Aborted when the process can wait no longer. */
  stop: AbortSignal;
  now: () => number;
  random: () => number;
};

/** What is known of the job's delivery beside its own id. */
export type DeliveryJob = {
  id: string;
  /** Outcomes that BullMQ has counted. */
  counted: number;
  stalled: number;
};

/** Who is told of what happens on the way. */
export type DeliverEvents = {
  /** A script has moved lanes, and left something to do. */
  onTurn: (turn: Turn) => void;
  /** The POST begins, and may last. */
  onAttempt: (attempt: Attempt) => void;
};

/** What to do with the job: tell BullMQ an outcome, complete it, or let it come again after so many ms. */
export type JobResult = { tell: Outcome } | { tell: undefined } | { againInMs: number };

const COMPLETE: JobResult = { tell: undefined };

/** An API or worker with another master key made this: it must be handed to one that knows the key. */
export class UnknownKey extends Error {
  override readonly name = 'UnknownKey';
}

type Claimed = Extract<ClaimResult, { result: 'run' }>;
/** How a delivery's turn has ended, to be settled; and then to be told of as what SETTLE has made of it. */
type Ended = {
  settlement: Settlement;
  disableEndpoint: DisableReason | undefined;
  /** Why the attempt failed; `none`: it did not, or there was none. */
  failure: Reason;
  /** When it did, before it was settled: ms epoch. */
  at: number;
  /** @param settled absent when this process has to go before it knows */
  tell: (settled: Settled | undefined) => void;
};
type Ready = { event: EventRecord; body: Buffer; destination: Destination };

/**
 * The main path of the worker, for one job: CLAIM → check the seal → filter and transform → sign → POST → classify → SETTLE.
 * @throws UnknownKey; the reason of `stop`; any other error means that the job must be tried again, uncounted
 */
export async function deliverJob(
  options: DeliverOptions,
  shard: Shard,
  job: DeliveryJob,
  events: DeliverEvents,
): Promise<JobResult> {
  const parsed = parseJobId(job.id);
  const number = parsed && parseId('dlv', parsed.deliveryId)?.number;
  if (!parsed || number === undefined) {
    options.logger.warn({ job: job.id }, 'a job that is not of Sealpost was dropped');
    return COMPLETE;
  }
  const claimed = await claim(
    shard,
    number,
    parsed.generation,
    job.counted,
    options.retention,
    options.now(),
  );
  if (claimed.result === 'settled') return { tell: claimed };
  if (claimed.result === 'gone') return COMPLETE;
  events.onTurn(claimed);
  if (claimed.result === 'busy') return { againInMs: claimed.ms };
  if (claimed.result === 'skipped') options.counts.ended('skipped', claimed.reason);
  if (claimed.result !== 'run') return COMPLETE;
  options.fault('after-claim');

  const attempted: Attempted = {
    number,
    generation: parsed.generation,
    attempt: claimed.delivery.attempts + 1,
    event: claimed.eventRecord && parseEventRecord(claimed.eventRecord.toString()),
  };
  const ready = await prepare(options, shard, job, claimed, attempted);
  const ended =
    'status' in ready
      ? withoutAttempt(options, shard, claimed, attempted, ready)
      : await shapeAndAttempt(options, shard, claimed, attempted, ready, events);
  if (ended === 'busy') {
    await giveBackToken(shard, claimed.delivery.endpoint, number, attempted.attempt);
    return { againInMs: BUSY_MS };
  }
  let settled: Settled | undefined;
  try {
    settled = await settleDelivery(shard, ended.settlement, options.stop);
    options.fault('after-settle');
  } finally {
    ended.tell(settled);
  }
  options.counts.settled(settled, ended.failure, claimed.delivery, attempted.event, ended.at);
  events.onTurn(settled);
  if ('destination' in ready) {
    const reason = ended.disableEndpoint ?? (settled.disable ? 'failing' : undefined);
    // After SETTLE: should it fail, the next attempt says the same again.
    if (reason) await disableEndpoint(options, ready.event.a, ready.destination, reason);
  }
  return settled.waits ? COMPLETE : { tell: settled };
}

/** Everything that an attempt needs, or the settlement of a delivery for which there can be none. */
async function prepare(
  options: DeliverOptions,
  shard: Shard,
  job: DeliveryJob,
  claimed: Claimed,
  attempted: Attempted,
): Promise<Ready | Settlement> {
  const { keyring, now } = options;
  const { delivery, eventRecord, body, configVersion } = claimed;
  const { event } = attempted;
  const dead = (reason: Parameters<typeof hopeless>[2], detail: string) =>
    hopeless(attempted, 'dead', reason, detail, options, now());
  const cancelled = (reason: Parameters<typeof hopeless>[2]) =>
    hopeless(attempted, 'cancelled', reason, '', options, now());

  if (job.stalled >= LOST_WORKERS)
    return dead('worker_lost', 'Worker after worker was lost with this delivery.');
  if (!eventRecord || !body) return dead('payload_expired', 'The payload is no longer kept.');
  if (!event) return dead('seal_invalid', 'The stored event is not the one that was accepted.');
  const verdict = checkSeal(
    keyring,
    { shard: shard.number, number: attempted.number },
    delivery,
    event,
    eventRecord,
    body,
  );
  if (verdict === 'unknown_key') throw new UnknownKey(`the key ${delivery.keyId} is not known here`);
  if (verdict === 'invalid')
    return dead('seal_invalid', 'The stored delivery is not the one that was accepted.');
  if (configVersion === undefined) return cancelled('app_deleted');
  try {
    const destination = await options.destinations.load(
      shard,
      delivery.app,
      delivery.endpoint,
      configVersion,
    );
    if (typeof destination === 'string') return cancelled(destination);
    if (destination.app.app !== event.a)
      return dead('seal_invalid', 'The delivery was moved to another app.');
    return { event, body, destination };
  } catch (error) {
    if (error instanceof KeyringError && error.code === 'unknown_key') throw new UnknownKey(error.message);
    const tampered =
      error instanceof KeyringError || (error instanceof SealpostError && error.code === 'config_invalid');
    if (tampered) return dead('config_invalid', 'The stored endpoint fails its integrity check.');
    throw error;
  }
}

/** The end of a delivery for which nothing is posted. */
function withoutAttempt(
  { tracing, logger, now }: DeliverOptions,
  shard: Shard,
  { delivery }: Claimed,
  attempted: Attempted,
  settlement: Settlement,
  disableEndpoint?: DisableReason,
): Ended {
  const at = now();
  const tell = (settled: Settled | undefined) => {
    traceEnd(tracing, shard, attempted, settled ?? settlement);
    logAttempt(logger, shard, attempted, delivery, settled, at);
  };
  return { settlement, disableEndpoint, failure: settlement.reason, at, tell };
}

/** What its endpoint's expressions say of a delivery, and one POST if they let it go. `busy`: to be tried again later. */
async function shapeAndAttempt(
  options: DeliverOptions,
  shard: Shard,
  claimed: Claimed,
  attempted: Attempted,
  ready: Ready,
  events: DeliverEvents,
): Promise<Ended | 'busy'> {
  const { event, body, destination } = ready;
  const { delivery, sequence } = claimed;
  const facts = () => eventFacts({ shard: shard.number, eventNumber: delivery.event, event, body, sequence });
  let shaped: Shaped;
  try {
    shaped = await applyExpressions(options, event, destination, facts);
  } catch (error) {
    if (error instanceof SandboxBusy) {
      options.logger.warn(
        { err: error, app: event.a },
        'an expression waits for the sandbox; its delivery comes again',
      );
      return 'busy';
    }
    throw error;
  }
  if ('body' in shaped) return attempt(options, shard, claimed, attempted, ready, shaped.body, events);
  const { ends, reason, detail, disable } = shaped;
  const settlement = hopeless(attempted, ends, reason, detail, options, options.now());
  const disableEndpoint = disable ? 'expression_killed' : undefined;
  return withoutAttempt(options, shard, claimed, attempted, settlement, disableEndpoint);
}

/** One POST, and what it means. */
async function attempt(
  options: DeliverOptions,
  shard: Shard,
  claimed: Claimed,
  attempted: Attempted,
  { event, body, destination }: Ready,
  transformed: WireBody | undefined,
  events: DeliverEvents,
): Promise<Ended> {
  const { delivery } = claimed;
  const request = signRequest({
    shard: shard.number,
    number: attempted.number,
    event,
    eventNumber: delivery.event,
    sequence: claimed.sequence,
    body,
    destination,
    webhookSecret: webhookSecret(options.keyring, shard, delivery.event, event, destination),
    transformed,
    now: options.now(),
  });
  events.onAttempt({
    number: attempted.number,
    generation: attempted.generation,
    attempt: attempted.attempt,
    lane: delivery.endpoint > 0 ? String(delivery.endpoint) : `${delivery.app}.${event.l ?? ''}`,
    startedAt: performance.now(),
    timeoutMs: request.timeoutMs,
    averageMs: claimed.averageMs,
  });
  const trace =
    event.tc === undefined
      ? undefined
      : await startAttempt(
          options.tracing,
          shard,
          { ...attempted, event },
          delivery.event,
          destination,
          request,
        );
  options.counts.begins(delivery, options.now());
  let outcome: AttemptOutcome | undefined;
  try {
    outcome = await options.http.post({ ...request, signal: options.stop });
  } finally {
    options.counts.ends(outcome);
    if (!outcome) trace?.abandon();
  }
  const [endedAt, endedAtMonotonic] = [options.now(), performance.now()];
  options.fault('after-post');

  const retry = retryPolicyOf(event, destination);
  const retriesLeft = retry.max_retries - (delivery.attempts - delivery.retryBase);
  const { settlement, disableEndpoint } = settlementOf(
    attempted,
    outcome,
    retry,
    retriesLeft,
    request.sent,
    options,
    trace?.firstSpanId,
  );
  const tell = (settled: Settled | undefined) => {
    trace?.end(outcome, settled, endedAtMonotonic);
    logAttempt(options.logger, shard, attempted, delivery, settled, endedAt, { outcome, trace });
  };
  return { settlement, disableEndpoint, failure: attemptReason(outcome), at: endedAt, tell };
}

function webhookSecret(
  keyring: Keyring,
  shard: Shard,
  number: number,
  event: EventRecord,
  destination: Destination,
): string | undefined {
  if (destination.endpoint || event.s === undefined) return undefined;
  return keyring.decrypt(event.s, webhookSecretAad(event.a, shard.number, number));
}
