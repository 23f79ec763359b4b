import { type AttemptOutcome, JSON_CONTENT_TYPE, type Reason, type SentHeaders } from '@sealpost/core';

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
  /** Nothing was sent: there could be no request. */
  no?: true;
  /** Names of the endpoint's own headers that were sent. Their values are secret. */
  h?: string[];
  /** The wire profile's own headers; null: a signature. */
  w?: Record<string, string | null>;
  /** Content type, where it was not JSON; that there was no signature. */
  ct?: string;
  us?: true;
  /** Id of its span, of a first attempt that was traced: retries are linked to it. */
  sp?: string;
  /** Response: headers, beginning of the body, whether there was more. */
  rh?: Record<string, string>;
  r?: string;
  rt?: true;
};

/** @param sent undefined: nothing */
export function encodeAttempt(
  outcome: AttemptOutcome,
  sent: SentHeaders | undefined,
  spanId?: string | undefined,
): string {
  const { dns = -1, connect = -1, tls = -1, first_byte = -1 } = outcome.phases;
  const record: AttemptRecord = {
    t: outcome.startedAt,
    d: Math.round(outcome.durationMs),
    p: [Math.round(dns), Math.round(connect), Math.round(tls), Math.round(first_byte)],
  };
  if (outcome.statusCode !== undefined) record.s = outcome.statusCode;
  if (outcome.reason !== 'none') record.e = outcome.reason;
  if (outcome.detail !== undefined) record.m = outcome.detail;
  if (sent) encodeSent(record, sent);
  else record.no = true;
  if (spanId !== undefined) record.sp = spanId;
  if (outcome.response) {
    const { headers, body, truncated } = outcome.response;
    if (Object.keys(headers).length > 0) record.rh = headers;
    if (body.length > 0) record.r = body.toString('utf8');
    if (truncated) record.rt = true;
  }
  return JSON.stringify(record);
}

function encodeSent(record: AttemptRecord, { contentType, signed, own, profile }: SentHeaders): void {
  if (own.length > 0) record.h = own;
  if (profile) record.w = profile;
  if (contentType !== JSON_CONTENT_TYPE) record.ct = contentType;
  if (!signed) record.us = true;
}

/** What of its headers was kept; undefined: nothing was sent. */
export function sentHeaders(record: AttemptRecord): SentHeaders | undefined {
  if (record.no) return undefined;
  return {
    contentType: record.ct ?? JSON_CONTENT_TYPE,
    signed: record.us !== true,
    own: record.h ?? [],
    profile: record.w,
  };
}
