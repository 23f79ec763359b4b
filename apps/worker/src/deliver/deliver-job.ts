import { formatId, type Keyring, KeyringError, parseId, parseJobId, SealpostError } from '@sealpost/core';
import {
  type ClaimResult,
  claim,
  type EventRecord,
  type Outcome,
  parseEventRecord,
  type Retention,
  type Settlement,
  type Shard,
  type Turn,
  webhookSecretAad,
} from '@sealpost/queue';
import type { Configs } from '@sealpost/store';
import type { Logger } from '@sealpost/telemetry';
import type { Attempt } from '../attempts.ts';
import { checkSeal } from './check-seal.ts';
import { type DisableReason, disableEndpoint } from './disable-endpoint.ts';
import type { HttpClient } from './http-client.ts';
import type { Destination, Destinations } from './load-endpoint.ts';
import { type Attempted, hopeless, settleDelivery, settlementOf } from './settle-delivery.ts';
import { retryPolicyOf, signRequest } from './sign-request.ts';

/** A delivery whose workers died this often while they had it is taken to be what kills them. */
const LOST_WORKERS = 25;

export type DeliverOptions = {
  keyring: Keyring;
  configs: Configs;
  destinations: Destinations;
  http: HttpClient;
  retention: Retention;
  /** An endpoint that has only failed for so long, ms, is disabled. */
  disableAfterMs: number;
  logger: Logger;
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
type Ready = { event: EventRecord; body: Buffer; destination: Destination };

/**
 * The main path of the worker, for one job: CLAIM → check the seal → sign → POST → classify → SETTLE.
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
  const claimed = await claim(shard, number, parsed.generation, job.counted, options.retention);
  if (claimed.result === 'settled') return { tell: claimed };
  if (claimed.result === 'gone') return COMPLETE;
  events.onTurn(claimed);
  if (claimed.result === 'busy') return { againInMs: claimed.ms };
  if (claimed.result === 'held') return COMPLETE;
  options.fault('after-claim');

  const attempted: Attempted = {
    number,
    generation: parsed.generation,
    attempt: claimed.delivery.attempts + 1,
    event: claimed.eventRecord && parseEventRecord(claimed.eventRecord.toString()),
  };
  const ready = await prepare(options, shard, job, claimed, attempted);
  const settlement =
    'status' in ready ? ready : await attempt(options, shard, claimed, attempted, ready, events);
  const settled = await settleDelivery(shard, settlement, options.stop);
  options.fault('after-settle');
  events.onTurn(settled);
  if ('destination' in ready) {
    const reason = settlement.disableEndpoint ?? (settled.disable ? 'failing' : undefined);
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
): Promise<Ready | (Settlement & { disableEndpoint?: undefined })> {
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

/** One POST, and what it means. */
async function attempt(
  options: DeliverOptions,
  shard: Shard,
  claimed: Claimed,
  attempted: Attempted,
  { event, body, destination }: Ready,
  events: DeliverEvents,
): Promise<Settlement & { disableEndpoint: DisableReason | undefined }> {
  const { delivery } = claimed;
  const request = signRequest({
    shard: shard.number,
    event,
    eventNumber: delivery.event,
    body,
    destination,
    webhookSecret: webhookSecret(options.keyring, shard, delivery.event, event, destination),
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
  const outcome = await options.http.post({ ...request, signal: options.stop });
  options.fault('after-post');

  const retry = retryPolicyOf(event, destination);
  const retriesLeft = retry.max_retries - (delivery.attempts - delivery.retryBase);
  const settlement = settlementOf(attempted, outcome, retry, retriesLeft, request.ownHeaders, options);
  logAttempt(options.logger, shard, attempted, event, destination, settlement, outcome.durationMs);
  return settlement;
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

/** One wide line an attempt. */
function logAttempt(
  logger: Logger,
  shard: Shard,
  attempted: Attempted,
  event: EventRecord,
  destination: Destination,
  settlement: Settlement,
  durationMs: number,
): void {
  const level = settlement.status === 'dead' ? 'warn' : 'info';
  logger[level](
    {
      app: event.a,
      event_type: event.t,
      delivery: formatId('dlv', shard.number, attempted.number),
      endpoint: destination.endpoint?.record.id ?? null,
      attempt: attempted.attempt,
      status: settlement.status,
      reason: settlement.reason,
      status_code: settlement.statusCode,
      duration_ms: Math.round(durationMs),
      next_in_ms: settlement.status === 'retrying' ? Math.round(settlement.delayMs) : undefined,
    },
    'attempt',
  );
}
