import { setTimeout as delay } from 'node:timers/promises';
import { type AttemptOutcome, formatId } from '@sealpost/core';
import { type EventRecord, eventId, readFirstSpan, type Settled, type Shard } from '@sealpost/queue';
import {
  ATTRIBUTE,
  endSpan,
  isSampled,
  OWN_ATTRIBUTE,
  readTrace,
  SPAN,
  type Span,
  SpanKind,
  type TraceContext,
  type Tracing,
  traceHeaders,
  VALUE,
} from '@sealpost/telemetry';
import type { PostRequest } from './http-client.ts';
import type { Destination } from './load-endpoint.ts';
import type { Attempted } from './settle-delivery.ts';

type Parts = keyof AttemptOutcome['phases'];
const PARTS: [Parts, string][] = [
  ['dns', OWN_ATTRIBUTE.dns],
  ['connect', OWN_ATTRIBUTE.connect],
  ['tls', OWN_ATTRIBUTE.tls],
  ['first_byte', OWN_ATTRIBUTE.firstByte],
];

/** An attempt of an event that was published in a trace. */
export class AttemptTrace {
  readonly context: TraceContext;
  /** Of a first attempt that is recorded: to be kept, for retries to be linked to. */
  readonly firstSpanId: string | undefined;
  readonly #span: Span | undefined;

  constructor(context: TraceContext, span: Span | undefined, isFirst: boolean) {
    this.context = context;
    this.#span = span;
    this.firstSpanId = span && isFirst ? context.spanId : undefined;
  }

  /** @param settled absent where that is not known @param at when the attempt ended, as `performance.now()` says */
  end(outcome: AttemptOutcome, settled: Settled | undefined, at: number): void {
    if (!this.#span) return;
    const attributes: Record<string, string | number> = {};
    if (settled) attributes[OWN_ATTRIBUTE.status] = settled.status;
    if (settled && settled.reason !== 'none') attributes[OWN_ATTRIBUTE.reason] = settled.reason;
    if (outcome.statusCode !== undefined) attributes[ATTRIBUTE.httpResponseStatusCode] = outcome.statusCode;
    for (const [part, name] of PARTS) {
      const ms = outcome.phases[part];
      if (ms !== undefined) attributes[name] = ms / 1000;
    }
    endSpan(this.#span, attributes, errorTypeOf(outcome), outcome.detail, at);
  }

  /** This process has to go, and nobody will know how it ended. */
  abandon(): void {
    if (this.#span) endSpan(this.#span, {}, 'abandoned', 'The worker had to stop before it was answered.');
  }
}

/** "HTTP client spans": the status where that is what went wrong, else what did. Undefined: nothing. */
function errorTypeOf({ reason, statusCode }: AttemptOutcome): string | undefined {
  if (reason === 'none') return undefined;
  return reason === 'http_status' && statusCode !== undefined ? String(statusCode) : reason;
}

/**
 * The span of an attempt, if its event was published in a trace, and the headers by which its receiver learns of it. All
 * attempts are children of the publish, so that none is nested in another; retries are linked to the first. Without a
 * tracer, the receiver gets the producer's own context. An endpoint's own header of that name stays.
 */
export async function startAttempt(
  tracing: Tracing,
  shard: Shard,
  attempted: Attempted & { event: EventRecord },
  eventNumber: number,
  destination: Destination,
  request: PostRequest,
): Promise<AttemptTrace | undefined> {
  const { event, attempt } = attempted;
  const parent = readTrace(event);
  if (!parent) return undefined;
  const links =
    attempt > 1 && tracing.isOn && isSampled(parent) ? await linksToFirst(shard, attempted, parent) : [];
  const { span, context = parent } = tracing.start(SPAN.attempt, SpanKind.CLIENT, parent, links);
  if (span) {
    span.setAttributes({
      [ATTRIBUTE.httpRequestMethod]: 'POST',
      ...ofReceiver(request.url),
      [ATTRIBUTE.messagingOperationType]: VALUE.process,
      [ATTRIBUTE.messagingOperationName]: VALUE.deliver,
      ...ofDelivery(shard, attempted, eventNumber),
      [OWN_ATTRIBUTE.attempt]: attempt,
    });
    if (attempt > 1) span.setAttribute(ATTRIBUTE.httpRequestResendCount, attempt - 1);
    if (destination.endpoint) span.setAttribute(OWN_ATTRIBUTE.endpoint, destination.endpoint.record.id);
  }
  const names = Object.keys(request.headers).map((name) => name.toLowerCase());
  if (!names.includes('traceparent')) Object.assign(request.headers, traceHeaders(context));
  return new AttemptTrace(context, span, attempt === 1);
}

/** Not `url.full`, which the convention has: a webhook's path is often its secret. */
function ofReceiver(text: string) {
  const url = URL.parse(text);
  if (!url) return {};
  return {
    [ATTRIBUTE.urlScheme]: url.protocol.slice(0, -1),
    [ATTRIBUTE.serverAddress]: url.hostname,
    [ATTRIBUTE.serverPort]: Number(url.port) || (url.protocol === 'https:' ? 443 : 80),
  };
}

/** Redis has this long to tell of the first attempt, ms: the request has been signed with its time. */
const LINK_MS = 500;

/** Failure policy: a link is not worth a delivery; if Redis does not give it, there is none. */
async function linksToFirst(shard: Shard, { number }: Attempted, { traceId, traceFlags }: TraceContext) {
  const spanId = await Promise.race([
    readFirstSpan(shard, number).catch(() => undefined),
    delay(LINK_MS, undefined, { ref: false }),
  ]);
  return spanId === undefined ? [] : [{ context: { traceId, spanId, traceFlags, isRemote: true } }];
}

/** A span of a delivery that ends without an attempt, if its event was published in a trace. */
export function traceEnd(
  tracing: Tracing,
  shard: Shard,
  { event, ...attempted }: Attempted,
  { status, reason }: Pick<Settled, 'status' | 'reason'>,
): void {
  const parent = tracing.isOn && event ? readTrace(event) : undefined;
  if (!parent || !event) return;
  const { span } = tracing.start(SPAN.end, SpanKind.INTERNAL, parent);
  if (!span) return;
  const attributes = {
    ...ofDelivery(shard, { ...attempted, event }),
    [OWN_ATTRIBUTE.status]: status,
    [OWN_ATTRIBUTE.reason]: reason,
  };
  endSpan(span, attributes, status === 'dead' ? reason : undefined);
}

function ofDelivery(
  shard: Shard,
  { event, number }: { event: EventRecord; number: number },
  eventNumber?: number,
) {
  return {
    [ATTRIBUTE.messagingSystem]: VALUE.system,
    [ATTRIBUTE.messagingDestinationName]: VALUE.destination,
    ...(eventNumber !== undefined && {
      [ATTRIBUTE.messagingMessageId]: eventId(shard.number, eventNumber, event),
    }),
    ...(event.c !== undefined && { [ATTRIBUTE.messagingConversationId]: event.c }),
    [OWN_ATTRIBUTE.app]: event.a,
    [OWN_ATTRIBUTE.eventType]: event.t,
    [OWN_ATTRIBUTE.delivery]: formatId('dlv', shard.number, number),
  };
}
