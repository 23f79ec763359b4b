import type { AttemptOutcome, Reason } from '@sealpost/core';

/** An attempt as it is stored, one JSON text each. Short names: there are as many as there are attempts. */
export type AttemptRecord = {
  /** ms epoch at which it began, and how long it took, ms. */
  t: number;
  d: number;
  /** Parts, ms: [dns, connect, tls, first byte]; -1: did not happen. */
  p: [number, number, number, number];
  /** HTTP status. */
  s?: number;
  /** Why it failed, and what was said of it. */
  e?: Reason;
  m?: string;
  /** Names of the endpoint's own headers that were sent. Their values are secret. */
  h?: string[];
  /** Response: headers, beginning of the body, whether there was more. */
  rh?: Record<string, string>;
  r?: string;
  rt?: true;
};

export function encodeAttempt(outcome: AttemptOutcome, ownHeaders: string[]): string {
  const { dns = -1, connect = -1, tls = -1, first_byte = -1 } = outcome.phases;
  const record: AttemptRecord = {
    t: outcome.startedAt,
    d: Math.round(outcome.durationMs),
    p: [Math.round(dns), Math.round(connect), Math.round(tls), Math.round(first_byte)],
  };
  if (outcome.statusCode !== undefined) record.s = outcome.statusCode;
  if (outcome.reason !== 'none') record.e = outcome.reason;
  if (outcome.detail !== undefined) record.m = outcome.detail;
  if (ownHeaders.length > 0) record.h = ownHeaders;
  if (outcome.response) {
    const { headers, body, truncated } = outcome.response;
    if (Object.keys(headers).length > 0) record.rh = headers;
    if (body.length > 0) record.r = body.toString('utf8');
    if (truncated) record.rt = true;
  }
  return JSON.stringify(record);
}
