import type { SeenRequest } from './receivers.ts';

/** An attempt as `GET …/deliveries/{id}` shows it; what is looked at of it. */
export type Attempt = {
  number: number;
  started_at: string;
  duration_ms: number;
  status_code: number | null;
  error: string | null;
  response: { headers: Record<string, string> } | null;
};

/** A request arrives after its attempt has begun; on a starved machine by so much. */
const SLACK_MS = 300;
const NEAR_MS = 500;

export type Matched = {
  /** What the records say that cannot be. */
  wrong: string[];
  /** Attempts that no receiver has seen. */
  unseen: Attempt[];
  /** The receiver had answered in time, says the receiver; not so, says the record. */
  missedAnswers: { attempt: Attempt; request: SeenRequest }[];
  /** Requests that no attempt records. */
  unrecorded: SeenRequest[];
  /**
   * Requests on a used connection that the receiver reset: Sealpost takes the connection to have been closed before, and
   * sends the same attempt once more on a fresh one (docs/decisions/003-lanes.md, known limits).
   */
  stale: SeenRequest[];
};

/**
 * Puts a delivery's attempts and what its receiver saw side by side. An answered attempt names its request, by a header of
 * the answer that the record keeps; one without an answer is the request that began with it and got none, or too late a one;
 * else, as clocks jump, the oldest of those left, if it can be one that lasted as long as the attempt: a request that broke
 * off sooner was of a process that died.
 * Pure. @param requests of this delivery, in order of arrival
 */
export function matchAttempts(attempts: Attempt[], requests: SeenRequest[]): Matched {
  const matched: Matched = { wrong: [], unseen: [], missedAnswers: [], unrecorded: [], stale: [] };
  const left = new Set(requests);
  for (const attempt of attempts) {
    if (attempt.status_code === null) continue;
    const no = Number(attempt.response?.headers['x-request'] ?? Number.NaN);
    const request = requests.find((candidate) => candidate.no === no);
    if (!request) matched.wrong.push(`attempt ${attempt.number} has an answer that its receiver never gave`);
    else if (!left.delete(request))
      matched.wrong.push(`attempt ${attempt.number} records request ${no} once more`);
    else if (request.outcome !== attempt.status_code) {
      matched.wrong.push(
        `attempt ${attempt.number} has ${attempt.status_code}, its request ${no} got ${request.outcome}`,
      );
    }
  }
  for (const request of left) {
    if (request.outcome !== 'reset' || !request.reused) continue;
    left.delete(request);
    matched.stale.push(request);
  }
  for (const attempt of attempts) {
    if (attempt.status_code !== null) continue;
    const candidates = [...left];
    const request =
      candidates.find((candidate) => isUnanswered(candidate, attempt) && beganWith(candidate, attempt)) ??
      candidates.find((candidate) => lastedUntilTimeout(candidate, attempt)) ??
      candidates.find((candidate) => isUnanswered(candidate, attempt)) ??
      candidates[0];
    if (!request) {
      matched.unseen.push(attempt);
      continue;
    }
    left.delete(request);
    if (!isUnanswered(request, attempt)) matched.missedAnswers.push({ attempt, request });
  }
  matched.unrecorded.push(...left);
  return matched;
}

function beganWith(request: SeenRequest, attempt: Attempt): boolean {
  return Math.abs(request.at - Date.parse(attempt.started_at)) < NEAR_MS;
}

function lastedUntilTimeout(request: SeenRequest, attempt: Attempt): boolean {
  return (
    attempt.error === 'timeout' &&
    request.outcome !== 'reset' &&
    tookMs(request) >= attempt.duration_ms - SLACK_MS
  );
}

/** Nothing came in time, or the connection was reset: as the attempt says. */
function isUnanswered(request: SeenRequest, attempt: Attempt): boolean {
  if (attempt.error === 'timeout') {
    return request.outcome === 'none' || lastedUntilTimeout(request, attempt);
  }
  return request.outcome === 'reset';
}

/** How long its connection was open, or Infinity. */
function tookMs(request: SeenRequest): number {
  return (request.endedAt ?? Number.POSITIVE_INFINITY) - request.at;
}
