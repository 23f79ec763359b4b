import type { LookupFunction } from 'node:net';
import type { AddressPolicy, AttemptOutcome } from '@sealpost/core';

/**
 * One POST to a receiver.
 *
 * `url` is absolute; `headers` go out as they are, beside `host`, `content-length` and
 * `accept-encoding: identity`; `timeoutMs` is the deadline of the whole attempt, from the name look-up to the
 * last byte of the response.
 */
export type PostRequest = {
  url: string;
  headers: Record<string, string>;
  body: string | Buffer;
  timeoutMs: number;
  signal?: AbortSignal;
};

/** What makes a POST; the worker needs no more of an HTTP library than this. */
export interface HttpClient {
  /**
   * Posts once and tells what came of it. Whatever a receiver or the network does is an outcome with a
   * `reason`, never a throw. Rejects only when the caller aborted, with `signal.reason`: nothing is known then.
   */
  post(request: PostRequest): Promise<AttemptOutcome>;
  /** Closes all connections, also those in use: call it when no post is running. */
  close(): void;
}

/** Settings of any client. */
export type HttpClientOptions = {
  /** Which addresses may be connected to; only its answer counts, for literals and for names. */
  policy: Pick<AddressPolicy, 'allows'>;
  /** False refuses `http:` URLs (`https_required`). */
  allowHttp: boolean;
  /** Resolves names; the system's resolver (`dns.lookup`) if not given. Its answers are checked all the same. */
  lookup?: LookupFunction;
  /** PEM certificates to trust instead of the system's. */
  ca?: string;
  /**
   * Connections to one origin at a time; more posts wait for one, within their deadline. Default 4096, more than there can be
   * attempts: what one endpoint may have is for its lane to say, and many may share an origin.
   */
  maxSocketsPerOrigin?: number;
  /** An idle connection is closed after this time. Default 30,000. */
  idleTimeoutMs?: number;
};

/** Of a response's body, this many bytes are read; a longer one is cut off and its status counts. */
export const MAX_READ_BYTES = 64 * 1024;
/** Of a response's body, this many bytes are kept in the outcome; of its headers, as many characters. */
export const MAX_KEPT_BYTES = 4096;
/** More informational (1xx) responses than this before the real one are a receiver's fault. */
export const MAX_INFORMATIONAL = 16;
