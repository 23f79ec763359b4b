import type { Character } from './characters.ts';
import { type Attempt, matchAttempts } from './match-attempts.ts';
import type { SentEvent } from './producer.ts';
import type { SeenRequest } from './receivers.ts';
import { mayLose, mayRepeat, SOONEST_REPEAT_MS, type Strike } from './strikes.ts';

/** A delivery as the API shows it; what is looked at of it. */
export type StoredDelivery = {
  id: string;
  event_id: string;
  endpoint_id: string | null;
  status: 'pending' | 'retrying' | 'delivered' | 'dead' | 'skipped' | 'cancelled';
  reason: string | null;
  attempt_count: number;
  attempts: Attempt[];
};

/** All that is known at the end of a run. */
export type Evidence = {
  events: SentEvent[];
  /** Deliveries of each acknowledged event, by its id; undefined: it does not exist. */
  stored: Map<string, StoredDelivery[] | undefined>;
  /** Who should have got an event. */
  targets: (event: SentEvent) => { endpointId: string | null; character: Character }[];
  requests: SeenRequest[];
  strikes: Strike[];
  /** What a killed Redis may forget is no failure in this mode. */
  mayForget: boolean;
  /** Slots of a worker. */
  slots: number;
};

export type Failure = {
  what: string;
  event?: SentEvent;
  delivery?: StoredDelivery;
  requests?: SeenRequest[];
};

export type Verdict = {
  failures: Failure[];
  deliveries: number;
  byStatus: Record<string, number>;
  attempts: number;
  /** Acknowledged events that a killed Redis forgot, by strike. */
  lost: Map<Strike, SentEvent[]>;
  /** Requests beyond those that attempts record, by the fault that explains them. */
  repeated: Map<Strike, SeenRequest[]>;
  /** Repeated on a fresh connection, since the receiver reset a used one. */
  stale: number;
  /** Attempts whose answer, or whose request, a fault has swallowed. */
  swallowed: number;
};

/** A request that no attempt records, and the faults, at least one, that may have had it repeated, latest first. */
type Repeat = { request: SeenRequest; strikes: Strike[] };

/** Holds what is recorded against what the receivers saw and the producer was told. Pure. */
export function judge(evidence: Evidence): Verdict {
  const verdict: Verdict = {
    failures: [],
    deliveries: 0,
    byStatus: {},
    attempts: 0,
    lost: new Map(),
    repeated: new Map(),
    stale: 0,
    swallowed: 0,
  };
  const requestsOf = groupBy(evidence.requests, ({ event, receiver }) => `${event} ${receiver}`);
  const repeats: Repeat[] = [];
  for (const event of evidence.events) {
    if (!event.answer) {
      verdict.failures.push({ what: 'it was never acknowledged', event });
      continue;
    }
    const deliveries = evidence.stored.get(event.answer.id);
    if (deliveries) judgeEvent(evidence, verdict, repeats, event, deliveries, requestsOf);
    else judgeLoss(evidence, verdict, event);
  }
  judgeStrangers(evidence, verdict);
  judgeRepeats(evidence, verdict, repeats);
  judgeSequences(evidence, verdict);
  judgeOrder(evidence, verdict);
  return verdict;
}

function judgeLoss({ strikes, mayForget }: Evidence, verdict: Verdict, event: SentEvent): void {
  const strike = strikes.find((candidate) => mayLose(candidate, event.ackedAt!));
  if (strike && mayForget) add(verdict.lost, strike, event);
  else verdict.failures.push({ what: 'it was acknowledged, and does not exist', event });
}

function judgeEvent(
  evidence: Evidence,
  verdict: Verdict,
  repeats: Repeat[],
  event: SentEvent,
  deliveries: StoredDelivery[],
  requestsOf: Map<string, SeenRequest[]>,
): void {
  const targets = evidence.targets(event);
  for (const { endpointId, character } of targets) {
    const found = deliveries.filter((delivery) => delivery.endpoint_id === endpointId);
    if (found.length !== 1)
      verdict.failures.push({ what: `it has ${found.length} deliveries to ${character.name}`, event });
    const requests = requestsOf.get(`${event.answer!.id} ${character.name}`) ?? [];
    for (const delivery of found)
      judgeDelivery(evidence, verdict, repeats, event, delivery, character, requests);
  }
  if (deliveries.length > targets.length) {
    verdict.failures.push({ what: `it has ${deliveries.length} deliveries, not ${targets.length}`, event });
  }
}

function judgeDelivery(
  { strikes }: Evidence,
  verdict: Verdict,
  repeats: Repeat[],
  event: SentEvent,
  delivery: StoredDelivery,
  character: Character,
  requests: SeenRequest[],
): void {
  const fail = (what: string) => verdict.failures.push({ what, event, delivery, requests });
  const explaining = (at: number) =>
    strikes.filter((strike) => mayRepeat(strike, at, character.timeoutMs)).reverse();
  verdict.deliveries += 1;
  verdict.byStatus[delivery.status] = (verdict.byStatus[delivery.status] ?? 0) + 1;
  verdict.attempts += delivery.attempts.length;

  for (const { wrong, no } of requests) if (wrong) fail(`of request ${no}, ${wrong}`);
  const numbers = delivery.attempts.map(({ number }) => number);
  if (numbers.some((number, i) => number !== i + 1) || numbers.length !== delivery.attempt_count) {
    fail(`its attempts are numbered ${numbers.join(', ')}, and counted ${delivery.attempt_count}`);
  }
  const matched = matchAttempts(delivery.attempts, requests);
  for (const wrong of matched.wrong) fail(wrong);
  verdict.stale += matched.stale.length;
  for (const request of matched.unrecorded) {
    const atOnce = isRepeatedAtOnce(request, requests);
    const able = explaining(request.at).filter((strike) => !atOnce || strike.repeats?.atOnce);
    if (able.length > 0) repeats.push({ request, strikes: able });
    else fail(`request ${request.no} is in no record, and no fault explains it`);
  }
  for (const { request, attempt } of matched.missedAnswers) {
    if (explaining(request.at).length > 0) verdict.swallowed += 1;
    else
      fail(`attempt ${attempt.number} says ${attempt.error}; request ${request.no} got ${request.outcome}`);
  }
  for (const attempt of matched.unseen) {
    if (explaining(Date.parse(attempt.started_at)).length > 0) verdict.swallowed += 1;
    else fail(`attempt ${attempt.number} (${attempt.error}) was never seen by its receiver`);
  }
  const problem = endProblem(delivery, character, requests);
  if (problem) fail(problem);
}

