import type { IncomingHttpHeaders } from 'node:http';
import type { Socket } from 'node:net';
import { type AttemptOutcome, parseRetryAfter, type Reason } from '@sealpost/core';
import { MAX_KEPT_BYTES, MAX_READ_BYTES } from './http-client.ts';
import type { Stage } from './name-failure.ts';

/** Gathers what an attempt's outcome tells: when, how long in each phase, and the start of the response. */
export class AttemptRecord {
  readonly #startedAt = Date.now();
  readonly #start = performance.now();
  readonly #phases: AttemptOutcome['phases'] = {};
  #mark = this.#start;
  #stage: Stage = 'connecting';
  #bytesReadBefore = 0;
  #socket: Socket | undefined;
  #statusCode: number | undefined;
  #headers: IncomingHttpHeaders = {};
  #kept: Buffer[] = [];
  #keptBytes = 0;
  #readBytes = 0;

  get stage(): Stage {
    return this.#stage;
  }

  /** True if the receiver has sent something in answer to this request. */
  get hasAnswer(): boolean {
    return this.#stage === 'reading' || (this.#socket?.bytesRead ?? 0) > this.#bytesReadBefore;
  }

  /** True if the response told its length. */
  get hasLength(): boolean {
    return this.#headers['content-length'] !== undefined;
  }

  /** A request got its socket: a connected one, or one that has yet to connect. */
  watch(socket: Socket): void {
    this.#socket = socket;
    this.#mark = performance.now();
    this.#bytesReadBefore = socket.bytesRead;
    this.#stage = 'waiting';
    if (!socket.connecting) return;
    const secure = 'encrypted' in socket;
    this.#stage = 'connecting';
    socket.once('lookup', () => this.#lap('dns'));
    socket.once('connect', () => {
      this.#lap('connect');
      this.#bytesReadBefore = socket.bytesRead;
      this.#stage = secure ? 'securing' : 'waiting';
    });
    if (!secure) return;
    socket.once('secureConnect', () => {
      this.#lap('tls');
      this.#stage = 'waiting';
    });
  }

  /** The response's status and headers are complete. */
  head(statusCode: number, headers: IncomingHttpHeaders): void {
    this.#lap('first_byte');
    this.#stage = 'reading';
    this.#statusCode = statusCode;
    this.#headers = headers;
  }

  /** A piece of the response's body came; returns false once no more may be read. */
  data(chunk: Buffer): boolean {
    this.#readBytes += chunk.length;
    if (this.#keptBytes < MAX_KEPT_BYTES) {
      const piece = chunk.subarray(0, MAX_KEPT_BYTES - this.#keptBytes);
      this.#kept.push(piece);
      this.#keptBytes += piece.length;
    }
    return this.#readBytes <= MAX_READ_BYTES;
  }

  /** The outcome as of now: without a reason, that of the response's status. */
  outcome(reason?: Reason, detail?: string): AttemptOutcome {
    const statusCode = this.#statusCode;
    const outcome: AttemptOutcome = {
      startedAt: this.#startedAt,
      durationMs: Math.round(performance.now() - this.#start),
      phases: this.#phases,
      reason: reason ?? (statusCode !== undefined && isSuccess(statusCode) ? 'none' : 'http_status'),
    };
    if (detail !== undefined) outcome.detail = detail;
    if (statusCode === undefined) return outcome;
    const retryAfter = this.#headers['retry-after'];
    const retryAfterSeconds = retryAfter && parseRetryAfter(retryAfter, new Date());
    if (typeof retryAfterSeconds === 'number') outcome.retryAfterSeconds = retryAfterSeconds;
    outcome.statusCode = statusCode;
    outcome.response = {
      headers: keptHeaders(this.#headers),
      // A copy: a piece would hold on to the whole read buffer that it is part of.
      body: Buffer.concat(this.#kept),
      truncated: this.#readBytes > this.#keptBytes,
    };
    return outcome;
  }

  #lap(phase: keyof AttemptOutcome['phases']): void {
    const now = performance.now();
    this.#phases[phase] = Math.round(now - this.#mark);
    this.#mark = now;
  }
}

function isSuccess(statusCode: number): boolean {
  return statusCode >= 200 && statusCode < 300;
}

/** The headers worth showing: no cookies, which are somebody's secret and alone come as a list, and what fits. */
function keptHeaders(headers: IncomingHttpHeaders): Record<string, string> {
  const kept: Record<string, string> = {};
  let room = MAX_KEPT_BYTES;
  for (const [name, value] of Object.entries(headers)) {
    if (typeof value !== 'string') continue;
    room -= name.length + value.length;
    if (room < 0) break;
    kept[name] = value;
  }
  return kept;
}
