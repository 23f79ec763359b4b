import { createTraceState, type SpanContext, TraceFlags } from '@opentelemetry/api';

/** Where in a trace something stands: trace, span, flags, and the states of those who took part. */
export type TraceContext = SpanContext;

/** W3C Trace Context (level 2) §3.2.2. A version that is not known yet may have more parts than ours. */
const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
const ZEROS = /^0+$/;
/** Sampled, and made of random bytes: all flags that there are. */
const KNOWN_FLAGS = 0x03;
const BYTES = 25;

/** Undefined: there is none, or it is not valid, and the trace begins here (§4.3). What is no `tracestate` is dropped. */
export function parseTraceContext(
  traceparent: string | undefined,
  tracestate?: string | undefined,
): TraceContext | undefined {
  const [, version, traceId, spanId, flags, more] = TRACEPARENT.exec(traceparent?.trim() ?? '') ?? [];
  if (!version || !traceId || !spanId || !flags || version === 'ff' || (version === '00' && more))
    return undefined;
  if (ZEROS.test(traceId) || ZEROS.test(spanId)) return undefined;
  return contextOf(traceId, spanId, Number.parseInt(flags, 16), tracestate);
}

function contextOf(
  traceId: string,
  spanId: string,
  flags: number,
  tracestate: string | undefined,
): TraceContext {
  const context: TraceContext = { traceId, spanId, traceFlags: flags & KNOWN_FLAGS, isRemote: true };
  const traceState = tracestate ? createTraceState(tracestate) : undefined;
  // One that is too long, or says nothing that is valid, is empty.
  return traceState?.serialize() ? { ...context, traceState } : context;
}

export function isSampled({ traceFlags }: TraceContext): boolean {
  return (traceFlags & TraceFlags.SAMPLED) !== 0;
}

/** The headers by which it is told to whoever comes next. */
export function traceHeaders(context: TraceContext): { traceparent: string; tracestate?: string } {
  const flags = context.traceFlags.toString(16).padStart(2, '0');
  const traceparent = `00-${context.traceId}-${context.spanId}-${flags}`;
  const tracestate = context.traceState?.serialize();
  return tracestate ? { traceparent, tracestate } : { traceparent };
}

/** As it is stored with an event: 34 characters in place of 55, and what `tracestate` says. */
export type StoredTrace = { tc: string; ts?: string };

export function storeTrace(context: TraceContext): StoredTrace {
  const bytes = Buffer.allocUnsafe(BYTES);
  bytes.write(context.traceId, 0, 'hex');
  bytes.write(context.spanId, 16, 'hex');
  bytes[24] = context.traceFlags & KNOWN_FLAGS;
  const tc = bytes.toString('base64url');
  const ts = context.traceState?.serialize();
  return ts ? { tc, ts } : { tc };
}

/** Undefined: nothing was stored, or it is not what we store. */
export function readTrace({ tc, ts }: { tc?: unknown; ts?: unknown }): TraceContext | undefined {
  if (typeof tc !== 'string') return undefined;
  const bytes = Buffer.from(tc, 'base64url');
  const traceId = bytes.toString('hex', 0, 16);
  const spanId = bytes.toString('hex', 16, 24);
  if (bytes.length !== BYTES || ZEROS.test(traceId) || ZEROS.test(spanId)) return undefined;
  return contextOf(traceId, spanId, bytes[24]!, typeof ts === 'string' ? ts : undefined);
}