/** Posted again within a moment of having been taken: no retry, and sooner than a fault can be put right. */
function isRepeatedAtOnce(request: SeenRequest, requests: SeenRequest[]): boolean {
  return requests.some((other) => {
    if (other === request) return false;
    const [first, second] = other.no < request.no ? [other, request] : [request, other];
    return isTaken(first) && second.at - first.at < SOONEST_REPEAT_MS;
  });
}

function isTaken({ outcome }: SeenRequest): boolean {
  return typeof outcome === 'number' && outcome < 300;
}

/** Why it cannot have ended as it has; undefined: it can. */
function endProblem(
  delivery: StoredDelivery,
  character: Character,
  requests: SeenRequest[],
): string | undefined {
  const { status, reason, attempts } = delivery;
  const was2xx = requests.some(isTaken);
  if (status === 'delivered') return was2xx ? undefined : 'it is delivered, and no receiver took it';
  if (status === 'skipped') {
    if (character.name === 'toggled' && reason === 'endpoint_disabled' && requests.length === 0)
      return undefined;
    return `it was skipped (${reason})`;
  }
  if (status !== 'dead') return `it is ${status}`;
  const failed = attempts.filter(({ status_code }) => status_code === null || status_code >= 300).length;
  if (reason !== 'retries_exhausted') return `it is dead (${reason})`;
  if (failed !== attempts.length) return 'it is dead although an attempt succeeded';
  if (failed < character.maxRetries + 1)
    return `it is dead after ${failed} attempts of ${character.maxRetries + 1}`;
  return undefined;
}

/** Requests of events that were never published. */
function judgeStrangers({ events, requests }: Evidence, verdict: Verdict): void {
  const known = new Set(events.map(({ answer }) => answer?.id));
  for (const request of requests) {
    if (request.receiver !== 'operators' && !known.has(request.event))
      verdict.failures.push({
        what: `nobody published the event of request ${request.no}`,
        requests: [request],
      });
  }
}

/**
 * A fault repeats no more than what was under way: what had a slot, and what had given its slot up. Of several that may have
 * repeated a request the latest counts that has room for it; those with no choice are placed first.
 */
function judgeRepeats({ slots }: Evidence, verdict: Verdict, repeats: Repeat[]): void {
  const most = ({ workers }: Strike) => workers * slots * 2;
  const tooMany = new Map<Strike, SeenRequest[]>();
  for (const { request, strikes } of repeats.sort((a, b) => a.strikes.length - b.strikes.length)) {
    const strike = strikes.find((each) => (verdict.repeated.get(each)?.length ?? 0) < most(each));
    if (strike) add(verdict.repeated, strike, request);
    else add(tooMany, strikes[0]!, request);
  }
  for (const [strike, requests] of tooMany)
    verdict.failures.push({
      what: `${requests.length} more requests were repeated than the ${most(strike)} under way at: ${strike.fault}`,
      requests,
    });
}

/** Of one correlation id: 1, 2, 3 …, each once. What Redis forgot leaves a gap, or a number that is given out again. */
function judgeSequences({ events }: Evidence, verdict: Verdict): void {
  const lost = new Set([...verdict.lost.values()].flat());
  const byCorrelation = groupBy(
    events.filter(({ answer, input }) => answer && input.correlation_id),
    ({ input }) => input.correlation_id!,
  );
  for (const [correlation, own] of byCorrelation) {
    if (own.some((event) => lost.has(event))) continue;
    const numbers = own.map(({ answer }) => answer!.sequence ?? 0).sort((a, b) => a - b);
    const first = numbers.findIndex((number, i) => number !== i + 1);
    if (first < 0) continue;
    const what = `of the ${numbers.length} sequence numbers of ${correlation}, the one after ${first} is ${numbers[first]}`;
    verdict.failures.push({ what });
  }
}

/** Each was published when the one before had its 202: its first request comes later than that one's. */
function judgeOrder({ events, requests }: Evidence, verdict: Verdict): void {
  const first = new Map<string, SeenRequest>();
  for (const request of requests) {
    const key = `${request.event} ${request.receiver}`;
    if (!first.has(key)) first.set(key, request);
  }
  const inTurn = groupBy(
    events.filter((event) => event.inTurn !== undefined),
    (event) => event.inTurn!,
  );
  for (const [type, own] of inTurn) {
    let last: SeenRequest | undefined;
    for (const event of own) {
      const request = first.get(`${event.answer?.id} ${type.slice('to.'.length)}`);
      if (!request) continue; // it never came: that is told elsewhere
      if (last && request.no < last.no) {
        verdict.failures.push({ what: `it came before ${last.event}, which was accepted earlier`, event });
      }
      last = request;
    }
  }
}

function add<K, V>(map: Map<K, V[]>, key: K, value: V): void {
  const list = map.get(key);
  if (list) list.push(value);
  else map.set(key, [value]);
}

function groupBy<T>(list: T[], key: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of list) add(groups, key(item), item);
  return groups;
}
